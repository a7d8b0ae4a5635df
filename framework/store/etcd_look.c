/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: get and find. Who asks does not wait: a thread takes what has come meanwhile, and
 * asks etcd for all of it at once.
 */
#include "etcd_store.h"

#include <assert.h>
#include <clock.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANGES_MAX 120 /* of a transaction: etcd takes 128 */
#define LOOKS_MAX 256  /* taken together */

struct etcd_look {
    struct etcd_look *next;
    bool is_get;
    uint64_t number; /* 0: by gid */
    uint32_t part;
    char gid[TERCET_STORE_GID_MAX + 1];
    tercet_store_found_fn done;
    void *ctx;
    /* what is known so far */
    int rc;
    uint64_t bucket;
    bool is_found;
};

/* One key that is looked for, on behalf of a look. */
struct probe {
    struct etcd_look *look;
    uint64_t bucket;
    struct etcd_key key;
};

static void post(struct etcd_store *store, struct etcd_look *look)
{
    look->next = NULL;
    pthread_mutex_lock(&store->lock);
    *store->looks_end = look;
    store->looks_end = &look->next;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

static struct etcd_look *new_look(uint64_t number, tercet_store_found_fn done, void *ctx)
{
    struct etcd_look *look = etcd_alloc(sizeof(*look));
    look->number = number;
    look->done = done;
    look->ctx = ctx;
    return look;
}

void etcd_store_get(void *state, uint32_t shard, uint64_t number, uint32_t part,
                    tercet_store_found_fn done, void *ctx)
{
    struct etcd_look *look = new_look(number, done, ctx);
    (void)shard;
    look->is_get = true;
    look->part = part;
    post(state, look);
}

void etcd_store_find(void *state, uint32_t shard, const char *gid, uint64_t number,
                     tercet_store_found_fn done, void *ctx)
{
    struct etcd_look *look = new_look(gid == NULL ? number : 0, done, ctx);
    (void)shard;
    if (gid != NULL)
        memcpy(look->gid, gid, strlen(gid) + 1);
    post(state, look);
}

static void end(struct etcd_look *look, int rc, struct tercet_bytes value)
{
    look->done(rc, rc == 0 ? look->number : 0, rc == 0 ? value : (struct tercet_bytes){0},
               look->ctx);
    free(look);
}

/* -- Live records ------------------------------------------------------------------------------ */

struct one_part {
    uint32_t part;
    bool is_there;
    struct etcd_buf value;
};

static int take_part(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    struct one_part *one = ctx;
    (void)number;
    if (part != one->part)
        return 0;
    one->is_there = true;
    etcd_buf_add(&one->value, value, size);
    return 0;
}

static void do_get(struct etcd_store *store, struct etcd_look *look)
{
    struct one_part one = {.part = look->part};
    int rc = etcd_store_scan(store, ETCD_SHARD, look->number, look->number, take_part, &one);
    if (rc == 0 && !one.is_there)
        rc = TERCET_STORE_NOT_FOUND;
    end(look, rc, (struct tercet_bytes){.data = one.value.data, .size = one.value.size});
    etcd_buf_free(&one.value);
}

/* -- Resolved records: which bucket has them --------------------------------------------------- */

static void note_answer(struct probe *probe, const Etcdserverpb__RangeResponse *range)
{
    struct etcd_look *look = probe->look;
    if (look->is_found || look->rc != 0 || range->n_kvs == 0)
        return;
    look->is_found = true;
    look->bucket = probe->bucket;
    const ProtobufCBinaryData *value = &range->kvs[0]->value;
    /* an index entry: v and the number */
    if (look->gid[0] != '\0' &&
        (value->len != 17 || !etcd_key_read(&look->number, value->data, value->len, 1)))
        look->rc = TERCET_STORE_CORRUPT;
}

static void note_answers(struct probe *probes, size_t count, const Etcdserverpb__TxnResponse *reply)
{
    for (size_t i = 0; i < count; i++) {
        bool is_range =
            i < reply->n_responses && reply->responses[i]->response_case ==
                                          ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE;
        if (is_range)
            note_answer(&probes[i], reply->responses[i]->response_range);
        else
            probes[i].look->rc = TERCET_STORE_IO;
    }
}

static void ask(struct etcd_store *store, struct probe *probes, size_t count)
{
    Etcdserverpb__RangeRequest ranges[RANGES_MAX];
    Etcdserverpb__RequestOp ops[RANGES_MAX], *list[RANGES_MAX];
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    Etcdserverpb__TxnResponse *reply = NULL;
    char text[TERCET_STORE_TEXT_MAX];
    assert(count <= RANGES_MAX);
    for (size_t i = 0; i < count; i++) {
        etcdserverpb__range_request__init(&ranges[i]);
        ranges[i].key = etcd_bytes(&probes[i].key);
        ranges[i].keys_only = probes[i].look->gid[0] == '\0';
        etcdserverpb__request_op__init(&ops[i]);
        ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
        ops[i].request_range = &ranges[i];
        list[i] = &ops[i];
    }
    request.n_success = count;
    request.success = list;
    if (etcd_call(store, (ProtobufCMessage **)&reply, &etcdserverpb__kv__descriptor, "Txn",
                  &request.base, clock_monotonic_ms() + store->patience_ms, text) == ETCD_OK) {
        note_answers(probes, count, reply);
        crpc_message_free(&reply->base);
        return;
    }
    etcd_log(store, TERCET_LOG_ERROR, "a transaction cannot be looked up: %s", text);
    for (size_t i = 0; i < count; i++)
        probes[i].look->rc = TERCET_STORE_IO;
}

/* A probe for each bucket, the newest first. The caller frees them. */
static struct probe *make_probes(struct etcd_store *store, struct etcd_look *looks, size_t *count)
{
    size_t look_count = 0;
    for (struct etcd_look *look = looks; look != NULL; look = look->next)
        look_count++;
    pthread_mutex_lock(&store->lock);
    struct probe *probes = etcd_alloc(look_count * store->buckets.count * sizeof(*probes));
    *count = 0;
    for (struct etcd_look *look = looks; look != NULL; look = look->next)
        for (size_t i = store->buckets.count; i-- > 0;) {
            struct probe *probe = &probes[(*count)++];
            probe->look = look;
            probe->bucket = ((const struct etcd_bucket *)store->buckets.items[i].state)->id;
            if (look->gid[0] != '\0')
                etcd_key_gid(&probe->key, store, probe->bucket, look->gid);
            else
                etcd_key_done(&probe->key, store, probe->bucket, look->number);
        }
    pthread_mutex_unlock(&store->lock);
    return probes;
}

/* -- Resolved records: reading them ------------------------------------------------------------ */

struct record {
    bool is_there;
    struct etcd_buf value;
};

static int take_record(const char *key, size_t key_size, const unsigned char *value, size_t size,
                       void *ctx)
{
    struct record *record = ctx;
    (void)key;
    (void)key_size;
    record->is_there = true;
    etcd_buf_add(&record->value, value, size);
    return 0;
}

static bool has_bucket(struct etcd_store *store, uint64_t id)
{
    bool has = false;
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < store->buckets.count; i++)
        has |= ((const struct etcd_bucket *)store->buckets.items[i].state)->id == id;
    pthread_mutex_unlock(&store->lock);
    return has;
}

