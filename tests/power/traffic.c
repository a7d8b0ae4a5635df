/* SPDX-License-Identifier: Apache-2.0
 *
 * traffic.h
 */
#include "traffic.h"

#include "image.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BRANCHES_MAX 3
#define PAYLOAD_LARGE 40000
#define REPLY_LARGE 5000
#define DEADLINE_MS 1000 /* of those that nobody decides */

static const char *const services[TRAFFIC_SERVICES] = {"stock", "payment", "order"};

/* -- Marks ------------------------------------------------------------------------------------- */

static void mark(struct traffic *traffic, const char *gid, enum power_told told, uint32_t branch,
                 uint64_t number)
{
    struct power_mark mark = {.told = (uint32_t)told, .branch = branch, .number = number};
    struct iovec part = {&mark, sizeof(mark)};
    snprintf(mark.gid, sizeof(mark.gid), "%s", gid);
    power_log_append(traffic->log, (struct power_record){.kind = POWER_MARK}, &part, 1);
}

/* An answer. A state that is told is durable, whatever the code. */
static void mark_result(struct traffic *traffic, const char *gid,
                        const struct tercet_result *result, uint32_t branches)
{
    if (result->state == 0) {
        traffic->unknown += result->code == TERCET_UNKNOWN;
        return;
    }
    mark(traffic, gid, TOLD_KNOWN, 0, result->number);
    for (uint32_t i = 1; i <= branches; i++)
        mark(traffic, gid, TOLD_BRANCH, i, 0);
    bool is_confirmed = result->state == TERCET_CONFIRMING || result->state == TERCET_CONFIRMED;
    if (is_confirmed || result->state == TERCET_CANCELLING || result->state == TERCET_CANCELLED) {
        mark(traffic, gid, is_confirmed ? TOLD_CONFIRM : TOLD_CANCEL, 0, 0);
        traffic->confirmed += is_confirmed;
        traffic->cancelled += !is_confirmed;
    }
}

/* -- Participants ------------------------------------------------------------------------------ */

static const enum power_told hook_marks[] = {
    [TERCET_TRY] = HOOK_TRY, [TERCET_CONFIRM] = HOOK_CONFIRM, [TERCET_CANCEL] = HOOK_CANCEL};

/* The payload's first byte says what a try comes to: 'n' refused, 'r' a large reply. */
static int on_call(const struct tercet_call *call, void *ctx)
{
    static const char reply[REPLY_LARGE];
    char first = call->payload.size > 0 ? *(const char *)call->payload.data : '\0';
    bool is_refused = call->kind == TERCET_TRY && first == 'n';
    mark(ctx, call->gid, is_refused ? HOOK_REFUSED : hook_marks[call->kind], call->branch.number,
         0);
    if (is_refused)
        return tercet_refuse(call, "sold out");
    return call->kind == TERCET_TRY && first == 'r'
               ? tercet_reply_bytes(call, (struct tercet_bytes){reply, sizeof(reply)})
               : 0;
}

static int on_own_try(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    mark(ctx, call->gid, HOOK_TRY, call->branch, 0);
    return 0;
}

static bool open_participant(struct traffic *traffic, size_t i, const char *coordinator)
{
    static const struct tercet_action action = {
        .name = "do", .on_try = on_call, .on_confirm = on_call, .on_cancel = on_call};
    struct tercet_participant_options options = {.size = sizeof(options), .ctx = traffic};
    char text[TERCET_TEXT_MAX] = "";
    int rc = tercet_barrier_memory_open(&traffic->barriers[i], NULL);
    options.barrier = traffic->barriers[i];
    if (rc == 0)
        rc = tercet_participant_open(&traffic->participants[i], coordinator, services[i], &action,
                                     1, &options, text);
    if (rc == 0)
        rc = tercet_participant_wait(traffic->participants[i], TRAFFIC_PATIENCE_MS, text);
    if (rc != 0)
        fprintf(stderr, "power_record: %s: %s\n", services[i], text);
    return rc == 0;
}

