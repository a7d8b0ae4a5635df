/* SPDX-License-Identifier: Apache-2.0
 *
 * load.h: by unary calls, as an initiator in any gRPC language makes them; 64 transactions a
 * connection.
 */
#include "load.h"

#include <bench.pb-c.h>
#include <crpc/crpc.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/v1/tercet.pb-c.h>

#define CALL_TIMEOUT_MS 60000
#define PER_CONNECTION 64u
#define CONNECTIONS_MAX ((IN_FLIGHT_MAX + PER_CONNECTION - 1) / PER_CONNECTION)

struct unary {
    struct crpc_loop *loop;
    struct crpc_channel *coordinator[CONNECTIONS_MAX];
    struct crpc_channel *participants[PARTICIPANTS_MAX][CONNECTIONS_MAX];
};

/* -- Calls ------------------------------------------------------------------------------------- */

/* Makes a call of the slot's; when it cannot be made, the transaction ends here. */
static void call(struct slot *slot, struct crpc_channel *channel,
                 const ProtobufCServiceDescriptor *service, const char *method,
                 const ProtobufCMessage *request, const struct crpc_metadata *metadata,
                 size_t metadata_count, crpc_unary_fn done)
{
    const struct crpc_call_options options = {.size = sizeof(options),
                                              .timeout_ms = CALL_TIMEOUT_MS,
                                              .wait_for_ready = true,
                                              .metadata = metadata,
                                              .metadata_count = metadata_count};
    int rc = crpc_unary_start(NULL, channel, service, method, request, &options, done, slot);
    if (rc != 0) {
        atomic_store(&slot->load->is_stopping, true);
        load_finish(slot, OUTCOME_UNKNOWN, crpc_strerror(rc));
    }
}

static void ask(struct slot *slot, const char *method, const ProtobufCMessage *request,
                crpc_unary_fn done)
{
    struct unary *unary = slot->load->state;
    call(slot, unary->coordinator[slot->index / PER_CONNECTION],
         &tercet__v1__coordinator__descriptor, method, request, NULL, 0, done);
}

static Tercet__V1__Wait wait_of(const struct slot *slot)
{
    return slot->is_resolved_wanted ? TERCET__V1__WAIT__WAIT_RESOLVED
                                    : TERCET__V1__WAIT__WAIT_DECIDED;
}

static void fill_branch(Tercet__V1__Branch *out, const struct slot *slot, uint32_t number)
{
    const struct tercet_branch branch = load_branch(slot, number);
    tercet__v1__branch__init(out);
    out->number = number;
    out->action = (char *)(uintptr_t)branch.action;
    out->payload.data = (uint8_t *)(uintptr_t)branch.payload.data;
    out->payload.len = branch.payload.size;
}

static void on_ended(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    const Tercet__V1__Transaction *transaction = (const void *)reply;
    enum outcome outcome = OUTCOME_UNKNOWN;
    if (transaction != NULL) {
        enum tercet_state state = (enum tercet_state)transaction->state;
        bool is_confirmed = state == TERCET_CONFIRMING || state == TERCET_CONFIRMED;
        outcome = load_outcome(is_confirmed ? 0 : TERCET_UNKNOWN, state);
    }
    load_finish(ctx, outcome, status->message);
}

static void run(struct slot *slot)
{
    Tercet__V1__RunRequest request = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__Branch branches[BRANCHES_MAX];
    Tercet__V1__Branch *pointers[BRANCHES_MAX];
    request.gid = slot->gid;
    request.wait = wait_of(slot);
    request.branches = pointers;
    request.n_branches = slot->load->options->branches;
    for (uint32_t i = 0; i < slot->load->options->branches; i++) {
        fill_branch(&branches[i], slot, i + 1);
        pointers[i] = &branches[i];
    }
    ask(slot, "Run", &request.base, on_ended);
}

static void confirm(struct slot *slot)
{
    Tercet__V1__ConfirmRequest request = TERCET__V1__CONFIRM_REQUEST__INIT;
    request.gid = slot->gid;
    request.wait = wait_of(slot);
    ask(slot, "Confirm", &request.base, on_ended);
}

static void cancel(struct slot *slot)
{
    Tercet__V1__CancelRequest request = TERCET__V1__CANCEL_REQUEST__INIT;
    request.gid = slot->gid;
    request.reason = (char *)(uintptr_t) "refused";
    request.wait = wait_of(slot);
    ask(slot, "Cancel", &request.base, on_ended);
}

/* -- Step by step ------------------------------------------------------------------------------ */

static void try_next(struct slot *slot);

