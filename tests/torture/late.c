/* SPDX-License-Identifier: Apache-2.0
 *
 * late.h
 */
#include "late.h"

#include "execute.h"
#include "fate.h"

#include <clock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COPIES_MAX 4096 /* a new one takes the place of one that is drawn */
#define LATE_MS_MIN 500

struct copy {
    int64_t due_ms;
    enum relay_kind kind;
    bool is_executed;
    char service[SERVICE_MAX];
    struct crpc_bytes record; /* malloc'ed */
};

static struct {
    pthread_mutex_t lock; /* over all below */
    struct copy copies[COPIES_MAX];
    size_t count;
} bag = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* From half a second to a minute, mostly short. */
static int64_t draw_lateness_ms(void)
{
    return LATE_MS_MIN + (int64_t)fate_random(LATE_MS_MIN << fate_random(8));
}

void late_keep(enum relay_kind kind, bool is_executed, const char *service,
               struct crpc_bytes record)
{
    struct copy copy = {.due_ms = clock_monotonic_ms() + draw_lateness_ms(),
                        .kind = kind,
                        .is_executed = is_executed};
    void *data = malloc(record.size + 1);
    if (data == NULL)
        abort();
    memcpy(data, record.data, record.size);
    copy.record = (struct crpc_bytes){.data = data, .size = record.size};
    snprintf(copy.service, sizeof(copy.service), "%s", service);
    size_t victim = fate_random(COPIES_MAX);
    pthread_mutex_lock(&bag.lock);
    if (bag.count < COPIES_MAX) {
        bag.copies[bag.count++] = copy;
    } else {
        free((void *)(uintptr_t)bag.copies[victim].record.data);
        bag.copies[victim] = copy;
    }
    pthread_mutex_unlock(&bag.lock);
}

static bool take_due(struct copy *out, int64_t until_ms)
{
    bool is_found = false;
    pthread_mutex_lock(&bag.lock);
    for (size_t i = 0; i < bag.count && !is_found; i++) {
        if (bag.copies[i].due_ms > until_ms)
            continue;
        *out = bag.copies[i];
        bag.copies[i] = bag.copies[--bag.count];
        is_found = true;
    }
    pthread_mutex_unlock(&bag.lock);
    return is_found;
}

size_t late_deliver(bool is_all)
{
    int64_t until_ms = is_all ? INT64_MAX : clock_monotonic_ms();
    struct copy copy;
    size_t count = 0;
    while (take_due(&copy, until_ms)) {
        bool is_delivered = copy.is_executed ? execute_again(copy.service, copy.record)
                                             : relay_deliver(copy.kind, copy.service, copy.record);
        free((void *)(uintptr_t)copy.record.data);
        count += is_delivered;
        if (is_delivered)
            fate_count(FATE_DELIVERED);
    }
    return count;
}

void late_free(void)
{
    struct copy copy;
    while (take_due(&copy, INT64_MAX))
        free((void *)(uintptr_t)copy.record.data);
}
