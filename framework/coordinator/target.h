/* SPDX-License-Identifier: Apache-2.0
 *
 * A service's registered targets: participants that have a port and are called there
 * (Participant.Execute). Several share its calls, each with a breaker of its own. The owner's.
 */
#ifndef TERCET_TARGET_H
#define TERCET_TARGET_H

#include "breaker.h"
#include "offer.h"

#include <crpc/crpc.h>
#include <stdbool.h>
#include <tercet/types.h>

#define SERVICE_TARGETS_MAX 64 /* registered targets of one service */
#define TARGET_WINDOW 64       /* calls a registered target has at once */

struct target {
    struct target *next; /* of the service */
    char *address;
    struct crpc_channel *channel; /* NULL: it was removed, and goes with its last call */
    char *authorization;          /* "Bearer TOKEN", sent with calls; NULL: no token */
    struct offer offer;           /* no actions: all */
    uint32_t call_count;          /* under way */
    uint64_t last_given;          /* calls of all services before its last; 0: none yet */
    struct breaker breaker;
    char last_error[TERCET_TEXT_MAX];
};

/* The targets of a service in the order of their registration, with removed ones that still have
 * calls. */
struct targets {
    struct target *first;
    size_t count; /* that are not removed */
};

/* The target with this address, or NULL. */
struct target *target_find(const struct targets *targets, const char *address);
/* Whether any may be sent calls of the action: it is not removed, and offers it. */
bool target_any_offers(const struct targets *targets, const char *action);
/* The one with the fewest calls that offers the action, has room and answers, or is to be probed;
 * of several the one that was given none for the longest time. NULL: none. */
struct target *target_choose(const struct targets *targets, const char *action, int64_t now_ms);
/* The one that has failed most often in a row, of those that do not answer; NULL: all do. */
struct target *target_find_dead(const struct targets *targets);
/* Whether all of them, and there are some, do not answer; whether any does not. */
bool target_all_open(const struct targets *targets);
bool target_any_open(const struct targets *targets);

/* Adds one behind the others; the channel is its own from here on. */
struct target *target_add(struct targets *targets, const char *address,
                          struct crpc_channel *channel);
/* The token that is sent with calls from now on; "": none. */
void target_set_token(struct target *target, const char *token);
/* The token, or "". */
const char *target_token(const struct target *target);
/* Calls under way there end without an answer; it is freed with the last of them. */
void target_remove(struct targets *targets, struct target *target);
/* A call at the target has ended. Returns the target, or NULL when that was removed and this was
 * its last call. */
struct target *target_end_call(struct targets *targets, struct target *target);
/* How many calls are under way at all targets together. */
uint64_t target_call_count(const struct targets *targets);
void target_free_all(struct targets *targets);

#endif
