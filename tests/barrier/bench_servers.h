/* SPDX-License-Identifier: Apache-2.0
 *
 * The servers that the barrier's tests know; each is there when its driver was built.
 */
#ifndef BENCH_SERVERS_H
#define BENCH_SERVERS_H

#include "bench.h"

extern const struct bench_server bench_postgres;
extern const struct bench_server bench_mysql;
extern const struct bench_server bench_redis;

#endif
