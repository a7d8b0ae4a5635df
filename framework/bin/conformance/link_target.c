/* SPDX-License-Identifier: Apache-2.0
 *
 * link.h: participants that listen and are called at their Execute.
 */
#include "link_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- Targets ----------------------------------------------------------------------------------- */

static size_t find_target(const struct link *link, const char *target)
{
    size_t i = 0;
    while (i < link->target_count && strcmp(link->targets[i], target) != 0)
        i++;
    return i;
}

bool target_use(struct link *link, const char *target, const char *token)
{
    struct crpc_tls tls = link->options.call_tls;
    const bool is_plain = tls.ca == NULL || strncmp(target, "unix:", 5) == 0;
    const struct crpc_channel_options options = {.size = sizeof(options),
                                                 .message_size_max = TERCET_MESSAGE_MAX,
                                                 .tls = is_plain ? NULL : &tls};
    if (!is_plain && tls.ca[0] == '\0')
        tls.ca = NULL; /* the system's */
    size_t i = find_target(link, target);
    if (i == TARGETS_MAX)
        return false;
    if (i == link->target_count) {
        if (crpc_channel_new(&link->channels[i], link->loop, target, &options) != 0)
            return false;
        if ((link->targets[i] = strdup(target)) == NULL)
            abort();
        link->target_count++;
    }
    link->channel = link->channels[i];
    snprintf(link->authorization, sizeof(link->authorization), "%s%.*s",
             token[0] != '\0' ? "Bearer " : "", TOKEN_MAX, token);
    return true;
}

int target_register(struct link *link, const Tercet__V1__RegisterRequest *request)
{
    if (request->target[0] == '\0')
        return 0; /* it leaves */
    if (!target_use(link, request->target, request->token))
        return -1;
    link_introduce(link, request->service, request->actions, request->n_actions, "");
    return 0;
}

/* -- Calls ------------------------------------------------------------------------------------- */

/* What a status says in place of a result; false: nothing is known. (docs/protocol.md, 1.2.) */
static bool result_of_status(Tercet__V1__CallResult *result, const struct crpc_status *status,
                             uint32_t kind)
{
    switch (status->code) {
    case CRPC_UNAVAILABLE:
    case CRPC_DEADLINE_EXCEEDED:
    case CRPC_CANCELLED:
        return false;
    case CRPC_ABORTED:
        result->outcome =
            kind == TERCET_TRY ? TERCET__V1__OUTCOME__REFUSAL : TERCET__V1__OUTCOME__AGAIN;
        return true;
    case CRPC_FAILED_PRECONDITION:
        result->outcome =
            kind == TERCET_TRY ? TERCET__V1__OUTCOME__AGAIN : TERCET__V1__OUTCOME__BROKEN;
        return true;
    default:
        result->outcome = TERCET__V1__OUTCOME__AGAIN;
        return true;
    }
}

static void on_answer(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    struct pending *pending = ctx;
    struct link *link = pending->link;
    Tercet__V1__CallResult made = TERCET__V1__CALL_RESULT__INIT;
    const Tercet__V1__CallResult *result = (const Tercet__V1__CallResult *)reply;
    char text[TERCET_TEXT_MAX];
    snprintf(text, sizeof(text), "%s: %s", crpc_code_name((int)status->code), status->message);
    made.reason = text;
    if (result == NULL && result_of_status(&made, status, pending->kind))
        result = &made;
    pthread_mutex_lock(&link->lock);
    link_finish(pending, result != NULL ? ANSWER_CAME : ANSWER_LOST, result, text);
    pthread_mutex_unlock(&link->lock);
}

void target_call(struct pending *pending, const Tercet__V1__Call *call,
                 struct crpc_channel *channel, int64_t timeout_ms)
{
    struct link *link = pending->link;
    const struct crpc_metadata authorization = {
        .key = "authorization", .value = {link->authorization, strlen(link->authorization)}};
    const struct crpc_call_options options = {.size = sizeof(options),
                                              .timeout_ms = timeout_ms,
                                              .wait_for_ready = timeout_ms == 0,
                                              .metadata = &authorization,
                                              .metadata_count = authorization.value.size > 0};
    int rc = crpc_unary_start(NULL, channel, &tercet__v1__participant__descriptor, "Execute",
                              &call->base, &options, on_answer, pending);
    if (rc == 0)
        return;
    pthread_mutex_lock(&link->lock);
    link_finish(pending, ANSWER_LOST, NULL, crpc_strerror(rc));
    pthread_mutex_unlock(&link->lock);
}
