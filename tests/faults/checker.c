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

static bool is_end(int state)
{
    return state == TXN_CONFIRMED || state == TXN_CANCELLED;
}

static int decision_of(int state)
{
    if (state == TXN_CONFIRMING || state == TXN_CONFIRMED)
        return TXN_CONFIRMED;
    return state == TXN_CANCELLING || state == TXN_CANCELLED ? TXN_CANCELLED : 0;
}

static int rank_of_state(int state)
{
    return is_end(state) ? 3 : state == TXN_TRYING ? 1 : 2;
}

/* Somebody sees that the transaction has been decided: never the other way again (S1, S2). */
static void see_decision(int gid, int decision)
{
    struct fate *fate = &world->fates[gid];
    if (decision != 0 && fate->decision != 0 && fate->decision != decision)
        violated("%s was %s and is now %s", gid_text(gid), tercet_state_name(fate->decision),
                 tercet_state_name(decision));
    if (decision != 0)
        fate->decision = decision;
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
    int decision = kind == TERCET_TRY ? 0 : kind == TERCET_CONFIRM ? TXN_CONFIRMED : TXN_CANCELLED;
    if (branch < 1 || branch > BRANCHES || kind < TERCET_TRY || kind > TERCET_CANCEL)
        violated("%s: a call of branch %u that was never asked for", gid_text(gid), branch);
    see_number(gid, packet->call.number);
    see_decision(gid, decision);
    if ((world->paused & 1u << (branch - 1)) != 0)
        violated("%s/%u: called although its service is paused", gid_text(gid), branch);
    if (order->is_quiet)
        return;
    int state = durable_state(c->store, gid, packet->call.number);
    if (state >= 0 && decision_of(state) != decision)
        violated("%s/%u: its %s leaves while the store has %s", gid_text(gid), branch,
                 tercet_kind_name(kind), state == 0 ? "nothing" : tercet_state_name(state));
    if (state > 0 && !has_branch(c->store, packet->call.number, branch))
        violated("%s/%u: called, and the store does not have it", gid_text(gid), branch);
}

/* Acknowledged is durable (S12), a decision above all. */
void check_answer(const struct coordinator *c, const struct packet *packet)
{
    if (order->is_quiet)
        return;
    int told = packet->answer.state;
    int state = durable_state(c->store, packet->gid, packet->answer.number);
    if (state == 0)
        violated("%s is told as %s, and the store has nothing", gid_text(packet->gid),
                 tercet_state_name(told));
    if (state > 0 && decision_of(told) != 0 && decision_of(told) != decision_of(state))
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
    int state = packet->answer.state, rank = rank_of_state(state);
    see_decision(packet->gid, decision_of(state));
    see_number(packet->gid, packet->answer.number);
    if (packet->life == world->life && rank < fate->rank)
        violated("%s goes back to %s", gid_text(packet->gid), tercet_state_name(state));
    if (packet->life == world->life && (fate->branches & ~packet->answer.branches) != 0)
        violated("%s has lost a branch that was told", gid_text(packet->gid));
    fate->is_begun = true;
    fate->rank = rank > fate->rank ? rank : fate->rank;
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

static void check_branch(int gid, uint32_t branch)
{
    const struct script *script = script_of(gid);
    const uint8_t *effects = world->fates[gid].effects[branch];
    int tries = effects[TERCET_TRY], confirms = effects[TERCET_CONFIRM],
        cancels = effects[TERCET_CANCEL];
    int end = world->fates[gid].end;
    if (tries > 1 || confirms > 1 || cancels > 1)
        violated("%s/%u: an effect happened twice: %d tries, %d confirms, %d cancels",
                 gid_text(gid), branch, tries, confirms, cancels);
    if ((end == TXN_CONFIRMED && cancels > 0) || (end == TXN_CANCELLED && confirms > 0))
        violated("%s/%u: ended otherwise than its transaction, which is %s", gid_text(gid), branch,
                 tercet_state_name(end));
    if (tries != confirms + cancels && script->settled_branch != (int)branch)
        violated("%s/%u: %d tries, %d confirms and %d cancels are left", gid_text(gid), branch,
                 tries, confirms, cancels);
    if (end == TXN_CONFIRMED && tries == 0 && (world->fates[gid].branches & 1u << branch) != 0)
        violated("%s/%u: confirmed without a try", gid_text(gid), branch);
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
            spent[branch - 1] += fate->effects[branch][TERCET_CONFIRM];
            frozen[branch - 1] += fate->effects[branch][TERCET_TRY] -
                                  fate->effects[branch][TERCET_CONFIRM] -
                                  fate->effects[branch][TERCET_CANCEL];
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
