/* SPDX-License-Identifier: Apache-2.0
 *
 * What is to be done after a while, on one thread.
 */
#ifndef TERCET_TORTURE_LATER_H
#define TERCET_TORTURE_LATER_H

#include <stdbool.h>
#include <stdint.h>

/* `is_over`: later_stop is under way; only free what is to be freed. */
typedef void (*later_fn)(void *ctx, bool is_over);

void later_start(void);
void later_stop(void);

/* Those of the same time are done in their order. Any thread, also from a later_fn. */
void later_do(uint64_t ms, later_fn fn, void *ctx);

/* Until nothing waits any more and the last is done. Not from a later_fn. */
void later_await_idle(void);

#endif
