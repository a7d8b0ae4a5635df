/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h: options and branches, checked, as messages.
 */
#include "client.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* protobuf-c has no const strings. */
static char *text_of(const char *text)
{
    return (char *)(uintptr_t)text;
}

/* -- Options ----------------------------------------------------------------------------------- */

static const char *check_metadata(const struct tercet_metadata *metadata, size_t count)
{
    size_t bytes = 0;
    const char *why = check_metadata_size(count, 0);
    if (why == NULL && metadata == NULL && count > 0)
        why = "metadata is NULL, but metadata_count is not 0";
    for (size_t i = 0; why == NULL && i < count; i++) {
        if (metadata[i].key == NULL || metadata[i].value == NULL)
            return "a metadata entry needs key and value";
        bytes += strlen(metadata[i].key) + strlen(metadata[i].value);
        why = check_metadata_entry(metadata[i].key, metadata[i].value);
    }
    return why != NULL ? why : check_metadata_size(count, bytes);
}

static const char *check_options(const struct tercet_begin_options *options)
{
    if (options->deadline_ms > TERCET_TIMEOUT_MS_MAX)
        return "a deadline is at most 30 days away";
    if (options->timeout_ms < 0 || options->timeout_ms > TERCET_TIMEOUT_MS_MAX)
        return "a timeout is 0 to 30 days";
    if ((int)options->wait < TERCET_WAIT_DECIDED || options->wait > TERCET_WAIT_NOT)
        return "options.wait is not one of the enum tercet_wait";
    return check_metadata(options->metadata, options->metadata_count);
}

int client_options_take(struct tercet_begin_options *out, struct tercet_gid *gid_out,
                        const struct tercet_begin_options *given,
                        const struct tercet_client *client, struct refusal *no)
{
    struct tercet_begin_options options;
    if (runtime_options_take(&options, sizeof(options), given) != 0)
        return refusal_set(no, TERCET_INVALID, "the options need their size");
    int rc = refusal_if(no, TERCET_INVALID, check_options(&options));
    if (rc == 0 && options.gid != NULL)
        rc = refusal_if(no, TERCET_INVALID, check_gid(options.gid));
    if (rc != 0)
        return rc;
    if (options.timeout_ms == 0)
        options.timeout_ms = client->timeout_ms;
    if (options.gid != NULL)
        tercet_gid_set(gid_out, options.gid);
    else
        tercet_gid_make(gid_out);
    *out = options;
    return 0;
}

void client_options_fill(struct client_options *out, const struct tercet_begin_options *options)
{
    tercet__v1__options__init(&out->message);
    out->message.deadline_ms = options->deadline_ms;
    out->message.ordered = options->is_ordered;
    out->message.keep_on_refusal = options->keeps_on_refusal;
    out->message.retry_base_ms = options->retry_base_ms;
    out->message.retry_cap_ms = options->retry_cap_ms;
    out->message.park_after_failures = options->park_after_failures;
    out->message.park_after_ms = options->park_after_ms;
    for (size_t i = 0; i < options->metadata_count; i++) {
        tercet__v1__metadata__init(&out->entries[i]);
        out->entries[i].key = text_of(options->metadata[i].key);
        out->entries[i].value = text_of(options->metadata[i].value);
        out->pointers[i] = &out->entries[i];
    }
    out->message.metadata = out->pointers;
    out->message.n_metadata = options->metadata_count;
}

/* -- Branches ---------------------------------------------------------------------------------- */

/* Whether this is called in a hook of the action's service. */
static bool is_own_service(const char *action)
{
    const char *service = tercet_runtime_hook_service();
    size_t size = service != NULL ? strlen(service) : 0;
    return service != NULL && strncmp(action, service, size) == 0 && action[size] == '/';
}

static const char *check_branch(const struct tercet_branch *branch)
{
    if (branch == NULL || branch->action == NULL)
        return "a branch needs an action, \"service/name\"";
    if (branch->request == NULL && branch->payload.data == NULL && branch->payload.size > 0)
        return "a branch's payload is NULL, but its size is not 0";
    if (branch->request == NULL && check_payload_size(branch->payload.size) != NULL)
        return check_payload_size(branch->payload.size);
    if (branch->try_timeout_ms > TERCET_TIMEOUT_MS_MAX)
        return "a try's timeout is at most 30 days";
    if (branch->call_timeout_ms > TERCET_TIMEOUT_MS_MAX ||
        branch->end_timeout_ms > TERCET_TIMEOUT_MS_MAX)
        return "a call's timeout is at most 30 days";
    const char *why = check_action(branch->action);
    return why == NULL && is_own_service(branch->action)
               ? "a hook must not call its own service: the thread that would serve it waits here"
               : why;
}

/* The payload's bytes: a message's packed ones, malloc'ed, or a view of the caller's. */
static int fill_payload(Tercet__V1__Branch *out, uint8_t **payload_out,
                        const struct tercet_branch *branch, struct refusal *no)
{
    *payload_out = NULL;
    if (branch->request == NULL) {
        out->payload.data = (uint8_t *)(uintptr_t)branch->payload.data;
        out->payload.len = branch->payload.size;
        return 0;
    }
    size_t size = protobuf_c_message_get_packed_size(branch->request);
    int rc = refusal_if(no, TERCET_INVALID, check_payload_size(size));
    if (rc != 0)
        return rc;
    *payload_out = malloc(size + 1);
    if (*payload_out == NULL)
        return refusal_set_plain(no, TERCET_NOMEM);
    out->payload.data = *payload_out;
    out->payload.len = protobuf_c_message_pack(branch->request, *payload_out);
    return 0;
}

int client_branch_fill(Tercet__V1__Branch *out, uint8_t **payload_out,
                       const struct tercet_branch *branch, uint32_t number, struct refusal *no)
{
    *payload_out = NULL;
    int rc = refusal_if(no, TERCET_INVALID, check_branch(branch));
    if (rc != 0)
        return rc;
    tercet__v1__branch__init(out);
    out->number = number;
    out->action = text_of(branch->action);
    out->try_timeout_ms = branch->try_timeout_ms;
    out->call_timeout_ms = branch->call_timeout_ms;
    out->end_timeout_ms = branch->end_timeout_ms;
    return fill_payload(out, payload_out, branch, no);
}
