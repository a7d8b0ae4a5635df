/* SPDX-License-Identifier: Apache-2.0
 *
 * caller.h
 */
#include "caller.h"

#include "detail.h"
#include "failpoint.h"
#include "status.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/types.h>
#include <tercet/v1/tercet.pb-c.h>
#include <xxhash.h>

#define FIELD_RESPONSES 1 /* of SessionResponses */

struct caller *caller_new(enum caller_kind kind, struct crpc_call *call)
{
    struct caller *caller = calloc(1, sizeof(*caller));
    if (caller == NULL)
        return NULL;
    caller->references = 1;
    caller->kind = kind;
    if (kind == CALLER_SESSION && outbox_new(&caller->outbox, call, SESSION_OUTBOX_MAX) != 0) {
        free(caller);
        return NULL;
    }
    pthread_mutex_init(&caller->watch_lock, NULL);
    crpc_call_ref(call);
    caller->call = call;
    return caller;
}

void caller_ref(struct caller *caller)
{
    atomic_fetch_add(&caller->references, 1);
}

bool caller_count(struct caller *caller, struct peers *peers, struct budget *unread)
{
    caller->peer = peers_get(peers, caller->call);
    if (caller->peer == NULL)
        return false;
    caller->peers = peers;
    caller->unread = unread;
    if (caller->outbox != NULL)
        outbox_set_budget(caller->outbox, unread, caller_group(caller));
    return true;
}

struct budget_group *caller_group(const struct caller *caller)
{
    return caller->peer != NULL ? &caller->peer->address->unread : NULL;
}

static void give_back(const struct caller *caller, size_t size)
{
    budget_give_in(caller->unread, caller_group(caller), size);
}

void caller_unref(struct caller *caller)
{
    if (caller == NULL)
        return;
    unsigned before = atomic_fetch_sub(&caller->references, 1);
    assert(before > 0);
    if (before > 1)
        return;
    outbox_free(caller->outbox);
    pthread_mutex_destroy(&caller->watch_lock);
    free((void *)caller->watch_pending.data);
    give_back(caller, caller->watch_pending.size + caller->watch_bytes_in_flight);
    give_back(caller, caller->reply_bytes);
    if (caller->peer != NULL)
        atomic_fetch_sub(&caller->peer->replies, caller->reply_bytes);
    peers_put(caller->peers, caller->peer);
    rights_clear(&caller->rights);
    crpc_call_unref(caller->call);
    free(caller);
}

uint64_t caller_initiator(const struct caller *caller)
{
    struct crpc_bytes token = {NULL, 0};
    const char *peer = crpc_call_peer(caller->call);
    const char *port = strrchr(peer, ':');
    size_t host_size = port != NULL ? (size_t)(port - peer) : strlen(peer);
    bool has_token = crpc_call_metadata_get(caller->call, "authorization", &token);
    uint64_t hash = has_token ? XXH3_64bits(token.data, token.size) : XXH3_64bits(peer, host_size);
    return hash != 0 ? hash : 1;
}

/* -- Encoding ---------------------------------------------------------------------------------- */

static void set_response(Tercet__V1__SessionResponse *response, const ProtobufCMessage *message)
{
    if (message == NULL)
        return;
    if (message->descriptor == &tercet__v1__try_response__descriptor) {
        response->response_case = TERCET__V1__SESSION_RESPONSE__RESPONSE_TRIED;
        response->tried = (Tercet__V1__TryResponse *)message;
    } else {
        response->response_case = TERCET__V1__SESSION_RESPONSE__RESPONSE_TRANSACTION;
        response->transaction = (Tercet__V1__Transaction *)message;
    }
}

struct answer caller_encode(const struct caller *caller, struct arena *arena, uint64_t id,
                            const struct reply *reply)
{
    struct answer answer = {.code = CRPC_OK};
    if (reply->no != NULL) {
        answer.code = status_of_error(reply->no->code);
        answer.text = arena_copy(arena, reply->no->text, strlen(reply->no->text) + 1);
        answer.details = detail_encode(arena, answer.code, reply->no, reply->message);
    }
    if (caller->kind == CALLER_SESSION) {
        Tercet__V1__SessionResponse response = TERCET__V1__SESSION_RESPONSE__INIT;
        response.id = id;
        response.code = (uint32_t)answer.code;
        response.message = answer.text != NULL ? (char *)answer.text : response.message;
        response.details =
            (ProtobufCBinaryData){answer.details.size, (uint8_t *)answer.details.data};
        set_response(&response, reply->message);
        answer.bytes = arena_pack(arena, 0, &response.base);
    } else if (reply->no == NULL) {
        answer.bytes = arena_pack(arena, 0, reply->message);
    }
    return answer;
}

/* -- Delivering -------------------------------------------------------------------------------- */

static void deliver_status(struct caller *caller, const struct answer *answer)
{
    struct crpc_status status = {
        .code = answer->code, .message = answer->text, .details = answer->details};
    FAILPOINT_AROUND("send.status", crpc_call_finish(caller->call, &status));
}

bool caller_takes(const struct caller *caller)
{
    return !caller->is_refused && !atomic_load(&caller->is_gone);
}

