/* SPDX-License-Identifier: Apache-2.0
 *
 * breaker.h
 */
#include "breaker.h"

#include <assert.h>

bool breaker_lets_through(const struct breaker *breaker, int64_t now_ms)
{
    return !breaker->is_open || (!breaker->is_probing && now_ms >= breaker->probe_ms);
}

void breaker_note_sent(struct breaker *breaker)
{
    breaker->is_probing = breaker->is_open;
}

void breaker_lose_probe(struct breaker *breaker)
{
    breaker->is_probing = false;
}

/* Calls sent before the breaker opened may fail after it did: they do not delay the probe. */
bool breaker_fail(struct breaker *breaker, int64_t now_ms)
{
    bool was_open = breaker->is_open;
    breaker->failures++;
    if (breaker->failures < BREAKER_FAILURES)
        return false;
    if (!was_open || breaker->is_probing) {
        uint32_t longer_ms = breaker->pause_ms == 0 ? BREAKER_PAUSE_MS : breaker->pause_ms * 2;
        breaker->pause_ms = longer_ms < BREAKER_PAUSE_MAX_MS ? longer_ms : BREAKER_PAUSE_MAX_MS;
        breaker->probe_ms = now_ms + breaker->pause_ms;
    }
    breaker->is_open = true;
    breaker->is_probing = false;
    assert(breaker->pause_ms >= BREAKER_PAUSE_MS && breaker->pause_ms <= BREAKER_PAUSE_MAX_MS);
    return !was_open;
}

bool breaker_close(struct breaker *breaker)
{
    bool was_open = breaker->is_open;
    *breaker = (struct breaker){.failures = 0};
    return was_open;
}
