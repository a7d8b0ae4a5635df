/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: whose the store is. The value of P/SSSS/owner is the fence; whether the owner's
 * member key is there is a hint, which a new owner waits for, and which proves nothing.
 */
#include "etcd_store.h"

#include <clock.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "key.h"
#include "source.h"

#define FORMAT_VERSION 1
#define POLL_MS 200 /* between two looks whether the owner is still there */
#define SAYS_EACH_MS 60000

/* -- Small transactions ------------------------------------------------------------------------ */

/* A key's value into `out`, ended by NUL. 0, _NOT_FOUND, _CORRUPT, _IO with `text`. */
static int get(struct etcd_store *store, const struct etcd_key *key, char *out, size_t out_size,
               int64_t patience_ms, char *text)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *reply = NULL;
    int rc = 0;
    request.key = etcd_bytes(key);
    if (etcd_call(store, (ProtobufCMessage **)&reply, &etcdserverpb__kv__descriptor, "Range",
                  &request.base, clock_monotonic_ms() + patience_ms, text) != ETCD_OK)
        return TERCET_STORE_IO;
    if (reply->n_kvs == 0)
        rc = TERCET_STORE_NOT_FOUND;
    else if (reply->kvs[0]->value.len >= out_size)
        rc = TERCET_STORE_CORRUPT;
    else {
        memcpy(out, reply->kvs[0]->value.data, reply->kvs[0]->value.len);
        out[reply->kvs[0]->value.len] = '\0';
    }
    crpc_message_free(&reply->base);
    return rc;
}

/* A comparison with a value; with "": that there is none. */
static void compare(Etcdserverpb__Compare *compare, const struct etcd_key *key, const char *seen)
{
    etcdserverpb__compare__init(compare);
    compare->key = etcd_bytes(key);
    if (seen[0] == '\0') {
        compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__CREATE;
        compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_CREATE_REVISION;
        return;
    }
    compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
    compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
    compare->value = (ProtobufCBinaryData){.len = strlen(seen), .data = (uint8_t *)(uintptr_t)seen};
}

static int send_swap(struct etcd_store *store, const Etcdserverpb__TxnRequest *request,
                     bool *is_done, char *text)
{
    Etcdserverpb__TxnResponse *reply = NULL;
    if (etcd_call(store, (ProtobufCMessage **)&reply, &etcdserverpb__kv__descriptor, "Txn",
                  &request->base, clock_monotonic_ms() + store->patience_ms, text) != ETCD_OK)
        return TERCET_STORE_IO;
    *is_done = reply->succeeded;
    crpc_message_free(&reply->base);
    return 0;
}

/* Puts `value` when the key's value is `seen` ("": there is none), and `absent` (NULL: whatever)
 * is not there. Sent again until it is known: 0, _FENCED (it is another value now), _IO. */
static int swap(struct etcd_store *store, const struct etcd_key *key, const char *seen,
                const char *value, const struct etcd_key *absent, char *text)
{
    Etcdserverpb__Compare compares[2], *compare_list[2] = {&compares[0], &compares[1]};
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT, *op_list[1] = {&op};
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    char now[ETCD_OWNER_MAX] = "";
    bool is_done = false;
    compare(&compares[0], key, seen);
    if (absent != NULL)
        compare(&compares[1], absent, "");
    put.key = etcd_bytes(key);
    put.value = (ProtobufCBinaryData){.len = strlen(value), .data = (uint8_t *)(uintptr_t)value};
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    request.n_compare = absent != NULL ? 2 : 1;
    request.compare = compare_list;
    request.n_success = 1;
    request.success = op_list;
    int rc = send_swap(store, &request, &is_done, text);
    if (rc != 0 || is_done)
        return rc;
    /* An attempt without an answer may have done it. */
    rc = get(store, key, now, sizeof(now), store->patience_ms, text);
    if (rc == TERCET_STORE_IO)
        return rc;
    return strcmp(now, value) == 0 ? 0 : TERCET_STORE_FENCED;
}

/* -- The format -------------------------------------------------------------------------------- */

