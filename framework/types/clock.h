/* SPDX-License-Identifier: Apache-2.0
 *
 * The two clocks of the system, in milliseconds.
 */
#ifndef TERCET_CLOCK_H
#define TERCET_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Never goes back; counts from some moment of its own. For deadlines and pauses. */
int64_t clock_monotonic_ms(void);

/* The same in microseconds. */
int64_t clock_monotonic_us(void);

/* Since 1970-01-01 UTC; jumps when somebody sets the clock. For what people and other machines see.
 */
int64_t clock_wall_ms(void);

/* A time or a span for functions that take a struct timespec. */
struct timespec clock_timespec(int64_t ms);

#endif
