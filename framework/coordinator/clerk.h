/* SPDX-License-Identifier: Apache-2.0
 *
 * What takes long and concerns the store alone: checking it and copying it. One at a time, in a
 * thread of its own, beside the owner and the committer, which do not wait for it.
 */
#ifndef TERCET_CLERK_H
#define TERCET_CLERK_H

#include "caller.h"
#include "queue.h"

#include <pthread.h>

struct coordinator;

struct clerk {
    pthread_mutex_t lock;
    pthread_t thread;
    char *store_name;       /* by which another process opens the store */
    bool has_thread;        /* to be joined */
    bool is_busy;           /* guarded by the lock, as the above */
    atomic_bool is_closing; /* what is under way ends soon, and nothing more begins */
};

void clerk_init(struct clerk *clerk);
/* Ends what is under way, and waits for it. Twice is fine. */
void clerk_close(struct clerk *clerk);
void clerk_destroy(struct clerk *clerk);

/* Does what METHOD_CHECK or METHOD_BACKUP asks for, and answers the caller, or refuses at once. It
 * ends when the caller goes. Any thread. */
void clerk_take(struct coordinator *c, struct caller *caller, enum method method,
                const ProtobufCMessage *request);

#endif
