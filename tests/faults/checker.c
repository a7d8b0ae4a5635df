/* SPDX-License-Identifier: Apache-2.0
 *
 * What was promised: looked at with every call and answer that leaves, with every answer that is
 * received, and at rest.
 */
#include "faults.h"

#include <record.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void violated(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(world->violation, sizeof(world->violation), format, args);
    va_end(args);
    _exit(EXIT_VIOLATION);
}

void violation(const char *name, const char *format, ...)
{
    char text[200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    violated("%s: %s", name, text);
}

static bool is_end(int state)
{
    return promise_rank(state) == 3;
}

/* Somebody sees that the transaction has been decided: never the other way again. */
static void see_decision(int gid, int decision)
{
    promise_show(&world->fates[gid].promise, gid_text(gid), decision);
}

static void see_number(int gid, uint64_t number)
{
    struct fate *fate = &world->fates[gid];
    if (fate->number != 0 && fate->number != number)
        violated("%s had the number %llu and has now %llu", gid_text(gid),
                 (unsigned long long)fate->number, (unsigned long long)number);
    fate->number = number;
}

/* -- What leaves ------------------------------------------------------------------------------- */

static int state_in(enum record_type type, struct store_value *value)
{
    ProtobufCMessage *message = record_decode(type, value->data, value->size);
    store_value_free(value);
    if (message == NULL)
        violated("a record of the store does not decode");
    const Tercet__Store__V1__State *state =
        type == RECORD_STATE ? (const Tercet__Store__V1__State *)message
                             : ((const Tercet__Store__V1__Resolved *)message)->state;
    int found = (int)state->state;
    crpc_message_free(message);
    return found;
}

/* What the store has of a transaction: its state; 0: nothing; -1: it cannot be read any more. */
static int durable_state(struct store *store, int gid, uint64_t number)
{
    struct store_value value;
    int rc = store_get_wait(store, 0, number, 0, &value);
    if (rc == 0)
        return state_in(RECORD_STATE, &value);
    if (rc == TERCET_STORE_NOT_FOUND)
        rc = store_find_wait(store, 0, gid_text(gid), &number, &value);
    if (rc == 0)
        return state_in(RECORD_RESOLVED, &value);
    return rc == TERCET_STORE_NOT_FOUND ? 0 : -1;
}

static bool has_branch(struct store *store, uint64_t number, uint32_t branch)
{
    struct store_value value;
    int rc = store_get_wait(store, 0, number, branch, &value);
    if (rc == 0)
        store_value_free(&value);
    return rc != TERCET_STORE_NOT_FOUND;
}

/* Decision before effect (S3), branch before try (S8), and nothing to who is paused. */
void check_call(const struct coordinator *c, const struct packet *packet)
{
    int gid = packet->gid, kind = packet->call.call_kind;
    uint32_t branch = packet->call.branch;
    int decision = kind == TERCET_TRY       ? 0
                   : kind == TERCET_CONFIRM ? TXN_CONFIRMING
                                            : TXN_CANCELLING;
    if (branch < 1 || branch > BRANCHES || kind < TERCET_TRY || kind > TERCET_CANCEL)
        violated("%s: a call of branch %u that was never asked for", gid_text(gid), branch);
    see_number(gid, packet->call.number);
    see_decision(gid, decision);
    if ((world->paused & 1u << (branch - 1)) != 0)
        violated("%s/%u: called although its service is paused", gid_text(gid), branch);
    if (order->is_quiet)
        return;
    int state = durable_state(c->shards->store, gid, packet->call.number);
    if (state >= 0 && promise_decision(state) != decision)
        violated("%s/%u: its %s leaves while the store has %s", gid_text(gid), branch,
                 tercet_kind_name(kind), state == 0 ? "nothing" : tercet_state_name(state));
    if (state > 0 && !has_branch(c->shards->store, packet->call.number, branch))
        violated("%s/%u: called, and the store does not have it", gid_text(gid), branch);
}

/* Acknowledged is durable (S12), a decision above all. */
void check_answer(const struct coordinator *c, const struct packet *packet)
{
    if (order->is_quiet)
        return;
    int told = packet->answer.state;
    int state = durable_state(c->shards->store, packet->gid, packet->answer.number);
    if (state == 0)
        violated("%s is told as %s, and the store has nothing", gid_text(packet->gid),
                 tercet_state_name(told));
    if (state > 0 && promise_decision(told) != 0 &&
        promise_decision(told) != promise_decision(state))
        violated("%s is told as %s, and the store has %s", gid_text(packet->gid),
                 tercet_state_name(told), tercet_state_name(state));
    if (state > 0 && is_end(told) && !is_end(state))
        violated("%s is told as over, and the store has %s", gid_text(packet->gid),
                 tercet_state_name(state));
}

/* -- What is received -------------------------------------------------------------------------- */

static void see_transaction(const struct packet *packet)
{
    struct fate *fate = &world->fates[packet->gid];
    int state = packet->answer.state, rank = promise_rank(state);
    see_decision(packet->gid, promise_decision(state));
    see_number(packet->gid, packet->answer.number);
    if (packet->life == world->life && rank < fate->promise.floor)
        violated("%s goes back to %s", gid_text(packet->gid), tercet_state_name(state));
    if (packet->life == world->life && (fate->branches & ~packet->answer.branches) != 0)
        violated("%s has lost a branch that was told", gid_text(packet->gid));
    fate->is_begun = true;
    fate->promise.floor = rank > fate->promise.floor ? rank : fate->promise.floor;
    fate->branches |= packet->answer.branches;
    if (is_end(state) && fate->end == 0) {
        fate->end = state;
        fate->end_ms = world->now_ms;
    }
}

/* A gid that was told as there is not told as unknown, until its retention is over (S11, S12). */
static void see_not_found(const struct packet *packet)
{
    const struct fate *fate = &world->fates[packet->gid];
    const struct job *job = &world->jobs[packet->answer.job];
    enum op op = script_of(packet->answer.job)->steps[job->step].op;
    bool is_about_gid = op != OP_REGISTER && op != OP_PAUSE && op != OP_RESUME;
    int64_t retention_ms = world->scenario->retention_ms;
    bool may_be_gone =
        retention_ms != 0 && fate->end != 0 && world->now_ms - fate->end_ms >= retention_ms;
    if (job->serial == packet->answer.serial && is_about_gid && fate->is_begun && !may_be_gone)
        violated("%s was there and is now unknown", gid_text(packet->gid));
}

void check_told(const struct packet *packet)
{
    if (!packet->answer.is_right)
        violated("%s: the reply of a try is not its participant's", gid_text(packet->gid));
    if (packet->answer.code == CRPC_NOT_FOUND && packet->answer.job >= 0)
        see_not_found(packet);
    if (packet->answer.has_transaction)
        see_transaction(packet);
}

/* -- At rest ----------------------------------------------------------------------------------- */

/* A branch that was told is there, and so is one that was tried. */
static void check_branch(int gid, uint32_t branch)
{
    const struct fate *fate = &world->fates[gid];
    bool is_there = (fate->branches & 1u << branch) != 0 || fate->promise.effects[branch].tries > 0;
    if (is_there && script_of(gid)->settled_branch != (int)branch)
        promise_rest(&fate->promise, gid_text(gid), branch, fate->end);
}

static void check_money(int service, int64_t spent, int64_t frozen)
{
    const struct database *database = &world->databases[service];
    if (database->available + database->frozen + database->spent != 1000)
        violated("service %d: the sum has changed", service);
    if (database->spent != spent || database->frozen != frozen)
        violated("service %d: %lld spent and %lld frozen, in place of %lld and %lld", service,
                 (long long)database->spent, (long long)database->frozen, (long long)spent,
                 (long long)frozen);
}

void check_rest(void)
{
    int64_t spent[SERVICES] = {0}, frozen[SERVICES] = {0};
    for (int job = 0; job < world->scenario->job_count; job++) {
        const struct script *script = script_of(job);
        const struct fate *fate = &world->fates[gid_of_job(job)];
        if (world->jobs[job].serial != 0)
            violated("%s: the last question was not answered", gid_text(gid_of_job(job)));
        if (fate->is_begun && fate->end == 0)
            violated("%s has not ended", gid_text(gid_of_job(job)));
        if (script->end != 0 && fate->end != script->end)
            violated("%s ended as %s, not as %s", gid_text(gid_of_job(job)),
                     fate->end == 0 ? "nothing" : tercet_state_name(fate->end),
                     tercet_state_name(script->end));
        if (job != gid_of_job(job))
            continue;
        for (uint32_t branch = 1; branch <= BRANCHES; branch++) {
            check_branch(job, branch);
            const struct effects *effects = &fate->promise.effects[branch];
            spent[branch - 1] += effects->confirms;
            frozen[branch - 1] += effects->tries - effects->confirms - effects->cancels;
        }
    }
    for (int service = 0; service < SERVICES; service++)
        check_money(service, spent[service], frozen[service]);
}

/* Nothing is left half done, and what has ended is there once. */
void check_store_at_rest(struct store *store)
{
    struct tercet_store_stats stats;
    uint64_t expected = 0;
    for (int gid = 0; gid < JOBS_MAX; gid++)
        expected += world->fates[gid].end != 0;
    if (store_stats(store, &stats) != 0)
        violated("the store does not tell its size");
    if (stats.live_records != 0)
        violated("%llu live records are left", (unsigned long long)stats.live_records);
    if (world->scenario->retention_ms == 0 && stats.resolved_records != expected)
        violated("%llu resolved records, not %llu", (unsigned long long)stats.resolved_records,
                 (unsigned long long)expected);
}
