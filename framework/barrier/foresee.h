/* SPDX-License-Identifier: Apache-2.0
 *
 * Which changes of rows a call of the barrier asks for first: they are known before it runs.
 */
#ifndef BARRIER_FORESEE_H
#define BARRIER_FORESEE_H

#include <tercet/sys/barrier.h>

/* Calls that are foreseen at a time: each has two changes at most. */
#define FORESEE_MAX (TERCET_BARRIER_CHANGES_MAX / 2)

/* The changes that the call asks for, in its order; how many. `has_ended`: its transaction is at or
 * below the mark. */
size_t foresee_changes(struct tercet_barrier_change *changes,
                       const struct tercet_barrier_call *call, bool has_ended);
/* Whether one of these calls is of that one's branch. */
bool foresee_has_branch(const struct tercet_barrier_call *calls, size_t count,
                        const struct tercet_barrier_call *call);

#endif