bool traffic_open(struct traffic *traffic, const char *coordinator)
{
    struct tercet_client_options options = {.size = sizeof(options),
                                            .timeout_ms = TRAFFIC_PATIENCE_MS};
    traffic->ended_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (traffic->ended_event < 0 ||
        tercet_client_open(&traffic->client, coordinator, &options, NULL) != 0)
        return false;
    for (size_t i = 0; i < TRAFFIC_SERVICES; i++)
        if (!open_participant(traffic, i, coordinator))
            return false;
    return true;
}

void traffic_close(struct traffic *traffic)
{
    for (size_t i = 0; i < TRAFFIC_SERVICES; i++) {
        tercet_participant_close(traffic->participants[i]);
        tercet_barrier_close(traffic->barriers[i]);
    }
    tercet_client_close(traffic->client);
    close(traffic->ended_event);
}

/* -- One transaction --------------------------------------------------------------------------- */

struct deal {
    struct traffic *traffic;
    uint64_t *state; /* of the draws */
    struct tercet_gid gid;
    struct tercet_begin_options options;
    struct tercet_branch branches[BRANCHES_MAX];
    size_t services[BRANCHES_MAX];
    size_t count;
};

static size_t draw_size(uint64_t *state)
{
    uint64_t kind = image_draw(state, 100);
    if (kind < 2)
        return (size_t)image_draw(state, PAYLOAD_LARGE);
    return (size_t)(kind < 10 ? image_draw(state, 6000) : image_draw(state, 300));
}

static struct tercet_bytes draw_payload(uint64_t *state)
{
    static const char payloads[3][PAYLOAD_LARGE + 1] = {"n", "r", "y"};
    uint64_t kind = image_draw(state, 20);
    const char *payload = payloads[kind < 2 ? 0 : kind < 4 ? 1 : 2];
    return (struct tercet_bytes){payload, 1 + draw_size(state)};
}

/* Gids of our own, which stand anywhere in the index, and made ones, which grow. */
static void draw_gid(struct deal *deal, uint64_t number)
{
    char text[64];
    if (image_draw(deal->state, 2) == 0) {
        tercet_gid_make(&deal->gid);
        return;
    }
    snprintf(text, sizeof(text), "%" PRIx64 "-%" PRIu64, image_draw(deal->state, 1u << 20), number);
    if (tercet_gid_set(&deal->gid, text) != 0)
        abort();
}

static void draw_deal(struct deal *deal, uint64_t number)
{
    static const char *const actions[TRAFFIC_SERVICES] = {"stock/do", "payment/do", "order/do"};
    draw_gid(deal, number);
    deal->options =
        (struct tercet_begin_options){.size = sizeof(deal->options), .gid = deal->gid.text};
    deal->options.deadline_ms = DEADLINE_MS;
    deal->options.is_ordered = image_draw(deal->state, 4) == 0;
    deal->count = 1 + (size_t)image_draw(deal->state, BRANCHES_MAX);
    for (size_t i = 0; i < deal->count; i++) {
        deal->services[i] = (size_t)image_draw(deal->state, TRAFFIC_SERVICES);
        deal->branches[i].action = actions[deal->services[i]];
        deal->branches[i].payload = draw_payload(deal->state);
    }
}

static void run_plan(struct deal *deal)
{
    static const enum tercet_wait waits[] = {TERCET_WAIT_DECIDED, TERCET_WAIT_RESOLVED,
                                             TERCET_WAIT_NOT};
    struct tercet_result result = {0};
    deal->options.wait = waits[image_draw(deal->state, 3)];
    tercet_run(deal->traffic->client, deal->branches, deal->count, &deal->options, &result);
    mark_result(deal->traffic, deal->gid.text, &result, (uint32_t)deal->count);
}

