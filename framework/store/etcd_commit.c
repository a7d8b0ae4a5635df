/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: writing. Each transaction compares the owner and the number of the batch before
 * it, so it is sent again when its outcome is not known: if it had been written, the comparison
 * fails, and the batch number says so. Only a new owner leaves it unknown.
 */
#include "etcd_store.h"

#include <clock.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_TEXT 40

/* One transaction as it is sent, and all that its message points to. */
struct fenced {
    struct etcd_key owner_key, batch_key;
    char owner[ETCD_OWNER_MAX];
    char before[BATCH_TEXT], after[BATCH_TEXT];
    Etcdserverpb__Compare compares[2], *compare_list[2];
    Etcdserverpb__RequestOp *ops, **op_list;
    Etcdserverpb__PutRequest *puts;
    Etcdserverpb__DeleteRangeRequest *deletes;
    Etcdserverpb__RangeRequest ranges[2];
    Etcdserverpb__RequestOp looks[2], *look_list[2];
    Etcdserverpb__TxnRequest request;
};

static ProtobufCBinaryData text_bytes(const char *text)
{
    return (ProtobufCBinaryData){.len = strlen(text), .data = (uint8_t *)(uintptr_t)text};
}

static void compare_value(Etcdserverpb__Compare *compare, const struct etcd_key *key,
                          const char *value)
{
    etcdserverpb__compare__init(compare);
    compare->target = ETCDSERVERPB__COMPARE__COMPARE_TARGET__VALUE;
    compare->key = etcd_bytes(key);
    compare->target_union_case = ETCDSERVERPB__COMPARE__TARGET_UNION_VALUE;
    compare->value = text_bytes(value);
}

static void set_put(struct fenced *txn, size_t i, const struct etcd_key *key,
                    ProtobufCBinaryData value)
{
    etcdserverpb__put_request__init(&txn->puts[i]);
    txn->puts[i].key = etcd_bytes(key);
    txn->puts[i].value = value;
    etcdserverpb__request_op__init(&txn->ops[i]);
    txn->ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    txn->ops[i].request_put = &txn->puts[i];
    txn->op_list[i] = &txn->ops[i];
}

