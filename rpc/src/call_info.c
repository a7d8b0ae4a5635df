/* SPDX-License-Identifier: Apache-2.0
 *
 * What a call can tell about itself: metadata, deadline, method, peer, identity.
 */
#include "call.h"

#include "util.h"

#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <string.h>

bool crpc_call_metadata(struct crpc_call *call, size_t i, struct crpc_metadata *out)
{
    pthread_mutex_lock(&call->lock);
    bool is_there = i < call->headers_in.count;
    if (is_there)
        *out = call->headers_in.entries[i];
    pthread_mutex_unlock(&call->lock);
    return is_there;
}

static bool get_locked(struct crpc_call *call, const struct metadata_in *list, const char *key,
                       struct crpc_bytes *out)
{
    pthread_mutex_lock(&call->lock);
    bool is_there = metadata_in_get(list, key, out);
    pthread_mutex_unlock(&call->lock);
    return is_there;
}

bool crpc_call_metadata_get(struct crpc_call *call, const char *key, struct crpc_bytes *out)
{
    return get_locked(call, &call->headers_in, key, out);
}

bool crpc_call_trailer_get(struct crpc_call *call, const char *key, struct crpc_bytes *out)
{
    return get_locked(call, &call->trailers_in, key, out);
}

int64_t crpc_call_time_left_ms(const struct crpc_call *call)
{
    if (gpr_time_cmp(call->deadline, gpr_inf_future(call->deadline.clock_type)) == 0)
        return INT64_MAX;
    gpr_timespec left = gpr_time_sub(call->deadline, gpr_now(GPR_CLOCK_MONOTONIC));
    int64_t left_ms = left.tv_sec * INT64_C(1000) + left.tv_nsec / 1000000;
    return left_ms > 0 ? left_ms : 0;
}

const char *crpc_call_method(const struct crpc_call *call)
{
    return call->path;
}

static char *peer_copy(grpc_call *core)
{
    char *text = grpc_call_get_peer(core);
    char *copy = text_copy(text, strlen(text));
    gpr_free(text);
    return copy;
}

void call_peer_load(struct crpc_call *call)
{
    /* Before the headers a client call may have no connection yet. */
    if (call->peer != NULL || call->core == NULL || !call->is_headers_in)
        return;
    call->peer = peer_copy(call->core);
    identities_load(&call->identities, call->core);
}

const char *crpc_call_peer(struct crpc_call *call)
{
    pthread_mutex_lock(&call->lock);
    call_peer_load(call);
    const char *peer = call->peer != NULL ? call->peer : "";
    pthread_mutex_unlock(&call->lock);
    return peer;
}

const char *crpc_call_identity_at(struct crpc_call *call, size_t i)
{
    pthread_mutex_lock(&call->lock);
    call_peer_load(call);
    const char *name = i < call->identities.count ? call->identities.names[i] : NULL;
    pthread_mutex_unlock(&call->lock);
    return name;
}

const char *crpc_call_identity(struct crpc_call *call)
{
    return crpc_call_identity_at(call, 0);
}

bool crpc_call_has_identity(struct crpc_call *call, const char *identity)
{
    const char *name;
    for (size_t i = 0; (name = crpc_call_identity_at(call, i)) != NULL; i++)
        if (strcmp(name, identity) == 0)
            return true;
    return false;
}
