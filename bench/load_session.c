/* SPDX-License-Identifier: Apache-2.0
 *
 * load.h: by the library's callbacks, over one session.
 */
#include "load.h"

/* -- Run --------------------------------------------------------------------------------------- */

static enum tercet_wait wait_of(const struct slot *slot)
{
    return slot->is_resolved_wanted ? TERCET_WAIT_RESOLVED : TERCET_WAIT_DECIDED;
}

static void on_ended(const struct tercet_result *result, void *ctx)
{
    struct slot *slot = ctx;
    tercet_transaction_free(slot->transaction);
    slot->transaction = NULL;
    load_finish(slot, load_outcome(result->code, result->state), result->text);
}

/* After a refusal: 0 says that the cancellation is over. */
static void on_cancelled(const struct tercet_result *result, void *ctx)
{
    struct slot *slot = ctx;
    tercet_transaction_free(slot->transaction);
    slot->transaction = NULL;
    load_finish(slot, result->code == 0 ? OUTCOME_CANCELLED : OUTCOME_UNKNOWN, result->text);
}

static int start_run(struct slot *slot)
{
    const struct tercet_begin_options options = {
        .size = sizeof(options), .gid = slot->gid, .wait = wait_of(slot)};
    struct tercet_branch branches[BRANCHES_MAX];
    for (uint32_t i = 0; i < slot->load->options->branches; i++)
        branches[i] = load_branch(slot, i + 1);
    return tercet_run_start(slot->load->state, branches, slot->load->options->branches, &options,
                            on_ended, slot);
}

/* -- Step by step: a try when the one before is done, then the decision ------------------------ */

static void on_tried(const struct tercet_tried *tried, void *ctx);

static int start_try(struct slot *slot)
{
    const struct tercet_branch branch = load_branch(slot, ++slot->branch);
    return tercet_try_start(slot->transaction, &branch, on_tried, slot);
}

/* When the try said all that was wanted: the decision to cancel is durable before the refusal is
 * told. */
static void end_here(struct slot *slot, enum outcome outcome, const char *text)
{
    tercet_transaction_free(slot->transaction);
    slot->transaction = NULL;
    load_finish(slot, outcome, text);
}

static void on_tried(const struct tercet_tried *tried, void *ctx)
{
    struct slot *slot = ctx;
    int rc;
    if (tried->code == 0 && slot->branch < slot->load->options->branches)
        rc = start_try(slot);
    else if (tried->code == 0)
        rc = tercet_confirm_start(slot->transaction, wait_of(slot), on_ended, slot);
    else if (tried->code != TERCET_REFUSED || !slot->is_resolved_wanted) {
        end_here(slot, load_outcome(tried->code, (enum tercet_state)0), tried->text);
        return;
    } else
        rc = tercet_cancel_start(slot->transaction, TERCET_WAIT_RESOLVED, "refused", on_cancelled,
                                 slot);
    if (rc != 0)
        end_here(slot, OUTCOME_UNKNOWN, tercet_strerror(rc));
}

static int start_steps(struct slot *slot)
{
    const struct tercet_begin_options options = {.size = sizeof(options), .gid = slot->gid};
    int rc = tercet_begin(&slot->transaction, slot->load->state, &options);
    if (rc == 0 && (rc = start_try(slot)) != 0) {
        tercet_transaction_free(slot->transaction);
        slot->transaction = NULL;
    }
    return rc;
}

/* -- The backend ------------------------------------------------------------------------------- */

static bool start(struct slot *slot)
{
    int rc = slot->load->options->form == FORM_RUN ? start_run(slot) : start_steps(slot);
    if (rc != 0)
        load_error(slot->load, tercet_strerror(rc));
    return rc == 0;
}

static const char *open_client(struct load *load)
{
    struct tercet_client *client = NULL;
    const struct tercet_client_options options = {.size = sizeof(options),
                                                  .requests_max = 2 * IN_FLIGHT_MAX};
    int rc = tercet_client_open(&client, load->shared->coordinator, &options, NULL);
    load->state = client;
    return rc == 0 ? NULL : tercet_strerror(rc);
}

static void close_client(struct load *load)
{
    tercet_client_close(load->state);
}

const struct backend backend_session = {.open = open_client, .start = start, .close = close_client};
