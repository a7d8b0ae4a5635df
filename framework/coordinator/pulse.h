/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether the owner is at work, for those who ask often and must cost nothing: probes and watchdogs
 * read two words that the owner writes once a turn. Nobody waits for anything here.
 */
#ifndef TERCET_PULSE_H
#define TERCET_PULSE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct pulse {
    /* Monotonic: when the turn that goes on began; while the owner sleeps, when it will wake up at
     * the latest. Zeroed: it has not begun, and is not late. */
    atomic_int_least64_t due_ms;
    atomic_bool is_accepting; /* new transactions are taken */
};

/* The owner's: a turn begins; and it has ended, and the next one begins at `until_ms` at the latest
 * (INT64_MAX: when something comes). */
void pulse_work(struct pulse *pulse, int64_t now_ms);
void pulse_rest(struct pulse *pulse, int64_t until_ms);

/* For how long the owner has been in one turn, or has overslept; 0: it sleeps, as it should. Any
 * thread. */
int64_t pulse_held_up_ms(struct pulse *pulse, int64_t now_ms);

#endif
