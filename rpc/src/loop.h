/* SPDX-License-Identifier: Apache-2.0
 *
 * Pollers and tags. Each poller has a completion queue of its own, and everything of one call
 * completes on one queue: that is what keeps the callbacks of a call from overlapping, with any
 * number of pollers and without a lock.
 */
#ifndef CRPC_LOOP_H
#define CRPC_LOOP_H

#include <crpc/crpc.h>
#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

/* What a completion queue hands back. Embedded in the object that waits. */
struct tag {
    void (*done)(struct tag *tag, bool is_ok);
};

/* What a thread wrote before it handed a tag to gRPC is visible to the poller that gets the tag
 * back, thanks to gRPC's own locks. ThreadSanitizer does not know the inside of that library and
 * has to be told. */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define TAG_HAND_OVER(tag) __tsan_release(tag)
#define TAG_TAKE(tag) __tsan_acquire(tag)
#else
#define TAG_HAND_OVER(tag) ((void)0)
#define TAG_TAKE(tag) ((void)0)
#endif

/* The object a tag is embedded in. */
#define TAG_OWNER(tag, type, member) ((type *)(void *)((char *)(tag)-offsetof(type, member)))

struct poller {
    grpc_completion_queue *queue;
    pthread_t thread;
};

struct crpc_loop {
    atomic_uint next;   /* counts up: the poller of the next call, modulo poller_count */
    atomic_uint owners; /* servers and channels that there are */
    unsigned poller_count;
    struct poller pollers[];
};

/* The queue for a new client call. */
grpc_completion_queue *loop_next_queue(struct crpc_loop *loop);

/* True in a child of a process in which there was a loop already: its threads are not here. */
bool loop_is_forked(void);

/* Asserts that the caller is not a poller: it is about to wait for one. */
void loop_assert_may_block(void);

/* Installs the log hook of the first loop, and takes it away with that loop. */
void log_hook_add(struct crpc_loop *loop, crpc_log_fn on_log, void *ctx);
void log_hook_remove(struct crpc_loop *loop);

#endif
