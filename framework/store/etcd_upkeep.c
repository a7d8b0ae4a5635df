/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: what an owner does beside its batches: keeps its lease, compacts history, deletes
 * dropped buckets in slices, and looks how full etcd is.
 */
#include "etcd_store.h"

#include <clock.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS 1000
#define COMPACT_MS 10000
#define TURN_MS 100
#define QUOTA_DEFAULT (INT64_C(2) << 30) /* etcd's own */
#define ALARM_NOSPACE 1

/* -- The lease --------------------------------------------------------------------------------- */

static int put_member(struct etcd_store *store, char *text)
{
    struct etcd_key key;
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RequestOp op = ETCDSERVERPB__REQUEST_OP__INIT, *ops[1] = {&op};
    Etcdserverpb__TxnRequest request = ETCDSERVERPB__TXN_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    char host[64] = "", value[ETCD_OWNER_MAX];
    gethostname(host, sizeof(host) - 1);
    int size = snprintf(value, sizeof(value), "%.60s pid %d", host, (int)getpid());
    etcd_key_member(&key, store, store->id);
    put.key = etcd_bytes(&key);
    put.value = (ProtobufCBinaryData){.len = (size_t)size, .data = (uint8_t *)value};
    put.lease = store->lease_id;
    op.request_case = ETCDSERVERPB__REQUEST_OP__REQUEST_REQUEST_PUT;
    op.request_put = &put;
    request.n_success = 1;
    request.success = ops;
    enum etcd_outcome outcome =
        etcd_call(store, &reply, &etcdserverpb__kv__descriptor, "Txn", &request.base,
                  clock_monotonic_ms() + store->patience_ms, text);
    crpc_message_free(reply);
    return outcome == ETCD_OK ? 0 : TERCET_STORE_IO;
}

static bool has_lease(struct etcd_store *store)
{
    pthread_mutex_lock(&store->lock);
    bool has = store->lease_id != 0 && !store->is_lease_lost &&
               clock_monotonic_ms() < store->lease_until_ms;
    pthread_mutex_unlock(&store->lock);
    return has;
}

int etcd_upkeep_grant(struct etcd_store *store, char *text)
{
    Etcdserverpb__LeaseGrantRequest request = ETCDSERVERPB__LEASE_GRANT_REQUEST__INIT;
    Etcdserverpb__LeaseGrantResponse *reply = NULL;
    if (has_lease(store))
        return 0;
    request.ttl = store->name.lease_s;
    int64_t now_ms = clock_monotonic_ms();
    if (etcd_call(store, (ProtobufCMessage **)&reply, &etcdserverpb__lease__descriptor,
                  "LeaseGrant", &request.base, now_ms + store->patience_ms, text) != ETCD_OK)
        return TERCET_STORE_IO;
    pthread_mutex_lock(&store->lock);
    store->lease_id = reply->id;
    /* From before it was asked for: it may have begun then. One that etcd made longer than was
     * asked for counts as long as was asked for. */
    store->lease_until_ms = now_ms + (int64_t)store->name.lease_s * 1000;
    store->is_lease_lost = false;
    pthread_mutex_unlock(&store->lock);
    crpc_message_free(&reply->base);
    return put_member(store, text);
}

void etcd_upkeep_revoke(struct etcd_store *store)
{
    Etcdserverpb__LeaseRevokeRequest request = ETCDSERVERPB__LEASE_REVOKE_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    char text[TERCET_STORE_TEXT_MAX];
    pthread_mutex_lock(&store->lock);
    request.id = store->lease_id;
    store->lease_id = 0;
    pthread_mutex_unlock(&store->lock);
    if (request.id == 0)
        return;
    etcd_call_once(store, &reply, &etcdserverpb__lease__descriptor, "LeaseRevoke", &request.base,
                   text);
    crpc_message_free(reply);
}

/* false: it is to be tried again at once. */
static bool keep_lease(struct etcd_store *store)
{
    char text[TERCET_STORE_TEXT_MAX] = "";
    int64_t ttl_s = 0, asked_ms = clock_monotonic_ms();
    pthread_mutex_lock(&store->lock);
    int64_t id = store->is_lease_lost ? 0 : store->lease_id;
    pthread_mutex_unlock(&store->lock);
    if (id == 0)
        return true;
    if (etcd_keep_alive(store, id, &ttl_s, text) != ETCD_OK) {
        etcd_log(store, TERCET_LOG_WARNING, "the lease was not renewed: %s", text);
        return false;
    }
    pthread_mutex_lock(&store->lock);
    bool is_same = store->lease_id == id;
    if (is_same && ttl_s > 0)
        store->lease_until_ms = asked_ms + (int64_t)store->name.lease_s * 1000;
    else if (is_same)
        store->is_lease_lost = true;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
    if (is_same && ttl_s <= 0)
        etcd_log(store, TERCET_LOG_ERROR,
                 "the lease has run out in etcd: this coordinator stops, "
                 "another may own the store by now");
    return true;
}

