/* SPDX-License-Identifier: Apache-2.0
 *
 * run.h
 */
#include "run.h"

#include "process.h"

#include <clock.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAUSE_MS 20 /* between asking and asking again */
#define HASTE_MS 1
#define LOOK_MS 100 /* between looks whether the participant's process is still there */

/* -- Branches ---------------------------------------------------------------------------------- */

struct part part_new(struct run *run)
{
    struct part part = {.branch = 1,
                        .number = ++run->last_number,
                        .source = run->options->source,
                        .action = run->action,
                        .payload = run->payload};
    snprintf(part.gid, sizeof(part.gid), "%s-%u", run->prefix, ++run->transaction_count);
    return part;
}

void part_clear(struct part *part)
{
    free(part->reply);
    part->reply = NULL;
}

void parts_new(struct run *run, struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        parts[i] = part_new(run);
}

void parts_clear(struct part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        part_clear(&parts[i]);
}

static void fill_call(const struct run *run, const struct part *part, int kind,
                      Tercet__V1__Call *call)
{
    tercet__v1__call__init(call);
    call->kind = (Tercet__V1__Kind)kind;
    call->gid = (char *)(uintptr_t)part->gid;
    call->branch = part->branch;
    call->action = (char *)(uintptr_t)part->action;
    call->payload.data = (uint8_t *)(uintptr_t)part->payload.data;
    call->payload.len = part->payload.size;
    call->attempt = 1;
    call->timeout_ms = part->is_hasty ? HASTE_MS : run->options->timeout_ms;
    call->number = part->number;
    call->low_water = part->low_water;
    call->source = part->source;
    call->metadata = part->metadata;
    call->n_metadata = part->metadata_count;
    call->base.unknown_fields = part->unknown;
    call->base.n_unknown_fields = part->unknown != NULL ? 1 : 0;
}

/* -- Saying ------------------------------------------------------------------------------------ */

const char *outcome_name(int outcome)
{
    static const char *const names[] = {"no outcome", "DONE", "REFUSAL", "AGAIN", "BROKEN"};
    return outcome >= 0 && outcome < 5 ? names[outcome] : "an outcome that is not known";
}

bool fail(struct run *run, const char *wanted, const char *came, ...)
{
    va_list arguments;
    va_start(arguments, came);
    snprintf(run->wanted, sizeof(run->wanted), "%s", wanted);
    vsnprintf(run->came, sizeof(run->came), came, arguments);
    va_end(arguments);
    return false;
}

/* What was answered, in words. */
static void describe(const struct run *run, const struct ask *ask, char *out, size_t size)
{
    const struct answer *answer = &ask->answer;
    char end[100] = "";
    if (process_has_ended(end, sizeof(end)))
        snprintf(out, size, "no answer: the participant %s", end);
    else if (answer->state == ANSWER_NONE)
        snprintf(out, size, "no answer within %u ms", run->options->timeout_ms);
    else if (answer->state == ANSWER_LOST)
        snprintf(out, size, "no answer: %s", answer->text);
    else
        snprintf(out, size, "%s%s%s%s", outcome_name(answer->outcome),
                 answer->text[0] != '\0' ? " (" : "", answer->text,
                 answer->text[0] != '\0' ? ")" : "");
}

static bool fail_answer(struct run *run, const struct ask *ask, const char *right)
{
    char wanted[400], came[SAID_MAX];
    const char *kind = tercet_kind_name((int)ask->call.kind);
    snprintf(wanted, sizeof(wanted), "step %d, a %s of branch %u of %.70s: %s", run->step,
             kind[0] == '?' ? "call of an unknown kind" : kind, ask->call.branch, ask->call.gid,
             right);
    describe(run, ask, came, sizeof(came));
    return fail(run, wanted, "%s", came);
}

static bool check_effects(struct run *run, bool is_right, const char *what)
{
    char wanted[300];
    if (is_right)
        return true;
    snprintf(wanted, sizeof(wanted), "step %d, %s", run->step, what);
    return fail(run, wanted, "%s", run->effects.wrong);
}

/* Appends to what has gone well in this case. */
static void note(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct run *run, const char *format, ...)
{
    va_list arguments;
    size_t size = strlen(run->before);
    if (size > 0 && size + 3 < sizeof(run->before))
        size = (size_t)(stpcpy(run->before + size, ", ") - run->before);
    va_start(arguments, format);
    vsnprintf(run->before + size, sizeof(run->before) - size, format, arguments);
    va_end(arguments);
}

/* The gid without what all gids of this run have in common. */
static const char *short_gid(const struct run *run, const struct part *part)
{
    const size_t size = strlen(run->prefix);
    return strncmp(part->gid, run->prefix, size) == 0 ? part->gid + size : part->gid;
}

/* -- Asking ------------------------------------------------------------------------------------ */

static void pause_ms(int64_t ms)
{
    struct timespec pause = clock_timespec(ms);
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        ;
}

