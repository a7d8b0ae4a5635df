/* SPDX-License-Identifier: Apache-2.0
 *
 * admin.h (public): Admin's calls, and transactions as views.
 */
#include "runtime.h"

#include <assert.h>
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/admin.h>
#include <tercet/v1/tercet.pb-c.h>

#define TIMEOUT_MS_DEFAULT 60000
#define PAGE_MAX 100
#define FORKED "this process was forked after the admin was opened"

struct tercet_admin {
    struct runtime_link link;
    int64_t timeout_ms;
};

/* -- Opening ----------------------------------------------------------------------------------- */

int tercet_admin_open(struct tercet_admin **out, const char *coordinator,
                      const struct tercet_client_options *given, char *text)
{
    struct tercet_client_options options;
    if (runtime_options_take(&options, sizeof(options), given) != 0 || options.timeout_ms < 0) {
        runtime_text(text, "the options need their size, and a timeout of 0 or more");
        return TERCET_INVALID;
    }
    struct runtime_credentials credentials = {options.token, options.tls_ca, options.tls_cert,
                                              options.tls_key, false};
    struct tercet_admin *admin = calloc(1, sizeof(*admin));
    if (admin == NULL)
        return TERCET_NOMEM;
    admin->timeout_ms = options.timeout_ms > 0 ? options.timeout_ms : TIMEOUT_MS_DEFAULT;
    int rc = runtime_link_open(&admin->link, coordinator, &credentials, text);
    if (rc != 0) {
        free(admin);
        return rc;
    }
    *out = admin;
    return 0;
}

void tercet_admin_close(struct tercet_admin *admin)
{
    if (admin == NULL || runtime_link_is_forked(&admin->link))
        return;
    runtime_link_close(&admin->link);
    free(admin);
}

static int ask(ProtobufCMessage **reply, struct tercet_admin *admin, const char *method,
               const ProtobufCMessage *request, char *text)
{
    if (runtime_link_is_forked(&admin->link)) {
        runtime_text(text, FORKED);
        return TERCET_INVALID;
    }
    return runtime_link_ask(reply, &admin->link, &tercet__v1__admin__descriptor, method, request,
                            admin->timeout_ms, text);
}

/* For calls of which the answer only says that it is done. */
static int tell(struct tercet_admin *admin, const char *method, const ProtobufCMessage *request,
                char *text)
{
    ProtobufCMessage *reply = NULL;
    int rc = ask(&reply, admin, method, request, text);
    if (rc == 0)
        crpc_message_free(reply);
    return rc;
}

/* protobuf-c has no const strings. */
static char *text_of(const char *text)
{
    return text != NULL ? (char *)(uintptr_t)text : (char *)(uintptr_t) "";
}

/* -- Views ------------------------------------------------------------------------------------- */

static const char *name_of(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return found != NULL ? found->name : "?";
}

static struct tercet_branch_view branch_view(const Tercet__V1__BranchStatus *branch)
{
    static const Tercet__V1__Failures none = TERCET__V1__FAILURES__INIT;
    const Tercet__V1__Failures *tries = branch->try_failures, *ends = branch->end_failures;
    tries = tries != NULL ? tries : &none;
    ends = ends != NULL ? ends : &none;
    return (struct tercet_branch_view){
        .branch = {.number = branch->number},
        .action = branch->action,
        .try_state = name_of(&tercet__v1__try_state__descriptor, (int)branch->try_state),
        .end_state = name_of(&tercet__v1__end_state__descriptor, (int)branch->end_state),
        .failures = branch->attempts,
        .is_parked = branch->parked,
        .is_broken = branch->broken,
        .is_settled = branch->settled,
        .reason = branch->reason,
        .last_error = branch->last_error,
        .next_attempt_ms = branch->next_attempt_ms,
        .reply = {.data = branch->reply.data, .size = branch->reply.len},
        .waits_for = branch->obstacle != NULL ? branch->obstacle->text : "",
        .try_failures = tries->count,
        .try_error = tries->last_error,
        .try_instance = tries->last_instance,
        .end_failures = ends->count,
        .end_error = ends->last_error,
        .end_instance = ends->last_instance,
        .owed = name_of(&tercet__v1__owed__descriptor, (int)branch->owed),
        .try_until_ms = branch->try_until_ms,
    };
}