/* -- How full etcd is -------------------------------------------------------------------------- */

static bool has_no_space(struct etcd_store *store, enum etcd_outcome *outcome, char *text)
{
    Etcdserverpb__AlarmRequest request = ETCDSERVERPB__ALARM_REQUEST__INIT;
    Etcdserverpb__AlarmResponse *reply = NULL;
    bool found = false;
    *outcome = etcd_call_once(store, (ProtobufCMessage **)&reply,
                              &etcdserverpb__maintenance__descriptor, "Alarm", &request.base, text);
    for (size_t i = 0; reply != NULL && i < reply->n_alarms; i++)
        found |= reply->alarms[i]->alarm == ALARM_NOSPACE;
    if (reply != NULL)
        crpc_message_free(&reply->base);
    return found;
}

static int64_t quota_of(const struct etcd_store *store)
{
    return store->options.size_max > 0 ? (int64_t)store->options.size_max : QUOTA_DEFAULT;
}

/* A file near the quota refuses writes although most of it may be free within. */
static void tell_file(struct etcd_store *store)
{
    bool is_near = store->db_bytes > quota_of(store) / 10 * 9;
    if (is_near && !store->has_told_file)
        etcd_log(store, TERCET_LOG_WARNING,
                 "etcd's file has %" PRId64 " MiB of a quota of %" PRId64
                 " MiB (--store-size): defragment its members, one after the other",
                 store->db_bytes >> 20, quota_of(store) >> 20);
    store->has_told_file = is_near;
}

static int check_version(const char *version, char *text)
{
    int major = 0, minor = 0;
    if (sscanf(version, "%d.%d", &major, &minor) == 2 && (major > 3 || (major == 3 && minor >= 4)))
        return 0;
    return etcd_fail(text, TERCET_STORE_INVALID, "etcd is of version %.20s, and 3.4 is wanted",
                     version[0] != '\0' ? version : "unknown");
}

int etcd_upkeep_look(struct etcd_store *store, char *text)
{
    Etcdserverpb__StatusRequest request = ETCDSERVERPB__STATUS_REQUEST__INIT;
    Etcdserverpb__StatusResponse *reply = NULL;
    enum etcd_outcome outcome =
        etcd_call_once(store, (ProtobufCMessage **)&reply, &etcdserverpb__maintenance__descriptor,
                       "Status", &request.base, text);
    if (outcome != ETCD_OK)
        return outcome == ETCD_REFUSED ? TERCET_STORE_INVALID : TERCET_STORE_IO;
    int rc = check_version(reply->version, text);
    bool is_full = rc == 0 && has_no_space(store, &outcome, text);
    pthread_mutex_lock(&store->lock);
    store->db_bytes = reply->dbsize;
    store->db_bytes_in_use = reply->dbsizeinuse > 0 ? reply->dbsizeinuse : reply->dbsize;
    store->revision = reply->header != NULL ? reply->header->revision : 0;
    if (outcome == ETCD_OK)
        store->is_out_of_space = is_full;
    pthread_mutex_unlock(&store->lock);
    crpc_message_free(&reply->base);
    return rc;
}

static void set_room(const struct etcd_store *store, struct tercet_store_stats *stats)
{
    uint64_t full = stats->bytes_max / 100 * 80;
    stats->room_bytes = stats->bytes_used < full ? full - stats->bytes_used : 0;
    snprintf(stats->room_text, sizeof(stats->room_text),
             "etcd is 80 %% full: new work waits until resolved transactions are dropped, or give "
             "it more (its --quota-backend-bytes, and as much with --store-size)");
    if (!store->is_out_of_space)
        return;
    stats->room_bytes = 0;
    snprintf(stats->room_text, sizeof(stats->room_text),
             "etcd has raised the alarm NOSPACE and takes no writes: compact, defragment, and "
             "disarm the alarm (etcdctl alarm disarm), or raise its --quota-backend-bytes");
}

