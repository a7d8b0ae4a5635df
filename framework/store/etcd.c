/* SPDX-License-Identifier: Apache-2.0
 *
 * The etcd driver: opening and closing, and the table.
 */
#include "etcd.h"

#include "etcd_store.h"

#include <clock.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "source.h"

#define OPEN_PATIENCE_MS 5000

void etcd_log(const struct etcd_store *store, enum tercet_log_level level, const char *format, ...)
{
    char text[TERCET_TEXT_MAX];
    va_list args;
    if (store->options.on_log == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    store->options.on_log(level, text, store->options.log_ctx);
}

int etcd_fail(char *text, int code, const char *format, ...)
{
    char made[TERCET_STORE_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(made, sizeof(made), format, args);
    va_end(args);
    memcpy(text, made, sizeof(made)); /* an argument may lie in it */
    return code;
}

void etcd_pause(int64_t ms)
{
    const struct timespec time = clock_timespec(ms);
    nanosleep(&time, NULL);
}

static void etcd_close(void *state)
{
    struct etcd_store *store = state;
    pthread_mutex_lock(&store->lock);
    store->is_closing = true;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
    if (store->has_looker)
        pthread_join(store->looker, NULL);
    if (store->has_upkeep)
        pthread_join(store->upkeep, NULL);
    if (store->has_upkeep)
        etcd_upkeep_revoke(store);
    etcd_call_close(store);
    etcd_buckets_free(&store->buckets);
    etcd_live_clear(&store->live);
    pthread_cond_destroy(&store->changed);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static uint32_t etcd_shard_count(void *state)
{
    (void)state;
    return 1;
}

/* Until one of the members answers: it may have been started a moment ago. */
static int reach(struct etcd_store *store, char *text)
{
    int64_t until_ms = clock_monotonic_ms() + OPEN_PATIENCE_MS;
    int rc;
    while ((rc = etcd_upkeep_look(store, text)) == TERCET_STORE_IO &&
           clock_monotonic_ms() < until_ms)
        etcd_pause(ETCD_PAUSE_MS);
    if (rc == TERCET_STORE_IO)
        return etcd_fail(text, rc, "%.180s: is etcd running there? (etcdctl endpoint status)",
                         text);
    return rc;
}

static int start_threads(struct etcd_store *store, char *text)
{
    store->has_looker = pthread_create(&store->looker, NULL, etcd_look_run, store) == 0;
    store->has_upkeep = pthread_create(&store->upkeep, NULL, etcd_upkeep_run, store) == 0;
    if (!store->has_looker || !store->has_upkeep)
        return etcd_fail(text, TERCET_STORE_NOMEM, "no thread can be started");
    pthread_setname_np(store->looker, "tercet-etcd-get");
    pthread_setname_np(store->upkeep, "tercet-etcd-run");
    return 0;
}

static int etcd_open(void **out, const char *name, const struct tercet_store_options *options,
                     char *text)
{
    struct etcd_store *store = etcd_alloc(sizeof(*store));
    store->options = *options;
    store->patience_ms = ETCD_PATIENCE_MS;
    store->looks_end = &store->looks;
    pthread_mutex_init(&store->lock, NULL);
    pthread_cond_init(&store->changed, NULL);
    buckets_init(&store->buckets, options->bucket_ms);
    int rc = etcd_name_parse(&store->name, name, text);
    if (rc == 0 && source_make(&store->id) != 0)
        rc = etcd_fail(text, TERCET_STORE_IO, "the system gives no random number");
    if (rc == 0)
        rc = etcd_call_open(store, text);
    if (rc == 0)
        rc = reach(store, text);
    if (rc == 0)
        rc = etcd_own_format(store, text);
    if (rc == 0)
        rc = start_threads(store, text);
    if (rc != 0) {
        etcd_close(store);
        return rc;
    }
    *out = store;
    return 0;
}

void store_etcd_fail_next(void *state)
{
    struct etcd_store *store = state;
    pthread_mutex_lock(&store->lock);
    store->fails_next = true;
    pthread_mutex_unlock(&store->lock);
}

/* Keys, index and value, and the history of them until it is compacted. */
static uint64_t etcd_room_of(void *state, uint64_t size)
{
    (void)state;
    return 2000 + 3 * size;
}

const struct tercet_store_driver store_etcd_driver = {
    .size = sizeof(struct tercet_store_driver),
    .version = TERCET_STORE_VERSION,
    .scheme = "etcd",
    .open = etcd_open,
    .close = etcd_close,
    .shard_count = etcd_shard_count,
    .acquire = etcd_store_acquire,
    .release = etcd_store_release,
    .commit = etcd_store_commit,
    .scan = etcd_store_scan,
    .get = etcd_store_get,
    .find = etcd_store_find,
    .page = etcd_store_page,
    .meta_scan = etcd_store_meta_scan,
    .stats = etcd_store_stats,
    .room_of = etcd_room_of,
};