void caller_refuse(struct caller *caller)
{
    caller->is_refused = true;
    crpc_call_fail(
        caller->call, CRPC_RESOURCE_EXHAUSTED,
        "this session is ended: its client leaves answers unread, more than %u MiB or "
        "its share of the memory for them (tercetd --memory-max). Read answers while you "
        "send; ask again in a new session, with the same gids",
        SESSION_OUTBOX_MAX >> 20);
}

static bool take_reply(const struct caller *caller, size_t size)
{
    size_t own = caller->peer != NULL ? atomic_load(&caller->peer->replies) : 0;
    return budget_take_in(caller->unread, caller_group(caller), own, size);
}

bool caller_has_room(const struct caller *caller, size_t size)
{
    bool has_room = take_reply(caller, size);
    if (has_room)
        give_back(caller, size);
    return has_room;
}

/* It stays counted until the call is over. What its connection has not read of others' answers
 * counts beside it. */
static void deliver_reply(struct caller *caller, struct crpc_bytes bytes)
{
    if (!take_reply(caller, bytes.size)) {
        crpc_call_fail(caller->call, CRPC_RESOURCE_EXHAUSTED, CALLER_NO_ROOM);
        return;
    }
    caller->reply_bytes = bytes.size;
    if (caller->peer != NULL)
        atomic_fetch_add(&caller->peer->replies, bytes.size);
    FAILPOINT_AROUND("send.reply", crpc_call_reply_bytes(caller->call, bytes));
}

void caller_deliver(struct caller *caller, const struct answer *answer)
{
    if (!caller_takes(caller))
        return;
    if (caller->kind == CALLER_SESSION) {
        int rc = outbox_put_bytes(caller->outbox, FIELD_RESPONSES, answer->bytes);
        if (rc == CRPC_ETOOBIG)
            caller_refuse(caller);
        else if (rc == CRPC_ENOMEM)
            crpc_call_fail(caller->call, CRPC_RESOURCE_EXHAUSTED,
                           "out of memory: ask again what was not answered");
    } else if (answer->code != CRPC_OK) {
        deliver_status(caller, answer);
    } else if (caller->kind == CALLER_UNARY) {
        deliver_reply(caller, answer->bytes);
    }
}

void caller_flush(struct caller *caller)
{
    if (caller->outbox != NULL)
        outbox_flush(caller->outbox);
}

/* -- Watching ---------------------------------------------------------------------------------- */

/* Sends what is pending, or ends the call; with the lock held. */
static void watch_go_on(struct caller *caller)
{
    if (caller->watch_in_flight)
        return;
    if (caller->watch_pending.data != NULL) {
        struct crpc_bytes bytes = caller->watch_pending;
        int rc;
        caller->watch_pending = (struct crpc_bytes){NULL, 0};
        caller->watch_bytes_in_flight = bytes.size;
        FAILPOINT_AROUND("send.watch",
                         rc = crpc_call_send_owned(caller->call, (void *)bytes.data, bytes.size));
        caller->watch_in_flight = rc == 0;
        if (!caller->watch_in_flight) {
            free((void *)bytes.data);
            give_back(caller, caller->watch_bytes_in_flight);
            caller->watch_bytes_in_flight = 0;
        }
    } else if (caller->watch_is_last) {
        struct crpc_status ok = {.code = CRPC_OK, .message = ""};
        FAILPOINT_AROUND("send.watch.end", crpc_call_finish(caller->call, &ok));
    }
}

/* The snapshot in the place of one that is not sent yet; with the lock held. */
static bool watch_replace(struct caller *caller, struct crpc_bytes snapshot)
{
    give_back(caller, caller->watch_pending.size);
    free((void *)caller->watch_pending.data);
    caller->watch_pending = (struct crpc_bytes){NULL, 0};
    if (!budget_take_in(caller->unread, caller_group(caller), caller->watch_bytes_in_flight,
                        snapshot.size))
        return false;
    void *copy = malloc(snapshot.size + 1);
    if (copy == NULL) {
        give_back(caller, snapshot.size);
        return false;
    }
    memcpy(copy, snapshot.data, snapshot.size);
    caller->watch_pending = (struct crpc_bytes){copy, snapshot.size};
    return true;
}

void caller_watch_push(struct caller *caller, struct crpc_bytes snapshot, bool is_last)
{
    if (atomic_load(&caller->is_gone))
        return;
    pthread_mutex_lock(&caller->watch_lock);
    if (watch_replace(caller, snapshot)) {
        caller->watch_is_last = is_last;
        watch_go_on(caller);
    } else {
        crpc_call_fail(caller->call, CRPC_RESOURCE_EXHAUSTED,
                       "there is no memory for what is watched, beside what its address leaves "
                       "unread: watch again");
    }
    pthread_mutex_unlock(&caller->watch_lock);
}

void caller_watch_sent(struct caller *caller)
{
    pthread_mutex_lock(&caller->watch_lock);
    caller->watch_in_flight = false;
    give_back(caller, caller->watch_bytes_in_flight);
    caller->watch_bytes_in_flight = 0;
    watch_go_on(caller);
    pthread_mutex_unlock(&caller->watch_lock);
}