static int count_keys(struct etcd_store *store, int64_t *count, char *text)
{
    struct etcd_key from, to;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *reply = NULL;
    etcd_key_format(&from, store);
    from.size = strlen(store->name.prefix) + 1;
    etcd_key_past(&to, &from);
    request.key = etcd_bytes(&from);
    request.range_end = etcd_bytes(&to);
    request.count_only = true;
    if (etcd_call(store, (ProtobufCMessage **)&reply, &etcdserverpb__kv__descriptor, "Range",
                  &request.base, clock_monotonic_ms() + store->patience_ms, text) != ETCD_OK)
        return TERCET_STORE_IO;
    *count = reply->count;
    crpc_message_free(&reply->base);
    return 0;
}

/* There are keys. Those of a store that somebody has made meanwhile came behind its format. */
static int find_format(struct etcd_store *store, const struct etcd_key *key, char *text)
{
    char format[ETCD_OWNER_MAX];
    int rc = get(store, key, format, sizeof(format), store->patience_ms, text);
    if (rc != TERCET_STORE_NOT_FOUND)
        return rc == TERCET_STORE_IO ? rc : 0;
    return etcd_fail(text, TERCET_STORE_CORRUPT,
                     "under %s in etcd there are keys, and they are no store of Tercet's: take "
                     "another prefix",
                     store->name.prefix);
}

static int make_format(struct etcd_store *store, const struct etcd_key *key, char *text)
{
    char format[ETCD_OWNER_MAX];
    int64_t count = 0;
    uint64_t source = store->options.source;
    int rc = count_keys(store, &count, text);
    if (rc == 0 && count > 0)
        return find_format(store, key, text);
    if (rc == 0 && source == 0 && source_make(&source) != 0)
        return etcd_fail(text, TERCET_STORE_IO, "the system gives no random number");
    if (rc != 0)
        return rc;
    snprintf(format, sizeof(format), "tercet-store %d shards=1 source=%016" PRIx64, FORMAT_VERSION,
             source);
    rc = swap(store, key, "", format, NULL, text);
    if (rc == TERCET_STORE_FENCED)
        return 0; /* somebody was first: it is read next */
    if (rc == 0)
        etcd_log(store, TERCET_LOG_INFO, "a new store was made in etcd under %s",
                 store->name.prefix);
    return rc;
}

static int read_format(struct etcd_store *store, const char *format, char *text)
{
    int version = 0;
    unsigned shards = 0;
    if (sscanf(format, "tercet-store %d shards=%u source=%" SCNx64, &version, &shards,
               &store->source) < 1)
        return etcd_fail(text, TERCET_STORE_CORRUPT,
                         "%s/format in etcd is not Tercet's: take another prefix",
                         store->name.prefix);
    if (version > FORMAT_VERSION || shards > 1)
        return etcd_fail(text, TERCET_STORE_NEWER,
                         "the store under %s was made by a newer version of this program: start "
                         "that one",
                         store->name.prefix);
    if (version != FORMAT_VERSION || shards != 1 || store->source == 0)
        return etcd_fail(text, TERCET_STORE_CORRUPT, "%s/format in etcd is damaged: %.60s",
                         store->name.prefix, format);
    if (store->options.shard_count > 1)
        return etcd_fail(text, TERCET_STORE_INVALID, "a store in etcd has one shard");
    return 0;
}

int etcd_own_format(struct etcd_store *store, char *text)
{
    struct etcd_key key;
    char format[ETCD_OWNER_MAX] = "";
    etcd_key_format(&key, store);
    int rc = get(store, &key, format, sizeof(format), store->patience_ms, text);
    if (rc == TERCET_STORE_NOT_FOUND) {
        rc = make_format(store, &key, text);
        if (rc != 0)
            return rc;
        rc = get(store, &key, format, sizeof(format), store->patience_ms, text);
    }
    /* What is too long to be ours is none of ours. */
    return rc == 0 || rc == TERCET_STORE_CORRUPT ? read_format(store, format, text) : rc;
}

/* -- Waiting ----------------------------------------------------------------------------------- */

static bool may_wait(struct etcd_store *store, const char *text)
{
    return store->options.waits_on == NULL ||
           store->options.waits_on(text, store->options.waits_ctx);
}

struct owner {
    char value[ETCD_OWNER_MAX]; /* "": none yet */
    uint64_t epoch, id;
};

