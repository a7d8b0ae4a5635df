/* SPDX-License-Identifier: Apache-2.0
 *
 * offer.h
 */
#include "offer.h"

#include "arena.h"
#include "check.h"

#include <stdlib.h>
#include <string.h>
#include <tercet/types.h>

const char *offer_check_timeouts(uint32_t call_ms, uint32_t end_ms)
{
    return call_ms > TERCET_TIMEOUT_MS_MAX || end_ms > TERCET_TIMEOUT_MS_MAX
               ? "call_timeout_ms and end_timeout_ms are at most 2592000000 (30 days)"
               : NULL;
}

static const char *check_one(char **names, size_t name_count, const Tercet__V1__ActionTimeouts *one)
{
    size_t i = 0;
    while (i < name_count && strcmp(names[i], one->action) != 0)
        i++;
    return i == name_count ? "a timeout is of an action that is not offered"
                           : offer_check_timeouts(one->call_timeout_ms, one->end_timeout_ms);
}

const char *offer_check(char **names, size_t name_count, Tercet__V1__ActionTimeouts **timeouts,
                        size_t timeout_count)
{
    const char *wrong =
        name_count > OFFER_ACTIONS_MAX ? "a service offers at most 256 actions" : NULL;
    if (wrong == NULL && timeout_count > OFFER_ACTIONS_MAX)
        wrong = "timeouts are given for at most 256 actions";
    for (size_t i = 0; i < name_count && wrong == NULL; i++)
        wrong = check_action_name(names[i]);
    for (size_t i = 0; i < timeout_count && wrong == NULL; i++)
        wrong = check_one(names, name_count, timeouts[i]);
    return wrong;
}

const char *offer_check_versions(const char *version, const char *application_version)
{
    if (strlen(version) > OFFER_VERSION_MAX || strlen(application_version) > OFFER_VERSION_MAX ||
        check_text(version) != NULL || check_text(application_version) != NULL)
        return "a version is told in at most 63 bytes of UTF-8";
    return NULL;
}

void offer_set_versions(struct offer *offer, const char *version, const char *application_version)
{
    strcpy(offer->version, version);
    strcpy(offer->application_version, application_version);
}

static struct offered *find(const struct offer *offer, const char *name)
{
    for (size_t i = 0; i < offer->count; i++)
        if (strcmp(offer->actions[i].name, name) == 0)
            return &offer->actions[i];
    return NULL;
}

const struct offered *offer_find(const struct offer *offer, const char *name)
{
    return find(offer, name);
}

void offer_set(struct offer *offer, char **names, size_t name_count,
               Tercet__V1__ActionTimeouts **timeouts, size_t timeout_count)
{
    offer_clear(offer);
    offer->actions = must_alloc((name_count + 1) * sizeof(*offer->actions));
    offer->count = name_count;
    for (size_t i = 0; i < name_count; i++)
        offer->actions[i].name = must_strdup(names[i]);
    for (size_t i = 0; i < timeout_count; i++) {
        struct offered *action = find(offer, timeouts[i]->action);
        if (action != NULL)
            action->timeouts =
                (struct call_timeouts){timeouts[i]->call_timeout_ms, timeouts[i]->end_timeout_ms};
    }
}

void offer_clear(struct offer *offer)
{
    for (size_t i = 0; i < offer->count; i++)
        free(offer->actions[i].name);
    free(offer->actions);
    *offer = (struct offer){.actions = NULL};
}
