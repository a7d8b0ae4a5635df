/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_wire.h.
 */
#include "redis_wire.h"

#include <signal.h>
#include <stdbool.h>
#include <time.h>

/* Blocks the signal for this thread, and takes it away when it has come meanwhile; one that was
 * waiting before is another's. */
int wire_reply(redisContext *conn, void **reply)
{
    sigset_t pipe, before, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    int rc = redisGetReply(conn, reply);
    if (rc != REDIS_OK && !was_pending)
        sigtimedwait(&pipe, NULL, &(struct timespec){.tv_sec = 0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}