/* Confirms, cancels, or leaves it to the deadline. */
static void decide(struct deal *deal, struct tercet_transaction *transaction)
{
    struct tercet_result result = {0};
    uint64_t kind = image_draw(deal->state, 10);
    enum tercet_wait wait =
        image_draw(deal->state, 2) == 0 ? TERCET_WAIT_DECIDED : TERCET_WAIT_RESOLVED;
    if (kind < 6)
        tercet_confirm(transaction, wait, &result);
    else if (kind < 9)
        tercet_cancel(transaction, wait, "changed my mind", &result);
    mark_result(deal->traffic, deal->gid.text, &result, 0);
}

static void step_by_step(struct deal *deal)
{
    struct tercet_transaction *transaction;
    deal->options.is_ordered = false;
    deal->options.keeps_on_refusal = image_draw(deal->state, 3) == 0;
    if (tercet_begin(&transaction, deal->traffic->client, &deal->options) != 0)
        return;
    for (size_t i = 0; i < deal->count; i++) {
        struct tercet_tried tried = {0};
        tercet_try(transaction, &deal->branches[i], &tried);
        if (tried.code == 0 || tried.code == TERCET_REFUSED)
            mark(deal->traffic, deal->gid.text, TOLD_BRANCH, tried.branch.number, 0);
        if (tried.code == TERCET_REFUSED && !deal->options.keeps_on_refusal)
            mark(deal->traffic, deal->gid.text, TOLD_CANCEL, 0, 0);
        tercet_tried_clear(&tried);
    }
    decide(deal, transaction);
    tercet_transaction_free(transaction);
}

static void own_calls(struct deal *deal)
{
    struct tercet_transaction *transaction;
    deal->options.is_ordered = false;
    if (tercet_begin(&transaction, deal->traffic->client, &deal->options) != 0)
        return;
    for (size_t i = 0; i < deal->count; i++) {
        struct tercet_branch_id branch = {0};
        struct tercet_result result = {0};
        int rc = tercet_enlist(transaction, &deal->branches[i], &branch, &result);
        mark_result(deal->traffic, deal->gid.text, &result, 0);
        if (rc != 0)
            continue;
        mark(deal->traffic, deal->gid.text, TOLD_BRANCH, branch.number, 0);
        tercet_barrier_guard(deal->traffic->barriers[deal->services[i]], TERCET_TRY, deal->gid.text,
                             branch, result.number, on_own_try, deal->traffic, NULL);
    }
    decide(deal, transaction);
    tercet_transaction_free(transaction);
}

static void ask(struct deal *deal)
{
    struct tercet_result result = {0};
    tercet_get(deal->traffic->client, deal->gid.text, &result);
    mark_result(deal->traffic, deal->gid.text, &result, 0);
}

static void *run_deals(void *ctx)
{
    struct traffic *traffic = ctx;
    uint64_t number;
    while ((number = atomic_fetch_add(&traffic->begun, 1)) < traffic->txns) {
        uint64_t state = traffic->seed * 1000003 + number;
        struct deal deal = {.traffic = traffic, .state = &state};
        draw_deal(&deal, number);
        mark(traffic, deal.gid.text, TOLD_NOTHING, 0, 0);
        uint64_t kind = image_draw(&state, 10);
        (kind < 5 ? run_plan : kind < 8 ? step_by_step : own_calls)(&deal);
        if (image_draw(&state, 8) == 0)
            ask(&deal);
        atomic_fetch_add(&traffic->ended, 1);
        eventfd_write(traffic->ended_event, 1);
    }
    return NULL;
}

bool traffic_start(struct traffic *traffic, size_t thread_count)
{
    traffic->threads = calloc(thread_count, sizeof(*traffic->threads));
    while (traffic->threads != NULL && traffic->thread_count < thread_count) {
        if (pthread_create(&traffic->threads[traffic->thread_count], NULL, run_deals, traffic) != 0)
            return false;
        traffic->thread_count++;
    }
    return traffic->threads != NULL;
}

void traffic_join(struct traffic *traffic)
{
    for (size_t i = 0; i < traffic->thread_count; i++)
        pthread_join(traffic->threads[i], NULL);
    free(traffic->threads);
}
