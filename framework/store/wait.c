/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h: lookups for who may wait.
 */
#include "store.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
    int rc;
    uint64_t number;
    struct store_value value;
};

static void wait_init(struct wait *wait)
{
    memset(wait, 0, sizeof(*wait));
    pthread_mutex_init(&wait->lock, NULL);
    pthread_cond_init(&wait->changed, NULL);
}

static int copy_value(struct store_value *out, struct tercet_bytes value)
{
    void *data = malloc(value.size > 0 ? value.size : 1);
    if (data == NULL)
        return TERCET_STORE_NOMEM;
    if (value.size > 0)
        memcpy(data, value.data, value.size);
    *out = (struct store_value){.data = data, .size = value.size};
    return 0;
}

static void wait_done(int rc, uint64_t number, struct tercet_bytes value, void *ctx)
{
    struct wait *wait = ctx;
    pthread_mutex_lock(&wait->lock);
    assert(!wait->is_done);
    wait->rc = rc == 0 ? copy_value(&wait->value, value) : rc;
    wait->number = number;
    wait->is_done = true;
    pthread_cond_signal(&wait->changed);
    pthread_mutex_unlock(&wait->lock);
}

/* Returns the result; the value is in wait->value when it is 0. */
static int wait_end(struct wait *wait)
{
    pthread_mutex_lock(&wait->lock);
    while (!wait->is_done)
        pthread_cond_wait(&wait->changed, &wait->lock);
    pthread_mutex_unlock(&wait->lock);
    pthread_cond_destroy(&wait->changed);
    pthread_mutex_destroy(&wait->lock);
    return wait->rc;
}

int store_get_wait(struct store *store, uint32_t shard, uint64_t number, uint32_t part,
                   struct store_value *out)
{
    struct wait wait;
    assert(out != NULL);
    wait_init(&wait);
    store_get(store, shard, number, part, wait_done, &wait);
    int rc = wait_end(&wait);
    if (rc == 0)
        *out = wait.value;
    return rc;
}

int store_find_wait(struct store *store, uint32_t shard, const char *gid, uint64_t *number,
                    struct store_value *out)
{
    struct wait wait;
    assert(number != NULL && out != NULL);
    wait_init(&wait);
    store_find(store, shard, gid, *number, wait_done, &wait);
    int rc = wait_end(&wait);
    if (rc != 0)
        return rc;
    *number = wait.number;
    *out = wait.value;
    return 0;
}

void store_value_free(struct store_value *value)
{
    if (value == NULL)
        return;
    free(value->data);
    value->data = NULL;
    value->size = 0;
}