static void set_delete(struct fenced *txn, size_t i, const struct etcd_write *write)
{
    etcdserverpb__delete_range_request__init(&txn->deletes[i]);
    txn->deletes[i].key = etcd_bytes(&write->key);
    txn->deletes[i].range_end = etcd_bytes(&write->end);
    etcdserverpb__request_op__init(&txn->ops[i]);
    txn->ops[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_DELETE_RANGE;
    txn->ops[i].request_delete_range = &txn->deletes[i];
    txn->op_list[i] = &txn->ops[i];
}

/* What is looked at when a comparison fails. */
static void set_look(struct fenced *txn, size_t i, const struct etcd_key *key)
{
    etcdserverpb__range_request__init(&txn->ranges[i]);
    txn->ranges[i].key = etcd_bytes(key);
    etcdserverpb__request_op__init(&txn->looks[i]);
    txn->looks[i].request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_RANGE;
    txn->looks[i].request_range = &txn->ranges[i];
    txn->look_list[i] = &txn->looks[i];
}

static void set_fence(struct fenced *txn, struct etcd_store *store, uint64_t number_top)
{
    etcd_key_shard(&txn->owner_key, store, "owner");
    etcd_key_shard(&txn->batch_key, store, "batch");
    pthread_mutex_lock(&store->lock);
    memcpy(txn->owner, store->owner, sizeof(txn->owner));
    snprintf(txn->before, BATCH_TEXT, "%016" PRIx64 " %016" PRIx64, store->batch,
             store->number_top);
    snprintf(txn->after, BATCH_TEXT, "%016" PRIx64 " %016" PRIx64, store->batch + 1, number_top);
    pthread_mutex_unlock(&store->lock);
    compare_value(&txn->compares[0], &txn->owner_key, txn->owner);
    compare_value(&txn->compares[1], &txn->batch_key, txn->before);
    set_look(txn, 0, &txn->owner_key);
    set_look(txn, 1, &txn->batch_key);
    for (size_t i = 0; i < 2; i++)
        txn->compare_list[i] = &txn->compares[i];
}

static void make(struct fenced *txn, struct etcd_store *store, const struct etcd_write *writes,
                 size_t count, uint64_t number_top)
{
    memset(txn, 0, sizeof(*txn));
    txn->ops = etcd_alloc((count + 1) * sizeof(*txn->ops));
    txn->op_list = etcd_alloc((count + 1) * sizeof(*txn->op_list));
    txn->puts = etcd_alloc((count + 1) * sizeof(*txn->puts));
    txn->deletes = etcd_alloc((count + 1) * sizeof(*txn->deletes));
    set_fence(txn, store, number_top);
    for (size_t i = 0; i < count; i++) {
        const struct etcd_buf *value = &writes[i].value;
        if (writes[i].kind == ETCD_PUT)
            set_put(txn, i, &writes[i].key,
                    (ProtobufCBinaryData){.len = value->size, .data = value->data});
        else
            set_delete(txn, i, &writes[i]);
    }
    set_put(txn, count, &txn->batch_key, text_bytes(txn->after));
    etcdserverpb__txn_request__init(&txn->request);
    txn->request.n_compare = 2;
    txn->request.compare = txn->compare_list;
    txn->request.n_success = count + 1;
    txn->request.success = txn->op_list;
    txn->request.n_failure = 2;
    txn->request.failure = txn->look_list;
}

static void unmake(struct fenced *txn)
{
    free(txn->ops);
    free(txn->op_list);
    free(txn->puts);
    free(txn->deletes);
}

static bool is_value(const Etcdserverpb__TxnResponse *reply, size_t i, const char *value)
{
    if (i >= reply->n_responses ||
        reply->responses[i]->response_case != ETCDSERVERPB__RESPONSE_OP__RESPONSE_RESPONSE_RANGE)
        return false;
    const Etcdserverpb__RangeResponse *range = reply->responses[i]->response_range;
    return range->n_kvs == 1 && range->kvs[0]->value.len == strlen(value) &&
           memcmp(range->kvs[0]->value.data, value, strlen(value)) == 0;
}

/* Of an answer. `was_sent`: an earlier attempt had none. */
static int judge(struct etcd_store *store, const struct fenced *txn,
                 const Etcdserverpb__TxnResponse *reply, bool was_sent)
{
    if (reply->succeeded)
        return 0;
    if (is_value(reply, 0, txn->owner) && is_value(reply, 1, txn->after) && was_sent)
        return 0;
    bool is_ours = is_value(reply, 0, txn->owner);
    etcd_log(store, TERCET_LOG_ERROR,
             is_ours ? "the store's batch number is not what this owner wrote: somebody else has "
                       "written under this prefix"
                     : "another coordinator has taken the store over: nothing of this one's is "
                       "written any more");
    return was_sent ? TERCET_STORE_UNKNOWN : TERCET_STORE_FENCED;
}

static int send(struct etcd_store *store, const struct fenced *txn)
{
    int64_t until_ms = clock_monotonic_ms() + store->patience_ms;
    char text[TERCET_STORE_TEXT_MAX];
    bool was_sent = false;
    for (;;) {
        Etcdserverpb__TxnResponse *reply = NULL;
        enum etcd_outcome outcome =
            etcd_call_once(store, (ProtobufCMessage **)&reply, &etcdserverpb__kv__descriptor, "Txn",
                           &txn->request.base, text);
        if (outcome == ETCD_OK) {
            int rc = judge(store, txn, reply, was_sent);
            crpc_message_free(&reply->base);
            return rc;
        }
        was_sent |= outcome == ETCD_NO_ANSWER;
        if (outcome != ETCD_NO_ANSWER || clock_monotonic_ms() >= until_ms)
            break;
        etcd_pause(ETCD_PAUSE_MS);
    }
    etcd_log(store, TERCET_LOG_ERROR, "the store cannot write: %s", text);
    return TERCET_STORE_UNKNOWN;
}

int etcd_write_fenced(struct etcd_store *store, const struct etcd_write *writes, size_t count,
                      uint64_t number_top)
{
    struct fenced txn;
    make(&txn, store, writes, count, number_top);
    int rc = send(store, &txn);
    unmake(&txn);
    pthread_mutex_lock(&store->lock);
    if (rc == 0) {
        store->batch++;
        store->number_top = number_top;
    }
    pthread_mutex_unlock(&store->lock);
    return rc;
}

/* -- A batch ----------------------------------------------------------------------------------- */

static size_t bytes_of(const struct etcd_write *write)
{
    return write->key.size + write->end.size + write->value.size + 16;
}

/* How many writes from here on fit into one transaction: whole units, at least one. */
static size_t fitting(const struct etcd_plan *plan, size_t from)
{
    size_t bytes = 0, fits = 0;
    for (size_t i = from; i < plan->count; i++) {
        bytes += bytes_of(&plan->writes[i]);
        if (fits > 0 && (i + 1 - from > ETCD_TXN_OPS_MAX || bytes > ETCD_TXN_BYTES_MAX))
            break;
        if (plan->writes[i].ends_unit)
            fits = i + 1 - from;
    }
    return fits;
}

static int write_plan(struct etcd_store *store, const struct etcd_plan *plan)
{
    int rc = 0;
    size_t at = 0;
    while (rc == 0 && at < plan->count) {
        size_t count = fitting(plan, at);
        rc = etcd_write_fenced(store, &plan->writes[at], count, plan->number_top);
        if (rc == TERCET_STORE_FENCED && at > 0)
            rc = TERCET_STORE_UNKNOWN; /* of the batch as a whole */
        at += count;
    }
    /* A batch that changes nothing finds out all the same who owns the shard. */
    return plan->count == 0 ? etcd_write_fenced(store, NULL, 0, plan->number_top) : rc;
}

/* Whether this epoch holds the shard, as far as it is known here; and whether a test wants the
 * commit to fail. */
static int may_write(struct etcd_store *store, uint64_t epoch, uint64_t *batch)
{
    pthread_mutex_lock(&store->lock);
    int rc = store->is_held && store->epoch == epoch ? 0 : TERCET_STORE_FENCED;
    if (rc == 0 && store->fails_next) {
        store->fails_next = store->is_held = false;
        rc = TERCET_STORE_UNKNOWN;
    }
    *batch = store->batch + 1;
    pthread_mutex_unlock(&store->lock);
    return rc;
}

int etcd_store_commit(void *state, uint32_t shard, uint64_t epoch,
                      const struct tercet_store_op *ops, size_t count)
{
    struct etcd_store *store = state;
    struct etcd_plan plan;
    uint64_t batch;
    (void)shard;
    int rc = may_write(store, epoch, &batch);
    if (rc != 0)
        return rc;
    etcd_plan_make(&plan, store, batch, ops, count);
    rc = write_plan(store, &plan);
    if (rc == 0) {
        etcd_plan_apply(&plan, store, ops, count);
    } else {
        pthread_mutex_lock(&store->lock);
        store->is_held = false;
        pthread_mutex_unlock(&store->lock);
    }
    etcd_plan_clear(&plan);
    return rc;
}
