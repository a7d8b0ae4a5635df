/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: what is left of dropped buckets. Nobody reads it, and no bucket will have its id
 * again, so deleting it needs no fence: whoever owns the shard goes on with it.
 */
#include "etcd_store.h"

#include <clock.h>
#include <stdlib.h>
#include <string.h>

#define SLICE 500

static bool delete_range(struct etcd_store *store, ProtobufCBinaryData from, ProtobufCBinaryData to)
{
    Etcdserverpb__DeleteRangeRequest request = ETCDSERVERPB__DELETE_RANGE_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT, *ops[1] = {&op};
    Etcdserverpb__TxnRequest txn = ETCDSERVERPB__TXN_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    char text[TERCET_STORE_TEXT_MAX];
    request.key = from;
    request.range_end = to;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    op.request_delete_range = &request;
    txn.n_success = 1;
    txn.success = ops;
    bool is_done = etcd_call_once(store, &reply, &etcdserverpb__kv__descriptor, "Txn", &txn.base,
                                  text) == ETCD_OK;
    crpc_message_free(reply);
    return is_done;
}

/* The first keys of a range, without values; NULL: etcd does not answer. The caller's. */
static Etcdserverpb__RangeResponse *first_keys(struct etcd_store *store,
                                               const struct etcd_key *prefix, int64_t limit)
{
    struct etcd_key past;
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    Etcdserverpb__RangeResponse *reply = NULL;
    char text[TERCET_STORE_TEXT_MAX];
    etcd_key_past(&past, prefix);
    request.key = etcd_bytes(prefix);
    request.range_end = etcd_bytes(&past);
    request.limit = limit;
    request.keys_only = true;
    etcd_call_once(store, (ProtobufCMessage **)&reply, &etcdserverpb__kv__descriptor, "Range",
                   &request.base, text);
    return reply;
}

/* One slice of what begins with `prefix`. true: there was one, or nobody knows. */
static bool sweep_slice(struct etcd_store *store, const struct etcd_key *prefix)
{
    Etcdserverpb__RangeResponse *page = first_keys(store, prefix, SLICE);
    if (page == NULL)
        return true;
    bool has_some = page->n_kvs > 0;
    if (has_some) {
        struct etcd_key last = {.size = page->kvs[page->n_kvs - 1]->key.len};
        if (last.size < sizeof(last.bytes)) {
            memcpy(last.bytes, page->kvs[page->n_kvs - 1]->key.data, last.size);
            last.bytes[last.size++] = '\0';
            delete_range(store, etcd_bytes(prefix), etcd_bytes(&last));
        }
    }
    crpc_message_free(&page->base);
    return has_some;
}

bool etcd_sweep(struct etcd_store *store)
{
    struct etcd_key gone, prefix;
    uint64_t id;
    etcd_key_shard(&gone, store, "gone/");
    Etcdserverpb__RangeResponse *page = first_keys(store, &gone, 1);
    bool has_some = page != NULL && page->n_kvs > 0;
    if (has_some && page->kvs[0]->key.len == gone.size + 16 &&
        etcd_key_read(&id, page->kvs[0]->key.data, page->kvs[0]->key.len, gone.size)) {
        etcd_key_of_bucket(&prefix, store, "gid", id);
        bool has_gids = sweep_slice(store, &prefix);
        etcd_key_of_bucket(&prefix, store, "done", id);
        if (!sweep_slice(store, &prefix) && !has_gids) {
            struct etcd_key end;
            etcd_key_gone(&gone, store, id);
            etcd_key_past_chunks(&end, &gone);
            delete_range(store, etcd_bytes(&gone), etcd_bytes(&end));
        }
    }
    if (page != NULL)
        crpc_message_free(&page->base);
    return has_some;
}