static struct tercet_transaction_view transaction_view(const Tercet__V1__Transaction *transaction)
{
    struct tercet_transaction_view view = {
        .state = (enum tercet_state)transaction->state,
        .cause = (enum tercet_cause)transaction->cause,
        .reason = transaction->reason,
        .created_ms = transaction->created_ms,
        .deadline_ms = transaction->deadline_ms,
        .decided_ms = transaction->decided_ms,
        .resolved_ms = transaction->resolved_ms,
        .number = transaction->number,
        .is_parked = transaction->parked,
        .cancels_ms = transaction->cancels_ms,
        .cancels_for = {.number = transaction->cancels_for},
    };
    tercet_gid_set(&view.gid, transaction->gid);
    return view;
}

/* What a view points to. */
struct view_parts {
    struct tercet_metadata *metadata;
    struct tercet_branch_view *branches;
    const struct tercet_branch_view **pointers;
};

static bool fill_parts(struct view_parts *parts, const Tercet__V1__Transaction *transaction)
{
    const size_t branch_count = transaction->n_branches;
    parts->metadata = calloc(transaction->n_metadata + 1, sizeof(*parts->metadata));
    parts->branches = calloc(branch_count + 1, sizeof(*parts->branches));
    parts->pointers = calloc(branch_count + 1, sizeof(*parts->pointers));
    if (parts->metadata == NULL || parts->branches == NULL || parts->pointers == NULL)
        return false;
    for (size_t i = 0; i < transaction->n_metadata; i++)
        parts->metadata[i] = (struct tercet_metadata){.key = transaction->metadata[i]->key,
                                                      .value = transaction->metadata[i]->value};
    for (size_t i = 0; i < branch_count; i++) {
        parts->branches[i] = branch_view(transaction->branches[i]);
        parts->pointers[i] = &parts->branches[i];
    }
    return true;
}

/* *goes_on: what the callback said. */
static int show_view(const Tercet__V1__Transaction *transaction, tercet_view_fn on_view, void *ctx,
                     bool *goes_on)
{
    struct tercet_transaction_view view = transaction_view(transaction);
    struct view_parts parts = {.metadata = NULL};
    int rc = fill_parts(&parts, transaction) ? 0 : TERCET_NOMEM;
    if (rc == 0) {
        view.metadata = parts.metadata;
        view.metadata_count = transaction->n_metadata;
        view.branches = parts.pointers;
        view.branch_count = transaction->n_branches;
        *goes_on = on_view(&view, ctx);
    }
    free(parts.metadata);
    free(parts.branches);
    free(parts.pointers);
    return rc;
}

/* -- Looking ----------------------------------------------------------------------------------- */

int tercet_admin_show(struct tercet_admin *admin, const char *gid, tercet_view_fn on_view,
                      void *ctx, char *text)
{
    Tercet__V1__GetRequest request = TERCET__V1__GET_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    bool goes_on = true;
    request.gid = text_of(gid);
    int rc = ask(&reply, admin, "Show", &request.base, text);
    if (rc != 0)
        return rc;
    rc = show_view((const Tercet__V1__Transaction *)reply, on_view, ctx, &goes_on);
    crpc_message_free(reply);
    return rc;
}

/* One listing, page by page. */
struct listing {
    struct tercet_admin *admin;
    Tercet__V1__ListRequest request;
    Tercet__V1__State states[TERCET_CANCELLED];
    Tercet__V1__Metadata entries[TERCET_METADATA_MAX];
    Tercet__V1__Metadata *pointers[TERCET_METADATA_MAX];
    uint64_t left; /* of the limit */
    bool goes_on;
};

