/* SPDX-License-Identifier: Apache-2.0
 *
 * A proxy at a Unix socket, between a barrier and its PostgreSQL, MariaDB or Redis, that knows
 * where the protocol's messages end: it counts them, and cuts a connection at the n-th.
 */
#ifndef CUTTER_H
#define CUTTER_H

#include <stdbool.h>

enum cutter_protocol { CUTTER_POSTGRES, CUTTER_MYSQL, CUTTER_REDIS };
enum cutter_direction { CUTTER_TO_SERVER, CUTTER_TO_CLIENT };

struct cutter;

/* Listens at `path`, and passes on to the socket `server`. NULL: it cannot. */
struct cutter *cutter_start(enum cutter_protocol protocol, const char *path, const char *server);
/* Ends every connection, and removes the socket. */
void cutter_stop(struct cutter *cutter);

/* From now on messages in this direction are counted from 1, whatever connection they are of; at
 * number `at` that connection is cut, before the message is passed on or after. Once; 0: never. */
void cutter_arm(struct cutter *cutter, enum cutter_direction direction, int at, bool after);
/* Whether it has been cut since then. */
bool cutter_has_cut(struct cutter *cutter);

#endif
