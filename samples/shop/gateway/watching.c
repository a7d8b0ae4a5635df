/* SPDX-License-Identifier: Apache-2.0
 *
 * A transaction as it happens: what the coordinator says of it, whenever that changes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"

#define LOOK_MS 40

static cJSON *branch_json(const struct tercet_branch_view *branch)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "action", branch->action);
    cJSON_AddStringToObject(json, "try", branch->try_state);
    cJSON_AddStringToObject(json, "end", branch->end_state);
    cJSON_AddStringToObject(json, "owed", branch->owed);
    cJSON_AddNumberToObject(json, "failures", branch->try_failures + branch->end_failures);
    cJSON_AddStringToObject(json, "error",
                            branch->end_error[0] != '\0' ? branch->end_error : branch->try_error);
    cJSON_AddStringToObject(json, "reason", branch->reason);
    cJSON_AddStringToObject(json, "waits_for", branch->waits_for);
    cJSON_AddBoolToObject(json, "is_parked", branch->is_parked);
    return json;
}

static cJSON *view_json(const struct tercet_transaction_view *view)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *branches = cJSON_AddArrayToObject(json, "branches");
    cJSON_AddStringToObject(json, "gid", view->gid.text);
    cJSON_AddStringToObject(json, "state", tercet_state_name(view->state));
    cJSON_AddStringToObject(json, "reason", view->reason);
    cJSON_AddNumberToObject(json, "created_ms", (double)view->created_ms);
    cJSON_AddNumberToObject(json, "decided_ms", (double)view->decided_ms);
    cJSON_AddNumberToObject(json, "resolved_ms", (double)view->resolved_ms);
    cJSON_AddBoolToObject(json, "is_parked", view->is_parked);
    for (size_t i = 0; i < view->branch_count; i++)
        cJSON_AddItemToArray(branches, branch_json(view->branches[i]));
    return json;
}

static bool take_view(const struct tercet_transaction_view *view, void *ctx)
{
    cJSON **json = ctx;
    *json = view_json(view);
    return false;
}

/* {"gone": true}: the coordinator does not know it (any more); {"silent": true}: it does not
 * answer. */
cJSON *show_transaction(struct gateway *gateway, const char *gid)
{
    cJSON *json = NULL;
    char text[TERCET_TEXT_MAX];
    int rc = tercet_admin_show(gateway->admin, gid, take_view, &json, text);
    if (json != NULL)
        return json;
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "gid", gid);
    cJSON_AddBoolToObject(json, rc == TERCET_NOT_FOUND ? "gone" : "silent", true);
    return json;
}

static bool add_view(const struct tercet_transaction_view *view, void *ctx)
{
    cJSON_AddItemToArray(ctx, view_json(view));
    return true;
}

cJSON *list_open(struct gateway *gateway, int64_t customer)
{
    char number[24], text[TERCET_TEXT_MAX];
    const struct tercet_metadata metadata[] = {{"customer", number}};
    const struct tercet_list_options options = {
        .size = sizeof(options), .metadata = metadata, .metadata_count = 1, .limit = 50};
    cJSON *list = cJSON_CreateArray();
    snprintf(number, sizeof(number), "%" PRId64, customer);
    if (tercet_admin_list(gateway->admin, &options, add_view, list, text) == 0)
        return list;
    cJSON_Delete(list);
    return NULL;
}

/* -- The stream -------------------------------------------------------------------------------- */

struct watch {
    struct gateway *gateway;
    char gid[80];
    char *last; /* as it was told */
};

static bool next_view(cJSON **event, void *ctx)
{
    struct watch *watch = ctx;
    cJSON *view = show_transaction(watch->gateway, watch->gid);
    const cJSON *resolved = cJSON_GetObjectItem(view, "resolved_ms");
    const bool is_last =
        cJSON_GetNumberValue(resolved) > 0 || cJSON_IsTrue(cJSON_GetObjectItem(view, "gone"));
    char *text = cJSON_PrintUnformatted(view);
    if (watch->last != NULL && strcmp(text, watch->last) == 0) {
        cJSON_Delete(view);
        free(text);
        return !is_last;
    }
    free(watch->last);
    watch->last = text;
    *event = view;
    return !is_last;
}

static void free_watch(void *ctx)
{
    struct watch *watch = ctx;
    free(watch->last);
    free(watch);
}

void serve_watch(struct web_request *request, void *gateway)
{
    if (!gateway_owns(request, web_rest(request))) {
        web_fail(request, 404, "you have no such order");
        return;
    }
    struct watch *watch = calloc(1, sizeof(*watch));
    watch->gateway = gateway;
    snprintf(watch->gid, sizeof(watch->gid), "%s", web_rest(request));
    const struct web_stream stream = {next_view, free_watch, watch, LOOK_MS};
    web_reply_stream(request, &stream);
}
