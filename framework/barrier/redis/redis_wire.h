/* SPDX-License-Identifier: Apache-2.0
 *
 * hiredis writes to its socket as to any file: where the server has gone, that is a SIGPIPE, which
 * would end the application.
 */
#ifndef BARRIER_REDIS_WIRE_H
#define BARRIER_REDIS_WIRE_H

#include <hiredis/hiredis.h>

/* redisGetReply, without the signal. */
int wire_reply(redisContext *conn, void **reply);

#endif
