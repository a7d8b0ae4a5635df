/* SPDX-License-Identifier: Apache-2.0
 *
 * audit.h
 */
#include "audit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct audit {
    pthread_mutex_t lock;
    tercet_log_fn on_log;
    struct audit_entry entries[AUDIT_MAX]; /* a ring */
    size_t count;                          /* that there have ever been */
};

struct audit *audit_new(tercet_log_fn on_log)
{
    struct audit *audit = calloc(1, sizeof(*audit));
    if (audit == NULL)
        return NULL;
    pthread_mutex_init(&audit->lock, NULL);
    audit->on_log = on_log;
    return audit;
}

void audit_free(struct audit *audit)
{
    if (audit == NULL)
        return;
    pthread_mutex_destroy(&audit->lock);
    free(audit);
}

void audit_add(struct audit *audit, const struct audit_entry *entry)
{
    char line[4 * TERCET_TEXT_MAX];
    snprintf(line, sizeof(line), "console: %s at %s: %s %s%s%s: %s",
             entry->who[0] != '\0' ? entry->who : "somebody", entry->peer, entry->action,
             entry->object, entry->reason[0] != '\0' ? ", " : "", entry->reason, entry->result);
    if (audit->on_log != NULL)
        audit->on_log(TERCET_LOG_WARNING, line, NULL);
    pthread_mutex_lock(&audit->lock);
    audit->entries[audit->count++ % AUDIT_MAX] = *entry;
    pthread_mutex_unlock(&audit->lock);
}

static cJSON *of_entry(const struct audit_entry *entry)
{
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "at_ms", (double)entry->at_ms);
    cJSON_AddStringToObject(object, "who", entry->who);
    cJSON_AddStringToObject(object, "peer", entry->peer);
    cJSON_AddStringToObject(object, "action", entry->action);
    cJSON_AddStringToObject(object, "object", entry->object);
    cJSON_AddStringToObject(object, "reason", entry->reason);
    cJSON_AddStringToObject(object, "result", entry->result);
    return object;
}

cJSON *audit_list(struct audit *audit)
{
    cJSON *object = cJSON_CreateObject();
    cJSON *array = cJSON_AddArrayToObject(object, "entries");
    pthread_mutex_lock(&audit->lock);
    const size_t kept = audit->count < AUDIT_MAX ? audit->count : AUDIT_MAX;
    for (size_t i = 0; array != NULL && i < kept; i++)
        cJSON_AddItemToArray(array, of_entry(&audit->entries[(audit->count - 1 - i) % AUDIT_MAX]));
    pthread_mutex_unlock(&audit->lock);
    return object;
}