static int fill_request(struct listing *listing, const struct tercet_list_options *options)
{
    Tercet__V1__ListRequest *request = &listing->request;
    if (options->state_count > TERCET_CANCELLED || options->metadata_count > TERCET_METADATA_MAX)
        return TERCET_INVALID;
    tercet__v1__list_request__init(request);
    for (size_t i = 0; i < options->state_count; i++)
        listing->states[i] = (Tercet__V1__State)options->states[i];
    request->states = listing->states;
    request->n_states = options->state_count;
    for (size_t i = 0; i < options->metadata_count; i++) {
        tercet__v1__metadata__init(&listing->entries[i]);
        listing->entries[i].key = text_of(options->metadata[i].key);
        listing->entries[i].value = text_of(options->metadata[i].value);
        listing->pointers[i] = &listing->entries[i];
    }
    request->metadata = listing->pointers;
    request->n_metadata = options->metadata_count;
    request->parked = options->is_parked;
    request->resolved = options->is_resolved;
    request->service = text_of(options->service);
    listing->left = options->limit > 0 ? options->limit : UINT64_MAX;
    listing->goes_on = true;
    return 0;
}

/* *next gets the token of the next page, NULL after the last; the caller frees it. */
static int list_page(struct listing *listing, char **next, tercet_view_fn on_view, void *ctx,
                     char *text)
{
    ProtobufCMessage *reply = NULL;
    listing->request.page_size = listing->left < PAGE_MAX ? (uint32_t)listing->left : PAGE_MAX;
    int rc = ask(&reply, listing->admin, "List", &listing->request.base, text);
    if (rc != 0)
        return rc;
    const Tercet__V1__ListResponse *page = (const Tercet__V1__ListResponse *)reply;
    for (size_t i = 0; rc == 0 && listing->goes_on && i < page->n_transactions; i++)
        rc = show_view(page->transactions[i], on_view, ctx, &listing->goes_on);
    listing->left -= page->n_transactions < listing->left ? page->n_transactions : listing->left;
    if (rc == 0 && page->next_page_token[0] != '\0' &&
        (*next = strdup(page->next_page_token)) == NULL)
        rc = TERCET_NOMEM;
    crpc_message_free(reply);
    return rc;
}

int tercet_admin_list(struct tercet_admin *admin, const struct tercet_list_options *given,
                      tercet_view_fn on_view, void *ctx, char *text)
{
    struct tercet_list_options options;
    struct listing listing = {.admin = admin};
    char *token = NULL;
    if (runtime_options_take(&options, sizeof(options), given) != 0 ||
        fill_request(&listing, &options) != 0) {
        runtime_text(text, "the options need their size; at most 5 states and 16 metadata entries");
        return TERCET_INVALID;
    }
    int rc;
    do {
        char *next = NULL;
        listing.request.page_token = text_of(token);
        rc = list_page(&listing, &next, on_view, ctx, text);
        free(token);
        token = next;
    } while (rc == 0 && token != NULL && listing.goes_on && listing.left > 0);
    free(token);
    return rc;
}

/* -- Acting ------------------------------------------------------------------------------------ */

int tercet_admin_retry(struct tercet_admin *admin, const char *gid, struct tercet_branch_id branch,
                       char *text)
{
    Tercet__V1__RetryRequest request = TERCET__V1__RETRY_REQUEST__INIT;
    request.gid = text_of(gid);
    request.branch = branch.number;
    return tell(admin, "Retry", &request.base, text);
}

static int settle(struct tercet_admin *admin, const char *gid, uint32_t branch, const char *reason,
                  bool is_now, char *text)
{
    Tercet__V1__SettleRequest request = TERCET__V1__SETTLE_REQUEST__INIT;
    request.gid = text_of(gid);
    request.branch = branch;
    request.reason = text_of(reason);
    request.now = is_now;
    return tell(admin, "Settle", &request.base, text);
}

