/* SPDX-License-Identifier: Apache-2.0
 *
 * Money is int64_t cents; only people see the point: printf("for " MONEY, MONEY_OF(total_cents)).
 */
#ifndef SAMPLES_MONEY_H
#define SAMPLES_MONEY_H

#include <inttypes.h>

#define MONEY "%" PRId64 ".%02" PRId64
#define MONEY_OF(cents) (int64_t)(cents) / 100, (int64_t)(cents) % 100

#endif
