/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: reading a range. All pages are of one revision, so that what is seen is the state
 * between two writes; when that has been compacted meanwhile, the reading fails.
 */
#include "etcd_store.h"

#include <clock.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_MAX 500

/* What is being put together, and where the reading stands. */
struct walk {
    etcd_walk_fn each;
    void *ctx;
    struct etcd_key key; /* of the value in chunks; size 0: none */
    uint64_t batch, size;
    uint32_t count, next;
    struct etcd_buf buf;
};

static int begin_chunks(struct walk *walk, const ProtobufCBinaryData *key,
                        const ProtobufCBinaryData *value)
{
    char text[64];
    if (value->len >= sizeof(text) || key->len > sizeof(walk->key.bytes))
        return TERCET_STORE_CORRUPT;
    memcpy(text, value->data, value->len);
    text[value->len] = '\0';
    if (sscanf(text, "c%" SCNx64 " %" SCNx32 " %" SCNx64, &walk->batch, &walk->count,
               &walk->size) != 3 ||
        walk->count == 0)
        return TERCET_STORE_CORRUPT;
    memcpy(walk->key.bytes, key->data, key->len);
    walk->key.size = key->len;
    walk->next = 0;
    walk->buf.size = 0;
    return 0;
}

static int take_chunk(struct walk *walk, const ProtobufCBinaryData *key,
                      const ProtobufCBinaryData *value)
{
    struct etcd_key expected;
    if (walk->key.size == 0)
        return 0; /* one that nothing names */
    etcd_key_chunk(&expected, &walk->key, walk->batch, walk->next);
    if (key->len != expected.size || memcmp(key->data, expected.bytes, key->len) != 0)
        return 0;
    etcd_buf_add(&walk->buf, value->data, value->len);
    if (++walk->next < walk->count)
        return 0;
    if (walk->buf.size != walk->size)
        return TERCET_STORE_CORRUPT;
    size_t size = walk->key.size;
    walk->key.size = 0;
    return walk->each(walk->key.bytes, size, walk->buf.data, walk->buf.size, walk->ctx);
}

static int take(struct walk *walk, const Etcdserverpb__KeyValue *kv)
{
    const unsigned char *data = kv->value.data;
    if (memchr(kv->key.data, '\0', kv->key.len) != NULL)
        return take_chunk(walk, &kv->key, &kv->value);
    if (walk->key.size != 0)
        return TERCET_STORE_CORRUPT; /* its chunks are not all there */
    if (kv->value.len == 0)
        return TERCET_STORE_CORRUPT;
    if (data[0] == 'c')
        return begin_chunks(walk, &kv->key, &kv->value);
    if (data[0] != 'v')
        return TERCET_STORE_CORRUPT;
    return walk->each((const char *)kv->key.data, kv->key.len, data + 1, kv->value.len - 1,
                      walk->ctx);
}

static int take_page(struct walk *walk, const Etcdserverpb__RangeResponse *page,
                     struct etcd_key *next)
{
    int rc = 0;
    for (size_t i = 0; i < page->n_kvs && rc == 0; i++)
        rc = take(walk, page->kvs[i]);
    if (rc != 0 || page->n_kvs == 0)
        return rc;
    const ProtobufCBinaryData *last = &page->kvs[page->n_kvs - 1]->key;
    if (last->len + 1 > sizeof(next->bytes))
        return TERCET_STORE_CORRUPT;
    memcpy(next->bytes, last->data, last->len);
    next->bytes[last->len] = '\0';
    next->size = last->len + 1;
    return 0;
}

static int ask(struct etcd_store *store, Etcdserverpb__RangeResponse **page,
               const Etcdserverpb__RangeRequest *request)
{
    char text[TERCET_STORE_TEXT_MAX];
    enum etcd_outcome outcome =
        etcd_call(store, (ProtobufCMessage **)page, &etcdserverpb__kv__descriptor, "Range",
                  &request->base, clock_monotonic_ms() + store->patience_ms, text);
    if (outcome == ETCD_OK)
        return 0;
    etcd_log(store, TERCET_LOG_ERROR, "the store cannot be read: %s", text);
    return TERCET_STORE_IO;
}

int etcd_walk(struct etcd_store *store, const struct etcd_key *from, const struct etcd_key *to,
              size_t want, etcd_walk_fn each, void *ctx)
{
    struct walk walk = {.each = each, .ctx = ctx};
    struct etcd_key next = *from;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    bool more = true;
    int rc = 0;
    request.limit = want < PAGE_MAX ? (int64_t)want + 1 : PAGE_MAX;
    request.range_end = etcd_bytes(to);
    atomic_fetch_add(&store->walks, 1);
    while (more && rc == 0) {
        Etcdserverpb__RangeResponse *page = NULL;
        request.key = etcd_bytes(&next);
        rc = ask(store, &page, &request);
        if (rc != 0)
            break;
        request.revision = page->header != NULL ? page->header->revision : 0;
        more = page->more;
        rc = take_page(&walk, page, &next);
        crpc_message_free(&page->base);
    }
    atomic_fetch_sub(&store->walks, 1);
    if (rc == 0 && walk.key.size != 0)
        rc = TERCET_STORE_CORRUPT;
    etcd_buf_free(&walk.buf);
    return rc;
}
