/* SPDX-License-Identifier: Apache-2.0
 *
 * collect.h
 */
#include "collect.h"

#include "audit.h"
#include "coordinator.h"
#include "effect.h"

#include <stdio.h>

struct look {
    struct arena *arena;
    Tercet__V1__CollectResponse *response;
    int64_t before_ms; /* buckets that ended by then go */
};

static int add_bucket(const struct tercet_store_bucket *bucket, void *ctx)
{
    struct look *look = ctx;
    Tercet__V1__CollectResponse *response = look->response;
    Tercet__V1__ResolvedBucket *out = arena_alloc(look->arena, sizeof(*out));
    tercet__v1__resolved_bucket__init(out);
    out->start_ms = bucket->start_ms;
    out->end_ms = bucket->end_ms;
    out->records = bucket->records;
    out->bytes = bucket->bytes;
    out->goes = bucket->end_ms <= look->before_ms;
    response->buckets[response->n_buckets++] = out;
    response->records += out->goes ? out->records : 0;
    response->bytes += out->goes ? out->bytes : 0;
    return 0;
}

static int look_at(struct look *look, struct shard *shard, int64_t older_than_ms)
{
    look->before_ms = retention_now_ms(&shard->retention, shard->clock->now_ms) - older_than_ms;
    return store_buckets(shard->store, shard->number, add_bucket, look);
}

static int look_at_all(struct request *r, const Tercet__V1__CollectRequest *request,
                       Tercet__V1__CollectResponse *response, struct refusal *no)
{
    struct look look = {.arena = &r->c->scratch, .response = response};
    int rc = 0;
    response->buckets = arena_alloc(look.arena, r->c->shard_count * TERCET_STORE_BUCKETS_MAX *
                                                    sizeof(*response->buckets));
    for (size_t i = 0; i < r->c->shard_count && rc == 0; i++)
        rc = look_at(&look, &r->c->shards[i], request->older_than_ms);
    if (rc == 0)
        return 0;
    return refusal_set(no, TERCET_STORE, "what is kept cannot be looked through: %s",
                       rc == TERCET_STORE_INVALID ? "a store of this kind cannot tell"
                                                  : tercet_store_strerror(rc));
}

static int check(const Tercet__V1__CollectRequest *request, struct refusal *no)
{
    if (request->older_than_ms >= COLLECT_AGE_MS_MIN)
        return 0;
    return refusal_set(no, TERCET_INVALID,
                       "at least an hour is kept (older_than_ms): who asks again under a gid that "
                       "was dropped begins anew");
}

static void drop(struct request *r, int64_t older_than_ms)
{
    for (size_t i = 0; i < r->c->shard_count; i++) {
        struct shard *shard = &r->c->shards[i];
        int64_t now_ms = retention_now_ms(&shard->retention, shard->clock->now_ms);
        batch_drop_resolved(shard, now_ms - older_than_ms);
    }
}

static void note(struct request *r, const Tercet__V1__CollectRequest *request,
                 const Tercet__V1__CollectResponse *response, const struct refusal *no)
{
    char what[TERCET_TEXT_MAX + 8]; /* room for the end of a character that is cut */
    snprintf(what, sizeof(what), "%llu transactions, over for %lld h%s%s",
             (unsigned long long)response->records, (long long)(request->older_than_ms / 3600000),
             request->reason[0] != '\0' ? ": " : "", request->reason);
    audit_note(r->c, r->caller, &(struct audit_act){.action = "gc", .reason = what}, no);
    if (no == NULL)
        coordinator_log_of(r->c, LOG_STORE, TERCET_LOG_WARNING,
                           "an operator drops %llu transactions that have been over for %lld h",
                           (unsigned long long)response->records,
                           (long long)(request->older_than_ms / 3600000));
}

void collect(struct request *r, const ProtobufCMessage *message)
{
    const Tercet__V1__CollectRequest *request = (const Tercet__V1__CollectRequest *)message;
    Tercet__V1__CollectResponse response = TERCET__V1__COLLECT_RESPONSE__INIT;
    struct refusal no;
    int rc = check(request, &no);
    if (rc == 0)
        rc = look_at_all(r, request, &response, &no);
    response.retention_ms = r->c->options.retention_ms;
    if (rc == 0 && !request->dry_run && response.records > 0)
        drop(r, request->older_than_ms);
    if (!request->dry_run)
        note(r, request, &response, rc != 0 ? &no : NULL);
    if (rc != 0) {
        answer_error(r->c, r->caller, r->id, &no);
        return;
    }
    struct reply reply = {.message = &response.base};
    effect_answer_forced(r->c, r->caller, &reply, coordinator_home(r->c));
}