static void on_tried(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    struct slot *slot = ctx;
    const Tercet__V1__TryResponse *tried = (const void *)reply;
    if (tried != NULL && tried->outcome == TERCET__V1__TRY_STATE__TRY_DONE) {
        if (slot->branch < slot->load->options->branches)
            try_next(slot);
        else
            confirm(slot);
    } else if (tried != NULL && tried->outcome == TERCET__V1__TRY_STATE__TRY_REFUSED) {
        if (slot->is_resolved_wanted)
            cancel(slot); /* is being cancelled: this waits for the end */
        else
            load_finish(slot, OUTCOME_CANCELLED, NULL);
    } else {
        load_finish(slot, OUTCOME_UNKNOWN,
                    tried != NULL ? "the try's outcome is not known" : status->message);
    }
}

static void try_next(struct slot *slot)
{
    Tercet__V1__TryRequest request = TERCET__V1__TRY_REQUEST__INIT;
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__Branch branch;
    fill_branch(&branch, slot, ++slot->branch);
    request.gid = slot->gid;
    request.branch = &branch;
    request.begin = slot->branch == 1 ? &begin : NULL;
    ask(slot, "Try", &request.base, on_tried);
}

/* -- Own calls --------------------------------------------------------------------------------- */

static void enlist_next(struct slot *slot);

static void on_own_tried(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    struct slot *slot = ctx;
    if (reply == NULL && status->code == CRPC_ABORTED)
        cancel(slot);
    else if (reply == NULL)
        load_finish(slot, OUTCOME_UNKNOWN, status->message);
    else if (slot->branch < slot->load->options->branches)
        enlist_next(slot);
    else
        confirm(slot);
}

static void on_enlisted(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    struct slot *slot = ctx;
    struct unary *unary = slot->load->state;
    const Tercet__V1__Transaction *transaction = (const void *)reply;
    Tercet__Bench__V1__TryRequest request = TERCET__BENCH__V1__TRY_REQUEST__INIT;
    char branch[16];
    char number[24];
    if (transaction == NULL) {
        load_finish(slot, OUTCOME_UNKNOWN, status->message);
        return;
    }
    int branch_size = snprintf(branch, sizeof(branch), "%" PRIu32, slot->branch);
    int number_size = snprintf(number, sizeof(number), "%" PRIu64, transaction->number);
    const struct crpc_metadata metadata[] = {
        {"tercet-gid", {slot->gid, strlen(slot->gid)}},
        {"tercet-branch", {branch, (size_t)branch_size}},
        {"tercet-number", {number, (size_t)number_size}},
    };
    request.payload.data = slot->load->payload;
    request.payload.len = slot->load->options->payload_size;
    uint32_t participant = participant_of(slot->load->options, slot->seq, slot->branch);
    call(slot, unary->participants[participant][slot->index / PER_CONNECTION],
         &tercet__bench__v1__own__descriptor, "Try", &request.base, metadata, 3, on_own_tried);
}

static void enlist_next(struct slot *slot)
{
    Tercet__V1__EnlistRequest request = TERCET__V1__ENLIST_REQUEST__INIT;
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__Branch branch;
    fill_branch(&branch, slot, ++slot->branch);
    request.gid = slot->gid;
    request.branch = &branch;
    request.begin = slot->branch == 1 ? &begin : NULL;
    ask(slot, "Enlist", &request.base, on_enlisted);
}

/* -- The backend ------------------------------------------------------------------------------- */

static bool start(struct slot *slot)
{
    if (slot->load->options->form == FORM_RUN)
        run(slot);
    else if (slot->load->options->form == FORM_STEPS)
        try_next(slot);
    else
        enlist_next(slot);
    return true;
}

static const char *open_channels(struct load *load)
{
    const struct crpc_channel_options options = {.size = sizeof(options), .own_connection = true};
    struct unary *unary = calloc(1, sizeof(*unary));
    if (unary == NULL)
        return "out of memory";
    load->state = unary;
    int rc = crpc_loop_new(&unary->loop, NULL);
    for (uint32_t i = 0; i * PER_CONNECTION < load->options->in_flight && rc == 0; i++) {
        rc = crpc_channel_new(&unary->coordinator[i], unary->loop, load->shared->coordinator,
                              &options);
        for (uint32_t j = 0;
             j < load->options->participants && load->options->form == FORM_OWN && rc == 0; j++)
            rc = crpc_channel_new(&unary->participants[j][i], unary->loop, load->shared->own[j],
                                  &options);
    }
    return rc == 0 ? NULL : crpc_strerror(rc);
}

static void close_channels(struct load *load)
{
    struct unary *unary = load->state;
    if (unary == NULL)
        return;
    for (uint32_t i = 0; i < CONNECTIONS_MAX; i++) {
        crpc_channel_free(unary->coordinator[i]);
        for (uint32_t j = 0; j < PARTICIPANTS_MAX; j++)
            crpc_channel_free(unary->participants[j][i]);
    }
    crpc_loop_free(unary->loop);
    free(unary);
}

const struct backend backend_unary = {
    .open = open_channels, .start = start, .close = close_channels};