/* Whether the owner may go on, with `lock` taken. Once its lease may have run out, another may own
 * the shard, and what this owner has in memory may be old: it is held here until etcd says that the
 * lease is there (it was etcd that was away, or chose a leader), or that it is gone (it was this
 * process that was away). */
static bool goes_on(struct etcd_store *store)
{
    int64_t until_ms = clock_monotonic_ms() + store->patience_ms;
    const struct timespec until = clock_timespec(until_ms);
    while (store->is_held && !store->is_lease_lost && !store->is_closing &&
           clock_monotonic_ms() > store->lease_until_ms && clock_monotonic_ms() < until_ms)
        pthread_cond_clockwait(&store->changed, &store->lock, CLOCK_MONOTONIC, &until);
    return !store->is_held ||
           (!store->is_lease_lost && clock_monotonic_ms() <= store->lease_until_ms);
}

int etcd_store_stats(void *state, struct tercet_store_stats *out)
{
    struct etcd_store *store = state;
    struct tercet_store_stats stats = {.disk_free_bytes = UINT64_MAX};
    pthread_mutex_lock(&store->lock);
    bool may_tell = goes_on(store);
    stats.commits = store->commits;
    stats.live_records = store->live.parts;
    for (size_t i = 0; i < store->buckets.count; i++)
        stats.resolved_records += ((struct etcd_bucket *)store->buckets.items[i].state)->count;
    stats.bytes_used = (uint64_t)store->db_bytes_in_use;
    stats.file_bytes = (uint64_t)store->db_bytes;
    stats.bytes_max = (uint64_t)quota_of(store);
    set_room(store, &stats);
    pthread_mutex_unlock(&store->lock);
    if (!may_tell)
        return TERCET_STORE_FENCED;
    *out = stats;
    return 0;
}

/* -- Compaction -------------------------------------------------------------------------------- */

/* Up to where etcd was the last time, so that what is being read stays. */
static void compact(struct etcd_store *store)
{
    Etcdserverpb__CompactionRequest request = ETCDSERVERPB__COMPACTION_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    char text[TERCET_STORE_TEXT_MAX];
    request.revision = store->compact_revision;
    store->compact_revision = store->revision;
    if (request.revision <= 0 || atomic_load(&store->walks) > 0)
        return;
    if (etcd_call_once(store, &reply, &etcdserverpb__kv__descriptor, "Compact", &request.base,
                       text) == ETCD_REFUSED)
        etcd_log(store, TERCET_LOG_WARNING, "the history in etcd cannot be compacted: %s", text);
    crpc_message_free(reply);
}

/* -- The thread -------------------------------------------------------------------------------- */

/* false: the store is being closed. */
static bool rest(struct etcd_store *store, bool *is_held)
{
    const int64_t until_ms = clock_monotonic_ms() + TURN_MS;
    const struct timespec until = clock_timespec(until_ms);
    pthread_mutex_lock(&store->lock);
    /* each question that comes signals `changed`, too, and is no reason to ask etcd for more */
    while (!store->is_closing && clock_monotonic_ms() < until_ms)
        pthread_cond_clockwait(&store->changed, &store->lock, CLOCK_MONOTONIC, &until);
    bool goes_on = !store->is_closing;
    *is_held = store->is_held;
    pthread_mutex_unlock(&store->lock);
    return goes_on;
}

void *etcd_upkeep_run(void *ctx)
{
    struct etcd_store *store = ctx;
    int64_t keep_ms = 0, look_ms = 0, compact_ms = clock_monotonic_ms() + COMPACT_MS;
    bool is_held = false;
    while (rest(store, &is_held)) {
        char text[TERCET_STORE_TEXT_MAX];
        int64_t now_ms = clock_monotonic_ms();
        if (now_ms >= keep_ms) {
            if (!keep_lease(store))
                continue; /* nothing else is as urgent */
            keep_ms = now_ms + (int64_t)store->name.lease_s * 1000 / 3;
        }
        if (is_held && now_ms >= look_ms) {
            if (etcd_upkeep_look(store, text) == 0)
                tell_file(store);
            look_ms = now_ms + LOOK_MS;
        }
        if (is_held && now_ms >= compact_ms) {
            compact(store);
            compact_ms = now_ms + COMPACT_MS;
        }
        if (is_held)
            etcd_sweep(store);
    }
    return NULL;
}
