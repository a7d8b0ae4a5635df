/* SPDX-License-Identifier: Apache-2.0
 *
 * Late copies: records that have been delivered once and are delivered again seconds or minutes
 * later, over whatever stream is there then. Kept while it is calm.
 */
#ifndef TERCET_TORTURE_LATE_H
#define TERCET_TORTURE_LATE_H

#include "relay.h"

/* `service` "": for the coordinator. With RELAY_ATTACH and `is_executed`, for a participant that is
 * called. Copies all. */
void late_keep(enum relay_kind kind, bool is_executed, const char *service,
               struct crpc_bytes record);

/* Delivers those whose time has come, or all. How many. */
size_t late_deliver(bool is_all);

void late_free(void);

#endif
