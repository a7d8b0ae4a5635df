/* SPDX-License-Identifier: Apache-2.0
 *
 * target.h
 */
#include "target.h"

#include "arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BEARER "Bearer "

/* -- Finding ----------------------------------------------------------------------------------- */

struct target *target_find(const struct targets *targets, const char *address)
{
    struct target *target = targets->first;
    while (target != NULL && (target->channel == NULL || strcmp(target->address, address) != 0))
        target = target->next;
    return target;
}

static bool offers(const struct target *target, const char *action)
{
    return target->channel != NULL &&
           (target->offer.count == 0 || offer_find(&target->offer, action) != NULL);
}

bool target_any_offers(const struct targets *targets, const char *action)
{
    for (const struct target *target = targets->first; target != NULL; target = target->next)
        if (offers(target, action))
            return true;
    return false;
}

static bool is_freer(const struct target *target, const struct target *than)
{
    if (than == NULL || target->call_count != than->call_count)
        return than == NULL || target->call_count < than->call_count;
    return target->last_given < than->last_given;
}

struct target *target_choose(const struct targets *targets, const char *action, int64_t now_ms)
{
    struct target *best = NULL;
    for (struct target *target = targets->first; target != NULL; target = target->next)
        if (offers(target, action) && target->call_count < TARGET_WINDOW &&
            breaker_lets_through(&target->breaker, now_ms) && is_freer(target, best))
            best = target;
    return best;
}

struct target *target_find_dead(const struct targets *targets)
{
    struct target *dead = NULL;
    for (struct target *target = targets->first; target != NULL; target = target->next)
        if (target->channel != NULL && target->breaker.is_open &&
            (dead == NULL || target->breaker.failures > dead->breaker.failures))
            dead = target;
    return dead;
}

bool target_all_open(const struct targets *targets)
{
    for (const struct target *target = targets->first; target != NULL; target = target->next)
        if (target->channel != NULL && !target->breaker.is_open)
            return false;
    return targets->count > 0;
}

bool target_any_open(const struct targets *targets)
{
    return target_find_dead(targets) != NULL;
}

/* -- Coming and going -------------------------------------------------------------------------- */

struct target *target_add(struct targets *targets, const char *address,
                          struct crpc_channel *channel)
{
    struct target **link = &targets->first;
    struct target *target = must_alloc(sizeof(*target));
    assert(targets->count < SERVICE_TARGETS_MAX && target_find(targets, address) == NULL);
    while (*link != NULL)
        link = &(*link)->next;
    *link = target;
    target->channel = channel;
    target->address = must_strdup(address);
    targets->count++;
    return target;
}

void target_set_token(struct target *target, const char *token)
{
    free(target->authorization);
    target->authorization = NULL;
    if (token[0] == '\0')
        return;
    target->authorization = must_alloc(sizeof(BEARER) + strlen(token));
    stpcpy(stpcpy(target->authorization, BEARER), token);
}

const char *target_token(const struct target *target)
{
    return target->authorization != NULL ? target->authorization + strlen(BEARER) : "";
}

static void free_target(struct target *target)
{
    crpc_channel_free(target->channel);
    offer_clear(&target->offer);
    free(target->authorization);
    free(target->address);
    free(target);
}

/* Whether it is. */
static bool free_if_over(struct targets *targets, struct target *target)
{
    struct target **link = &targets->first;
    if (target->channel != NULL || target->call_count > 0)
        return false;
    while (*link != NULL && *link != target)
        link = &(*link)->next;
    assert(*link == target);
    *link = target->next;
    free_target(target);
    return true;
}

void target_remove(struct targets *targets, struct target *target)
{
    assert(target->channel != NULL && targets->count > 0);
    crpc_channel_free(target->channel);
    target->channel = NULL;
    targets->count--;
    free_if_over(targets, target);
}

struct target *target_end_call(struct targets *targets, struct target *target)
{
    assert(target->call_count > 0);
    target->call_count--;
    return free_if_over(targets, target) ? NULL : target;
}

uint64_t target_call_count(const struct targets *targets)
{
    uint64_t calls = 0;
    for (const struct target *target = targets->first; target != NULL; target = target->next)
        calls += target->call_count;
    return calls;
}

void target_free_all(struct targets *targets)
{
    while (targets->first != NULL) {
        struct target *target = targets->first;
        targets->first = target->next;
        free_target(target);
    }
    targets->count = 0;
}
