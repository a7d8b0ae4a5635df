/* SPDX-License-Identifier: Apache-2.0
 *
 * pulse.h
 */
#include "pulse.h"

void pulse_work(struct pulse *pulse, int64_t now_ms)
{
    atomic_store_explicit(&pulse->due_ms, now_ms, memory_order_relaxed);
}

/* What is overdue begins at once: until then the turn that has ended counts. */
void pulse_rest(struct pulse *pulse, int64_t until_ms)
{
    if (until_ms > atomic_load_explicit(&pulse->due_ms, memory_order_relaxed))
        atomic_store_explicit(&pulse->due_ms, until_ms, memory_order_relaxed);
}

int64_t pulse_held_up_ms(struct pulse *pulse, int64_t now_ms)
{
    const int64_t due_ms = atomic_load_explicit(&pulse->due_ms, memory_order_relaxed);
    return due_ms != 0 && now_ms > due_ms ? now_ms - due_ms : 0;
}
