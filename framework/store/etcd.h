/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver of stores in etcd, in a library of its own: it needs the RPC library.
 */
#ifndef TERCET_ETCD_H
#define TERCET_ETCD_H

#include "store.h"

/* "etcd://HOST:PORT[,HOST:PORT]/PREFIX[?lease=5s&takeover=now]": keys under the prefix of an etcd
 * cluster, version 3.4 or later. Several processes may name it: one owns it, the others wait in
 * acquire until its lease is gone. One shard. A batch past etcd's limits is parted between numbers.
 */
extern const struct tercet_store_driver store_etcd_driver;

/* etcd only, for tests: the next commit is not sent, and its outcome is unknown. `state` is the
 * driver's. */
void store_etcd_fail_next(void *state);

#endif