static int see_owner(struct etcd_store *store, struct owner *owner, char *text)
{
    struct etcd_key key;
    memset(owner, 0, sizeof(*owner));
    etcd_key_shard(&key, store, "owner");
    int rc = get(store, &key, owner->value, sizeof(owner->value), store->patience_ms, text);
    if (rc == TERCET_STORE_NOT_FOUND)
        return 0;
    if (rc == 0 &&
        sscanf(owner->value, "epoch=%" SCNu64 " member=%" SCNx64, &owner->epoch, &owner->id) != 2)
        rc = etcd_fail(text, TERCET_STORE_CORRUPT, "the record of the store's owner is damaged");
    return rc;
}

static bool is_there(struct etcd_store *store, uint64_t id, char *who, size_t who_size)
{
    struct etcd_key key;
    char text[TERCET_STORE_TEXT_MAX];
    etcd_key_member(&key, store, id);
    snprintf(who, who_size, "unknown");
    return get(store, &key, who, who_size, store->patience_ms, text) != TERCET_STORE_NOT_FOUND;
}

/* Until the owner's lease is gone, which is looked at now and then. 0, _LOCKED: the caller does not
 * want to wait, or a code. */
static int await_owner(struct etcd_store *store, struct owner *owner, char *text)
{
    int64_t said_ms = 0;
    for (;;) {
        char who[80], line[TERCET_STORE_TEXT_MAX];
        int rc = see_owner(store, owner, text);
        if (rc != 0)
            return rc;
        if (owner->id == 0 || owner->id == store->id || store->name.takes_over_now ||
            !is_there(store, owner->id, who, sizeof(who)))
            return 0;
        snprintf(line, sizeof(line),
                 "standby: %.60s holds the store under %.60s (epoch %" PRIu64
                 "); this one takes over when its lease of %u s has run out",
                 who, store->name.prefix, owner->epoch, store->name.lease_s);
        if (said_ms == 0 || clock_monotonic_ms() - said_ms > SAYS_EACH_MS) {
            etcd_log(store, TERCET_LOG_INFO, "%s", line);
            said_ms = clock_monotonic_ms();
        }
        if (!may_wait(store, line))
            return etcd_fail(text, TERCET_STORE_LOCKED, "%.200s", line);
        etcd_pause(POLL_MS);
    }
}

/* -- Loading what is kept in memory ------------------------------------------------------------ */

static int load_bucket(const char *key, size_t key_size, const unsigned char *value, size_t size,
                       void *ctx)
{
    struct etcd_store *store = ctx;
    struct bucket bucket = {.start_ms = 0};
    struct etcd_bucket *state = etcd_alloc(sizeof(*state));
    char span[48];
    snprintf(span, sizeof(span), "%.*s", (int)size, (const char *)value);
    bucket.state = state;
    if (key_size < 16 || !etcd_key_read(&state->id, key, key_size, key_size - 16) ||
        sscanf(span, "%" SCNd64 " %" SCNd64, &bucket.start_ms, &bucket.end_ms) != 2 ||
        buckets_insert(&store->buckets, &bucket) != 0) {
        free(state);
        return TERCET_STORE_CORRUPT;
    }
    return 0;
}

static int load_part(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    (void)value;
    (void)size;
    etcd_live_put(&((struct etcd_store *)ctx)->live, number, part);
    return 0;
}

static int count_bucket(struct etcd_store *store, struct etcd_bucket *bucket)
{
    struct etcd_key from, to;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *reply = NULL;
    char text[TERCET_STORE_TEXT_MAX];
    etcd_key_of_bucket(&from, store, "gid", bucket->id);
    etcd_key_past(&to, &from);
    request.key = etcd_bytes(&from);
    request.range_end = etcd_bytes(&to);
    request.count_only = true;
    if (etcd_call(store, (ProtobufCMessage **)&reply, &etcdserverpb__kv__descriptor, "Range",
                  &request.base, clock_monotonic_ms() + store->patience_ms, text) != ETCD_OK)
        return TERCET_STORE_IO;
    bucket->count = (uint64_t)reply->count;
    crpc_message_free(&reply->base);
    return 0;
}

/* Nothing can change any more but by this owner; nobody else in this process reads yet. */
static int load(struct etcd_store *store)
{
    struct etcd_key from, to;
    etcd_buckets_free(&store->buckets);
    etcd_live_clear(&store->live);
    etcd_key_shard(&from, store, "bucket/");
    etcd_key_past(&to, &from);
    int rc = etcd_walk(store, &from, &to, TERCET_STORE_BUCKETS_MAX, load_bucket, store);
    for (size_t i = 0; i < store->buckets.count && rc == 0; i++)
        rc = count_bucket(store, store->buckets.items[i].state);
    return rc == 0 ? etcd_store_scan(store, ETCD_SHARD, 1, UINT64_MAX, load_part, store) : rc;
}