static void ask_once(const struct run *run, struct ask *ask, bool is_hasty)
{
    free(ask->answer.reply);
    ask->answer.reply = NULL;
    link_ask(run->link, ask, 1, is_hasty ? HASTE_MS : 0);
    link_collect(run->link, ask, 1, 1, run->options->timeout_ms);
    link_let_go(run->link, ask, 1);
}

static bool is_told(const struct ask *ask)
{
    return ask->answer.state == ANSWER_CAME && ask->answer.outcome != TERCET__V1__OUTCOME__AGAIN;
}

/* As a coordinator does: until there is an answer that says something, or patience is over. */
static void ask_again(const struct run *run, struct ask *ask)
{
    int64_t until_ms = clock_monotonic_ms() + run->options->timeout_ms;
    while (!is_told(ask) && clock_monotonic_ms() < until_ms) {
        pause_ms(PAUSE_MS);
        ask->call.attempt++;
        ask_once(run, ask, false);
    }
}

static bool check_reply(struct run *run, struct part *part, struct ask *ask)
{
    struct answer *answer = &ask->answer;
    bool is_same =
        part->has_reply && part->reply_size == answer->reply_size &&
        (answer->reply_size == 0 || memcmp(part->reply, answer->reply, answer->reply_size) == 0);
    if (!part->has_reply) {
        part->has_reply = true;
        part->reply = answer->reply;
        part->reply_size = answer->reply_size;
        answer->reply = NULL;
        return true;
    }
    if (is_same)
        return true;
    run->section = "3.6";
    return fail(run, "a repeated try has the reply of the first, byte for byte",
                "another reply: %zu bytes \"%.*s\", where the first had %zu bytes \"%.*s\"",
                answer->reply_size, (int)(answer->reply_size < 60 ? answer->reply_size : 60),
                answer->reply != NULL ? (const char *)answer->reply : "", part->reply_size,
                (int)(part->reply_size < 60 ? part->reply_size : 60),
                part->reply != NULL ? (const char *)part->reply : "");
}

static bool check_answer(struct run *run, struct part *part, struct ask *ask,
                         Tercet__V1__Outcome outcome)
{
    char right[100];
    snprintf(right, sizeof(right), "%s", outcome_name((int)outcome));
    if (ask->answer.state != ANSWER_CAME || ask->answer.outcome != (int)outcome)
        return fail_answer(run, ask, right);
    if (outcome == TERCET__V1__OUTCOME__DONE && ask->call.kind == TERCET__V1__KIND__TRY)
        return check_reply(run, part, ask);
    return true;
}

/* -- Steps ------------------------------------------------------------------------------------- */

bool expect(struct run *run, struct part *part, enum tercet_kind kind, Tercet__V1__Outcome outcome,
            enum effect effect)
{
    struct ask ask = {.answer = {.state = ANSWER_NONE}};
    char what[200];
    run->step++;
    fill_call(run, part, (int)kind, &ask.call);
    ask_once(run, &ask, false);
    ask_again(run, &ask);
    bool is_right = check_answer(run, part, &ask, outcome);
    free(ask.answer.reply);
    if (is_right)
        note(run, "%s of ..%.64s/%u: %s", tercet_kind_name(kind), short_gid(run, part),
             part->branch, outcome_name((int)outcome));
    if (!is_right || effect == ANY_EFFECT)
        return is_right;
    snprintf(what, sizeof(what), "a %s of branch %u of %.70s: %s, and %s", tercet_kind_name(kind),
             part->branch, part->gid, outcome_name((int)outcome),
             effect == ONE_EFFECT ? "its effect" : "no effect");
    return check_effects(
        run, effect == ONE_EFFECT ? effects_add(&run->effects, kind) : effects_hold(&run->effects),
        what);
}

bool expect_some_answer(struct run *run, struct part *part, int kind, bool may_be_done,
                        int *outcome)
{
    struct ask ask = {.answer = {.state = ANSWER_NONE}};
    run->step++;
    fill_call(run, part, kind, &ask.call);
    ask_once(run, &ask, false);
    int came = ask.answer.state == ANSWER_CAME ? ask.answer.outcome : 0;
    free(ask.answer.reply);
    if (outcome != NULL)
        *outcome = came;
    if (ask.answer.state == ANSWER_NONE)
        return fail_answer(run, &ask, "an answer");
    if (came == TERCET__V1__OUTCOME__DONE && !may_be_done)
        return fail_answer(run, &ask, "AGAIN with a reason, or an error status");
    return true;
}

static bool check_all(struct run *run, struct part *parts, struct ask *asks, size_t count,
                      size_t times)
{
    bool is_right = true;
    for (size_t i = 0; i < count * times && is_right; i++) {
        ask_again(run, &asks[i]);
        is_right = check_answer(run, &parts[i / times], &asks[i], TERCET__V1__OUTCOME__DONE);
    }
    for (size_t i = 0; i < count * times; i++)
        free(asks[i].answer.reply);
    return is_right;
}