int tercet_admin_settle(struct tercet_admin *admin, const char *gid, struct tercet_branch_id branch,
                        const char *reason, char *text)
{
    return settle(admin, gid, branch.number, reason, false, text);
}

int tercet_admin_settle_now(struct tercet_admin *admin, const char *gid,
                            struct tercet_branch_id branch, const char *reason, char *text)
{
    return settle(admin, gid, branch.number, reason, true, text);
}

int tercet_admin_decide(struct tercet_admin *admin, const char *gid, bool is_confirmed,
                        const char *reason, char *text)
{
    Tercet__V1__DecideRequest request = TERCET__V1__DECIDE_REQUEST__INIT;
    request.gid = text_of(gid);
    request.confirm = is_confirmed;
    request.reason = text_of(reason);
    return tell(admin, "Decide", &request.base, text);
}

int tercet_admin_pause(struct tercet_admin *admin, const char *service, bool is_paused, char *text)
{
    Tercet__V1__PauseRequest request = TERCET__V1__PAUSE_REQUEST__INIT;
    request.service = text_of(service);
    request.paused = is_paused;
    return tell(admin, "Pause", &request.base, text);
}

/* -- Targets ----------------------------------------------------------------------------------- */

static int change_targets(struct tercet_admin *admin, const Tercet__V1__RegisterRequest *request,
                          char *text)
{
    ProtobufCMessage *reply = NULL;
    if (runtime_link_is_forked(&admin->link)) {
        runtime_text(text, FORKED);
        return TERCET_INVALID;
    }
    int rc = runtime_link_ask(&reply, &admin->link, &tercet__v1__participants__descriptor,
                              "RegisterTarget", &request->base, admin->timeout_ms, text);
    if (rc == 0)
        crpc_message_free(reply);
    return rc;
}

int tercet_admin_register(struct tercet_admin *admin, const char *service, const char *target,
                          const char *const *actions, size_t action_count, char *text)
{
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    if (target == NULL || target[0] == '\0') {
        runtime_text(text, "say at which target the service is to be called");
        return TERCET_INVALID;
    }
    request.service = text_of(service);
    request.target = text_of(target);
    request.actions = (char **)(uintptr_t)actions;
    request.n_actions = action_count;
    return change_targets(admin, &request, text);
}

int tercet_admin_unregister(struct tercet_admin *admin, const char *service, const char *target,
                            char *text)
{
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    request.service = text_of(service);
    request.target = text_of(target);
    request.remove = target != NULL;
    return change_targets(admin, &request, text);
}

static bool tell_targets(const Tercet__V1__ParticipantStatus *status, tercet_target_fn on_target,
                         void *ctx)
{
    bool goes_on = true;
    for (size_t i = 0; i < status->n_targets && goes_on; i++) {
        const Tercet__V1__Target *target = status->targets[i];
        const struct tercet_target_view view = {.service = status->service,
                                                .target = target->target,
                                                .calls = target->calls,
                                                .failures = target->failures,
                                                .is_breaker_open = target->breaker_open,
                                                .last_error = target->last_error};
        goes_on = on_target(&view, ctx);
    }
    return goes_on;
}

int tercet_admin_targets(struct tercet_admin *admin, const char *service,
                         tercet_target_fn on_target, void *ctx, char *text)
{
    Tercet__V1__ListParticipantsRequest request = TERCET__V1__LIST_PARTICIPANTS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int rc = ask(&reply, admin, "ListParticipants", &request.base, text);
    if (rc != 0)
        return rc;
    const Tercet__V1__ListParticipantsResponse *list =
        (const Tercet__V1__ListParticipantsResponse *)reply;
    bool goes_on = true;
    for (size_t i = 0; i < list->n_participants && goes_on; i++)
        if (service == NULL || strcmp(list->participants[i]->service, service) == 0)
            goes_on = tell_targets(list->participants[i], on_target, ctx);
    crpc_message_free(reply);
    return 0;
}