/* The batch number as the last owner left it, and one more: so the chunks of a batch that it did
 * not finish have a number that is never given again. */
static int take_batch(struct etcd_store *store, char *text)
{
    struct etcd_key key;
    char value[ETCD_OWNER_MAX] = "";
    etcd_key_shard(&key, store, "batch");
    int rc = get(store, &key, value, sizeof(value), store->patience_ms, text);
    if (rc == TERCET_STORE_NOT_FOUND) {
        snprintf(value, sizeof(value), "%016x %016x", 1, 0);
        rc = swap(store, &key, "", value, NULL, text);
    }
    if (rc != 0)
        return rc;
    if (sscanf(value, "%" SCNx64 " %" SCNx64, &store->batch, &store->number_top) != 2)
        return etcd_fail(text, TERCET_STORE_CORRUPT, "the record of the last batch is damaged");
    return etcd_write_fenced(store, NULL, 0, store->number_top);
}

/* -- Taking it --------------------------------------------------------------------------------- */

static int take(struct etcd_store *store, const struct owner *seen, char *text)
{
    char host[64] = "", value[ETCD_OWNER_MAX];
    struct etcd_key key, member;
    bool waits = seen->id != 0 && seen->id != store->id && !store->name.takes_over_now;
    gethostname(host, sizeof(host) - 1);
    snprintf(value, sizeof(value), "epoch=%" PRIu64 " member=%016" PRIx64 " %.40s pid %d",
             seen->epoch + 1, store->id, host, (int)getpid());
    etcd_key_shard(&key, store, "owner");
    etcd_key_member(&member, store, seen->id);
    int rc = swap(store, &key, seen->value, value, waits ? &member : NULL, text);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&store->lock);
    store->epoch = seen->epoch + 1;
    memcpy(store->owner, value, sizeof(value));
    pthread_mutex_unlock(&store->lock);
    return 0;
}

static int acquire(struct etcd_store *store, char *text)
{
    struct owner owner;
    int rc;
    do {
        rc = await_owner(store, &owner, text);
        if (rc == 0)
            rc = etcd_upkeep_grant(store, text);
        if (rc == 0)
            rc = take(store, &owner, text);
    } while (rc == TERCET_STORE_FENCED); /* somebody was faster: it is his now */
    if (rc == 0)
        rc = take_batch(store, text);
    if (rc == 0)
        rc = load(store);
    if (rc == 0 && owner.id != 0 && owner.id != store->id)
        etcd_log(store, TERCET_LOG_INFO,
                 "the store under %s was taken over, epoch %" PRIu64 ", after: %s",
                 store->name.prefix, store->epoch, owner.value);
    return rc;
}

int etcd_store_acquire(void *state, uint32_t shard, struct tercet_store_lease *out)
{
    struct etcd_store *store = state;
    char text[TERCET_STORE_TEXT_MAX] = "";
    (void)shard;
    int rc = acquire(store, text);
    pthread_mutex_lock(&store->lock);
    store->is_held = rc == 0;
    store->commits += rc == 0;
    *out = rc == 0 ? (struct tercet_store_lease){.epoch = store->epoch,
                                                 .next_number = store->number_top + 1,
                                                 .source = store->source}
                   : *out;
    pthread_mutex_unlock(&store->lock);
    if (rc != 0 && text[0] != '\0' && rc != TERCET_STORE_LOCKED)
        etcd_log(store, TERCET_LOG_ERROR, "the store cannot be taken: %s", text);
    return rc == TERCET_STORE_UNKNOWN || rc == TERCET_STORE_FENCED ? TERCET_STORE_IO : rc;
}

void etcd_store_release(void *state, uint32_t shard, uint64_t epoch)
{
    struct etcd_store *store = state;
    (void)shard;
    pthread_mutex_lock(&store->lock);
    bool is_ours = store->is_held && store->epoch == epoch;
    if (is_ours)
        store->is_held = false;
    pthread_mutex_unlock(&store->lock);
    if (is_ours)
        etcd_upkeep_revoke(store);
}
