/* SPDX-License-Identifier: Apache-2.0
 *
 * What callers leave unread, counted: all of it is given back.
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "caller.h"
#include "peers.h"

#define SNAPSHOT_SIZE 1000

/* A call that is none: only its address counts. */
static char a_call;
static bool is_faked;
static bool is_over;

int __real_crpc_call_send_owned(struct crpc_call *call, void *data, size_t size);
int __wrap_crpc_call_send_owned(struct crpc_call *call, void *data, size_t size);
int __wrap_crpc_call_send_owned(struct crpc_call *call, void *data, size_t size)
{
    if (!is_faked)
        return __real_crpc_call_send_owned(call, data, size);
    if (is_over)
        return CRPC_ECLOSED;
    free(data);
    return 0;
}

struct crpc_call *__real_crpc_call_ref(struct crpc_call *call);
struct crpc_call *__wrap_crpc_call_ref(struct crpc_call *call);
struct crpc_call *__wrap_crpc_call_ref(struct crpc_call *call)
{
    return is_faked ? call : __real_crpc_call_ref(call);
}

void __real_crpc_call_unref(struct crpc_call *call);
void __wrap_crpc_call_unref(struct crpc_call *call);
void __wrap_crpc_call_unref(struct crpc_call *call)
{
    if (!is_faked)
        __real_crpc_call_unref(call);
}

const char *__real_crpc_call_peer(const struct crpc_call *call);
const char *__wrap_crpc_call_peer(const struct crpc_call *call);
const char *__wrap_crpc_call_peer(const struct crpc_call *call)
{
    return is_faked || call == NULL ? "ipv4:127.0.0.1:77" : __real_crpc_call_peer(call);
}

/* Callers of other tests may have no call: they say nothing of themselves. */
bool __real_crpc_call_metadata_get(struct crpc_call *call, const char *key, struct crpc_bytes *out);
bool __wrap_crpc_call_metadata_get(struct crpc_call *call, const char *key, struct crpc_bytes *out);
bool __wrap_crpc_call_metadata_get(struct crpc_call *call, const char *key, struct crpc_bytes *out)
{
    return call != NULL && __real_crpc_call_metadata_get(call, key, out);
}

static struct caller *watcher(struct peers *peers, struct budget *unread)
{
    struct caller *caller = caller_new(CALLER_WATCH, (struct crpc_call *)&a_call);
    cr_assert_not_null(caller);
    cr_assert(caller_count(caller, peers, unread));
    return caller;
}

static void push(struct caller *caller)
{
    static const uint8_t snapshot[SNAPSHOT_SIZE];
    caller_watch_push(caller, (struct crpc_bytes){snapshot, sizeof(snapshot)}, false);
}

/* The call is over, and its end is not told yet: what cannot be sent is left unread by nobody. */
Test(caller, a_watch_that_cannot_be_sent_is_not_counted)
{
    static struct peers peers;
    struct budget unread = {.max = 1 << 20};
    peers_init(&peers);
    is_faked = true;
    struct caller *caller = watcher(&peers, &unread);
    push(caller);
    push(caller);
    cr_assert_eq(unread.used, 2 * SNAPSHOT_SIZE, "one on its way, one behind it");
    is_over = true;
    caller_watch_sent(caller);
    cr_assert_eq(unread.used, 0);
    for (int i = 0; i < 3; i++)
        push(caller);
    cr_assert_eq(unread.used, 0);
    caller_unref(caller);
    cr_assert_eq(unread.used, 0);
}
