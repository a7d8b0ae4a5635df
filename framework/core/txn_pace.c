/* SPDX-License-Identifier: Apache-2.0
 *
 * txn_pace.h
 */
#include "txn_pace.h"

#include <assert.h>

/* The finaliser of splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number
 * Generators", 2014). */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Depends on nothing but what is in the transaction: a run with the same seed is the same run. */
static uint64_t jitter(const struct txn *txn, const struct txn_branch *branch)
{
    assert(branch->number >= 1 && branch->number <= TXN_BRANCHES_MAX);
    const uint64_t golden = 0x9e3779b97f4a7c15u;
    return mix(mix(txn->seed + golden * branch->number) + golden * branch->attempts);
}

int64_t pace_retry(const struct txn *txn, const struct txn_branch *branch)
{
    assert(branch->attempts > 0 && txn->options.retry_cap_ms > 0);
    uint32_t doublings = branch->attempts - 1;
    uint64_t range = txn->options.retry_cap_ms;
    if (doublings < 32) {
        uint64_t doubled = (uint64_t)txn->options.retry_base_ms << doublings;
        range = doubled < range ? doubled : range;
    }
    assert(range > 0 && range <= txn->options.retry_cap_ms);
    return 1 + (int64_t)(jitter(txn, branch) % range);
}

int64_t pace_parked(const struct txn *txn, const struct txn_branch *branch)
{
    assert(branch->is_parked && txn->options.parked_retry_ms > 0);
    uint64_t most = txn->options.parked_retry_ms;
    uint64_t least = (most + 1) / 2;
    assert(least > 0 && least <= most);
    return (int64_t)(least + jitter(txn, branch) % (most - least + 1));
}