static void read_record(struct etcd_store *store, struct etcd_look *look)
{
    struct etcd_key from, to;
    struct record record = {.is_there = false};
    etcd_key_done(&from, store, look->bucket, look->number);
    etcd_key_past_chunks(&to, &from);
    int rc = etcd_walk(store, &from, &to, 400, take_record, &record);
    /* The bucket may have been dropped since its index was read. */
    if (rc == 0 && !record.is_there)
        rc = has_bucket(store, look->bucket) ? TERCET_STORE_CORRUPT : TERCET_STORE_NOT_FOUND;
    end(look, rc, (struct tercet_bytes){.data = record.value.data, .size = record.value.size});
    etcd_buf_free(&record.value);
}

static void do_finds(struct etcd_store *store, struct etcd_look *looks)
{
    size_t count;
    struct probe *probes = make_probes(store, looks, &count);
    for (size_t at = 0; at < count; at += RANGES_MAX)
        ask(store, &probes[at], count - at < RANGES_MAX ? count - at : RANGES_MAX);
    free(probes);
    while (looks != NULL) {
        struct etcd_look *look = looks;
        looks = look->next;
        if (look->rc == 0 && look->is_found)
            read_record(store, look);
        else
            end(look, look->rc != 0 ? look->rc : TERCET_STORE_NOT_FOUND, (struct tercet_bytes){0});
    }
}

/* -- The thread -------------------------------------------------------------------------------- */

/* What has come, up to a number of them; NULL: the store is being closed. */
static struct etcd_look *take(struct etcd_store *store)
{
    pthread_mutex_lock(&store->lock);
    while (store->looks == NULL && !store->is_closing)
        pthread_cond_wait(&store->changed, &store->lock);
    struct etcd_look *first = store->looks, *last = first;
    for (int i = 1; last != NULL && i < LOOKS_MAX && last->next != NULL; i++)
        last = last->next;
    if (last != NULL) {
        store->looks = last->next;
        last->next = NULL;
    }
    if (store->looks == NULL)
        store->looks_end = &store->looks;
    pthread_mutex_unlock(&store->lock);
    return first;
}

void *etcd_look_run(void *ctx)
{
    struct etcd_store *store = ctx;
    struct etcd_look *looks;
    while ((looks = take(store)) != NULL) {
        struct etcd_look *finds = NULL, **end_of_finds = &finds;
        while (looks != NULL) {
            struct etcd_look *look = looks;
            looks = look->next;
            look->next = NULL;
            if (look->is_get) {
                do_get(store, look);
            } else {
                *end_of_finds = look;
                end_of_finds = &look->next;
            }
        }
        if (finds != NULL)
            do_finds(store, finds);
    }
    return NULL;
}