bool expect_at_once(struct run *run, struct part *parts, size_t count, size_t times,
                    enum tercet_kind kind, enum effect effect)
{
    struct ask asks[GROUP_MAX] = {0};
    char what[200];
    const size_t all = count * times;
    run->step++;
    for (size_t i = 0; i < all; i++)
        fill_call(run, &parts[i / times], (int)kind, &asks[i].call);
    link_ask(run->link, asks, all, 0);
    link_collect(run->link, asks, all, all, run->options->timeout_ms);
    link_let_go(run->link, asks, all);
    if (!check_all(run, parts, asks, count, times))
        return false;
    note(run, "%zu x %s at once: DONE", all, tercet_kind_name(kind));
    if (effect == ANY_EFFECT)
        return true;
    for (size_t i = 0; effect == ONE_EFFECT && i < count; i++)
        run->effects.wanted[kind]++;
    snprintf(what, sizeof(what), "%zu at once of %zu %s of each of %zu branches: %s", all, times,
             times == 1 ? "call" : "calls", count,
             effect == ONE_EFFECT ? "one effect for each branch" : "no effect");
    return check_effects(run, effects_hold(&run->effects), what);
}

bool send_and_leave(struct run *run, struct part *parts, size_t count, enum tercet_kind kind,
                    size_t wanted)
{
    struct ask asks[GROUP_MAX] = {0};
    bool is_right = true;
    run->step++;
    for (size_t i = 0; i < count; i++)
        fill_call(run, &parts[i], (int)kind, &asks[i].call);
    link_ask(run->link, asks, count, parts[0].is_hasty ? HASTE_MS : 0);
    link_collect(run->link, asks, count, wanted, run->options->timeout_ms);
    link_let_go(run->link, asks, count);
    for (size_t i = 0; i < count && is_right; i++) {
        if (asks[i].answer.state != ANSWER_CAME)
            continue;
        if (asks[i].answer.outcome == TERCET__V1__OUTCOME__DONE)
            is_right = check_answer(run, &parts[i], &asks[i], TERCET__V1__OUTCOME__DONE);
        else if (asks[i].answer.outcome != TERCET__V1__OUTCOME__AGAIN)
            is_right = fail_answer(run, &asks[i], "DONE or AGAIN");
    }
    for (size_t i = 0; i < count; i++)
        free(asks[i].answer.reply);
    note(run, "%zu x %s, not waited for", count, tercet_kind_name(kind));
    return is_right;
}

bool expect_pairs_or_nothing(struct run *run, size_t count)
{
    run->step++;
    bool is_right =
        check_effects(run, effects_hold_with_pairs(&run->effects, (long)count),
                      "tries that are cancelled: of each branch both effects, or neither");
    forget_effects(run);
    return is_right;
}

void forget_effects(struct run *run)
{
    effects_begin(&run->effects);
}

/* -- The participant --------------------------------------------------------------------------- */

bool reach(struct run *run)
{
    struct part nothing = part_new(run);
    struct ask ask = {.answer = {.state = ANSWER_NONE}};
    int64_t until_ms = clock_monotonic_ms() + run->options->start_ms;
    nothing.gid[0] = '\0';
    fill_call(run, &nothing, 0, &ask.call);
    do {
        ask_once(run, &ask, false);
        if (ask.answer.state != ANSWER_CAME)
            pause_ms(PAUSE_MS);
    } while (ask.answer.state != ANSWER_CAME && clock_monotonic_ms() < until_ms);
    free(ask.answer.reply);
    return ask.answer.state == ANSWER_CAME;
}

bool wait_for_participant(struct run *run, unsigned count, char *why, size_t size)
{
    int64_t until_ms = clock_monotonic_ms() + run->options->start_ms;
    char end[100];
    while (!link_wait(run->link, count, LOOK_MS, &run->participant)) {
        bool has_ended = process_has_ended(end, sizeof(end));
        if (!has_ended && clock_monotonic_ms() < until_ms)
            continue;
        if (has_ended)
            snprintf(why, size, "it %s", end);
        else
            snprintf(why, size, "it has not come within %u ms", run->options->start_ms);
        return false;
    }
    return true;
}

static bool wait_for_it(struct run *run, unsigned count, const char *after)
{
    char why[200];
    if (wait_for_participant(run, count, why, sizeof(why))) {
        note(run, "it is there again");
        return true;
    }
    run->section = "7.1";
    return fail(run, "the participant is there again", "%s %s", after, why);
}

bool restart(struct run *run)
{
    unsigned count = run->participant.count;
    run->step++;
    if (run->options->restart_command != NULL) {
        int status = process_shell(run->options->restart_command);
        if (status != 0)
            return fail(run, "the restart command ends with 0", "it ended with %d", status);
    } else {
        process_kill();
        if (!process_start(run->options->command, link_address(run->link)))
            return fail(run, "the participant starts", "%s", strerror(errno));
    }
    return wait_for_it(run, count, "after it was killed and started again");
}

bool reconnect(struct run *run)
{
    unsigned count = run->participant.count;
    run->step++;
    if (!link_drop(run->link))
        return fail(run, "the participant is attached", "it is not");
    return wait_for_it(run, count, "after its stream had ended with UNAVAILABLE");
}
