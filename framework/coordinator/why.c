/* SPDX-License-Identifier: Apache-2.0
 *
 * why.h
 */
#include "why.h"

#include "coordinator.h"

#include <assert.h>
#include <refusal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SECOND_MS 1000
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define WAITS_LONG_MS 10000             /* a call that waits for so long is told of, */
#define TELL_WAITING_MS 300000          /* at most one line per service in this time */
#define WORDS_MAX (4 * TERCET_TEXT_MAX) /* what is made of some texts before it is cut */
#define ERROR_SHOWN_MAX 180             /* bytes of an error that words follow */

/* -- Words ------------------------------------------------------------------------------------- */

static void say(char out[TERCET_TEXT_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(char out[TERCET_TEXT_MAX], const char *format, ...)
{
    char whole[WORDS_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(whole, sizeof(whole), format, values);
    va_end(values);
    copy_text(out, whole);
}

struct words {
    char text[24];
};

static struct words duration(int64_t ms)
{
    struct words out;
    long long whole = ms > 0 ? ms : 0;
    if (whole < SECOND_MS)
        snprintf(out.text, sizeof(out.text), "%lld ms", whole);
    else if (whole < MINUTE_MS)
        snprintf(out.text, sizeof(out.text), "%lld.%lld s", whole / SECOND_MS,
                 whole % SECOND_MS / 100);
    else if (whole < 2 * HOUR_MS)
        snprintf(out.text, sizeof(out.text), "%lld min", whole / MINUTE_MS);
    else if (whole < 2 * DAY_MS)
        snprintf(out.text, sizeof(out.text), "%lld h", whole / HOUR_MS);
    else
        snprintf(out.text, sizeof(out.text), "%lld days", whole / DAY_MS);
    return out;
}

static struct words ago(const struct coordinator *c, int64_t wall_ms)
{
    return duration(c->clock.wall_ms - wall_ms);
}

static const char *instance_name(const struct instance *instance)
{
    return instance->name[0] != '\0' ? instance->name : crpc_call_peer(instance->call);
}

const char *why_called(const struct outcall *call)
{
    if (call->instance != NULL)
        return instance_name(call->instance);
    return call->target != NULL ? call->target->address : "";
}

/* -- What a call waits for --------------------------------------------------------------------- */

static void explain_unserved(struct obstacle *out, const struct coordinator *c,
                             const struct service *service)
{
    out->waits_for = TERCET__V1__WAITS_FOR__WAITS_FOR_PARTICIPANT;
    out->since_ms = service->unserved_ms;
    if (service->was_served)
        say(out->text, "nobody serves %s: the last instance has left %s ago", service->name,
            ago(c, service->unserved_ms).text);
    else
        say(out->text,
            "nobody serves %s: no instance has come in the %s that it has been asked for",
            service->name, ago(c, service->unserved_ms).text);
}

static void explain_paused(struct obstacle *out, const struct coordinator *c,
                           const struct service *service)
{
    out->waits_for = TERCET__V1__WAITS_FOR__WAITS_FOR_RESUME;
    out->since_ms = service->paused_ms;
    say(out->text, "%s is paused by an operator%s%s%s", service->name,
        service->paused_ms != 0 ? " for " : "",
        service->paused_ms != 0 ? ago(c, service->paused_ms).text : "",
        service_is_served(service) ? "" : ", and nobody serves it");
}

static void explain_breaker(struct obstacle *out, const struct service *service)
{
    const struct target *dead = target_find_dead(&service->targets);
    uint32_t failures = service->instances == NULL && dead != NULL ? dead->breaker.failures
                                                                   : service->breaker.failures;
    out->waits_for = TERCET__V1__WAITS_FOR__WAITS_FOR_BREAKER;
    say(out->text,
        "the breaker of %s is open, one probe goes at a time: %u calls in a row got no answer, "
        "last: %s",
        service->name, failures, service->last_error);
}

/* One of the instances', or, without any, of all targets. */
static bool has_open_breaker(const struct service *service)
{
    return service->instances != NULL ? service->breaker.is_open
                                      : target_all_open(&service->targets);
}

/* The instances that could take a call: their windows, the calls under way, and the oldest of
 * these. */
struct load {
    uint64_t room;
    uint64_t calls;
    const struct outcall *oldest; /* NULL: at the target, whose calls are not listed */
};

static void load_add(struct load *load, const struct instance *instance)
{
    load->room += instance->window;
    load->calls += instance->call_count;
    for (const struct outcall *call = instance->sent; call != NULL; call = call->next)
        if (load->oldest == NULL || call->sent_ms < load->oldest->sent_ms)
            load->oldest = call;
}

static struct load load_of(const struct service *service, const char *action)
{
    struct load load = {.calls = target_call_count(&service->targets),
                        .room = service->targets.count * TARGET_WINDOW};
    for (const struct instance *instance = service->instances; instance != NULL;
         instance = instance->next)
        if (!instance->is_ending && offer_find(&instance->offer, action) != NULL)
            load_add(&load, instance);
    return load;
}

/* The branch is in a database that no instance of the sharded service has now. false: one has. */
static bool explain_database(struct obstacle *out, const struct outcall *call)
{
    const struct service *service = call->service;
    const char *database =
        entry_info(call->entry, txn_find(&call->entry->txn, call->branch))->database;
    const struct instance *instance = service->instances;
    while (database != NULL && instance != NULL && strcmp(instance->database, database) != 0)
        instance = instance->next;
    if (database == NULL || instance != NULL)
        return false;
    out->waits_for = TERCET__V1__WAITS_FOR__WAITS_FOR_PARTICIPANT;
    say(out->text,
        "the branch is in database %s of the sharded service %s, and no instance with that one is "
        "attached",
        database, service->name);
    return true;
}

static void explain_full(struct obstacle *out, const struct coordinator *c,
                         const struct outcall *call)
{
    const struct branch_info *info =
        entry_info(call->entry, txn_find(&call->entry->txn, call->branch));
    const struct load load = load_of(call->service, info->action);
    out->waits_for = TERCET__V1__WAITS_FOR__WAITS_FOR_ROOM;
    if (load.oldest == NULL)
        say(out->text, "%s takes no more calls now: it has %llu of %llu", call->service->name,
            (unsigned long long)load.calls, (unsigned long long)load.room);
    else
        say(out->text,
            "all instances of %s are full: they have %llu of %llu calls, the oldest for %s at "
            "instance %s",
            call->service->name, (unsigned long long)load.calls, (unsigned long long)load.room,
            duration(c->clock.now_ms - load.oldest->sent_ms).text, why_called(load.oldest));
}

static void explain_called(struct obstacle *out, const struct coordinator *c,
                           const struct outcall *call)
{
    int64_t since_ms = c->clock.now_ms - call->sent_ms;
    out->waits_for = TERCET__V1__WAITS_FOR__WAITS_FOR_ANSWER;
    out->since_ms = c->clock.wall_ms - since_ms;
    out->instance = why_called(call);
    say(out->text, "called %s ago, and instance %s has not answered", duration(since_ms).text,
        out->instance);
}

/* What holds up all calls of the service. false: nothing. */
static bool explain_service(struct obstacle *out, const struct coordinator *c,
                            const struct service *service)
{
    if (service->is_paused)
        explain_paused(out, c, service);
    else if (!service_is_served(service))
        explain_unserved(out, c, service);
    else if (has_open_breaker(service))
        explain_breaker(out, service);
    else
        return false;
    return true;
}

void why_call_waits(struct obstacle *out, const struct coordinator *c, const struct outcall *call)
{
    *out = (struct obstacle){.instance = ""};
    if (call->is_sent)
        explain_called(out, c, call);
    else if (!explain_service(out, c, call->service) && !explain_database(out, call))
        explain_full(out, c, call);
}

/* -- For those who look ------------------------------------------------------------------------ */

void why_tell_waiting(struct coordinator *c, struct service *service)
{
    const struct outcall *first = service->waiting_first;
    struct obstacle obstacle;
    if (first == NULL || c->clock.now_ms < service->tell_waiting_ms ||
        c->clock.now_ms - first->sent_ms < WAITS_LONG_MS)
        return;
    why_call_waits(&obstacle, c, first);
    coordinator_log_of(c, LOG_PARTICIPANTS, TERCET_LOG_WARNING,
                       "%s: %llu calls wait, transaction %s the longest: %s", service->name,
                       (unsigned long long)service->waiting_count, first->entry->gid,
                       obstacle.text);
    service->tell_waiting_ms = c->clock.now_ms + TELL_WAITING_MS;
}

void why_date_targets(struct coordinator *c)
{
    for (struct service *service = c->services.first; service != NULL; service = service->next)
        service->target_oldest_ms = c->clock.now_ms;
    for (uint32_t place = 0; place < c->outcalls.place_count; place++) {
        const struct outcall *call = c->outcalls.calls[place];
        if (call != NULL && call->is_sent && call->instance == NULL &&
            call->sent_ms < call->service->target_oldest_ms)
            call->service->target_oldest_ms = call->sent_ms;
    }
}

/* -- What a branch waits for ------------------------------------------------------------------- */

static bool is_waiting(const struct txn *txn, const struct txn_branch *branch)
{
    return txn->state == TXN_TRYING ? branch->try_state == TXN_TRY_WAITING
                                    : branch->end_state == TXN_END_WAITING;
}

static bool is_calling(const struct txn *txn, const struct txn_branch *branch)
{
    return txn->state == TXN_TRYING ? branch->try_state == TXN_TRY_CALLING
                                    : branch->end_state == TXN_END_CALLING;
}

/* The pause between two attempts; where the next attempt would be held up anyway, that is told
 * instead. */
static void explain_retry(struct obstacle *out, const struct coordinator *c,
                          const struct entry *entry, const struct txn_branch *branch)
{
    if (explain_service(out, c, entry_info(entry, branch)->service))
        return;
    out->waits_for = TERCET__V1__WAITS_FOR__WAITS_FOR_RETRY;
    say(out->text, "it is called again in %s", duration(branch->next_ms - c->clock.now_ms).text);
}

void why_branch_waits(struct obstacle *out, const struct coordinator *c, const struct entry *entry,
                      const struct txn_branch *branch)
{
    const struct outcall *call = entry_info(entry, branch)->call;
    *out = (struct obstacle){.instance = ""};
    if (is_calling(&entry->txn, branch) && call != NULL) {
        why_call_waits(out, c, call);
    } else if (is_calling(&entry->txn, branch)) {
        out->waits_for = TERCET__V1__WAITS_FOR__WAITS_FOR_STORE;
        say(out->text, "its record is being written, then it is called");
    } else if (is_waiting(&entry->txn, branch) && branch->next_ms == TXN_NEVER) {
        out->waits_for = TERCET__V1__WAITS_FOR__WAITS_FOR_TURN;
        say(out->text, "the tries go in order, and its turn has not come");
    } else if (is_waiting(&entry->txn, branch)) {
        explain_retry(out, c, entry, branch);
    }
}

/* %s is the service. */
static const char *advice_for(Tercet__V1__WaitsFor waits_for, bool is_served, bool is_broken)
{
    switch (waits_for) {
    case TERCET__V1__WAITS_FOR__WAITS_FOR_PARTICIPANT:
        return is_served ? "Start the instance of %s that has this database: the branch was tried "
                           "there, and no other can end it."
                         : "Start a participant that serves %s: what waits goes at once.";
    case TERCET__V1__WAITS_FOR__WAITS_FOR_RESUME:
        return "When the maintenance of %s is over, let its calls go.";
    case TERCET__V1__WAITS_FOR__WAITS_FOR_BREAKER:
        return "Look whether the processes of %s run and can be reached; when one answers, all "
               "that waits goes.";
    case TERCET__V1__WAITS_FOR__WAITS_FOR_ROOM:
        return "It goes when an answer comes. If none does, look at the oldest calls; if they are "
               "only many, start more instances of %s.";
    case TERCET__V1__WAITS_FOR__WAITS_FOR_ANSWER:
        return "Look at what that instance of %s does: a lock, a slow database, a stopped process. "
               "After its timeout the call is made again.";
    case TERCET__V1__WAITS_FOR__WAITS_FOR_RETRY:
        return is_broken ? "BROKEN PROMISE: what %s has in its database contradicts the decision. "
                           "Put it right there, then settle the branch."
                         : "Remove the cause of that error in %s, then retry at once.";
    case TERCET__V1__WAITS_FOR__WAITS_FOR_STORE:
        return "If that takes long, the coordinator's disk is slow or full.";
    default: /* its turn comes by itself */
        return "";
    }
}

void why_advise(char out[TERCET_TEXT_MAX], Tercet__V1__WaitsFor waits_for,
                const struct entry *entry, const struct txn_branch *branch)
{
    const struct service *service = entry_info(entry, branch)->service;
    const char *advice = advice_for(waits_for, service_is_served(service), branch->is_broken);
    say(out, advice, service->name);
}

/* -- Why a try is not known -------------------------------------------------------------------- */

static void explain_try(struct coordinator *c, struct entry *entry, struct branch_info *info,
                        const char *text)
{
    history_explain(&info->history, &entry->shard->table.history_bytes, c->clock.wall_ms, text);
}

/* It was called, and is not waited for any longer. What its failures said is worth more than that,
 * and a call that has just begun is worth no word beside it. */
static void note_unanswered(struct coordinator *c, struct entry *entry, struct branch_info *info)
{
    char text[TERCET_TEXT_MAX];
    int64_t took_ms = c->clock.now_ms - info->call->sent_ms;
    if (history_failures(info->history, TERCET_TRY) > 0) {
        const char *error = history_error(info->history, TERCET_TRY);
        say(text, "%.*s; called again, no answer in %s", text_whole(error, ERROR_SHOWN_MAX), error,
            duration(took_ms).text);
        if (took_ms >= SECOND_MS)
            explain_try(c, entry, info, text);
        return;
    }
    const char *called = why_called(info->call);
    say(text, "no answer from instance \"%.*s\" in %s", text_whole(called, WHY_NAME_MAX), called,
        duration(took_ms).text);
    const struct history_note note = {.at_ms = c->clock.wall_ms,
                                      .took_ms = took_ms,
                                      .kind = TERCET_TRY,
                                      .error = text,
                                      .instance = called};
    history_add(&info->history, &entry->shard->table.history_bytes, &note);
}

static void note_uncalled(struct coordinator *c, struct entry *entry, struct branch_info *info)
{
    struct obstacle obstacle;
    char text[TERCET_TEXT_MAX];
    why_call_waits(&obstacle, c, info->call);
    say(text, "no answer, because it was not called: %s", obstacle.text);
    explain_try(c, entry, info, text);
}

void why_note_unknown(struct coordinator *c, struct entry *entry, const struct txn_branch *branch)
{
    struct branch_info *info = entry_info(entry, branch);
    const struct outcall *call = info->call;
    if (call == NULL || call->kind != TERCET_TRY)
        return;
    if (call->is_sent)
        note_unanswered(c, entry, info);
    else if (history_failures(info->history, TERCET_TRY) == 0)
        note_uncalled(c, entry, info);
}

/* -- Why it was cancelled ---------------------------------------------------------------------- */

/* Whether the try was given up. */
static bool is_to_blame(const struct txn_branch *branch)
{
    return txn_mode_is_routed(branch->mode) && branch->try_state != TXN_TRY_DONE &&
           branch->try_state != TXN_TRY_REFUSED;
}

/* The branch whose try has failed most often, the first of those; *others: how many more were given
 * up. NULL: none was. */
static const struct txn_branch *find_worst(const struct entry *entry, size_t *others)
{
    const struct txn_branch *worst = NULL;
    uint32_t most = 0;
    size_t count = 0;
    for (size_t i = 0; i < entry->txn.branch_count; i++) {
        const struct txn_branch *branch = &entry->txn.branches[i];
        uint32_t failures = history_failures(entry->infos[i].history, TERCET_TRY);
        if (!is_to_blame(branch))
            continue;
        count++;
        if (worst == NULL || failures > most) {
            worst = branch;
            most = failures;
        }
    }
    *others = count > 0 ? count - 1 : 0;
    return worst;
}

static void blame(char text[TERCET_TEXT_MAX], const struct entry *entry,
                  const struct txn_branch *branch, size_t others)
{
    const struct branch_info *info = entry_info(entry, branch);
    const char *error = history_error(info->history, TERCET_TRY);
    uint32_t failures = history_failures(info->history, TERCET_TRY);
    char more[48] = "";
    if (others > 0)
        snprintf(more, sizeof(more), " (and %zu more)", others);
    if (error[0] == '\0')
        error = "no answer";
    if (failures == 0 || (failures == 1 && strncmp(error, "no answer", 9) == 0))
        say(text, "branch %u %s/%s%s: %s", branch->number, info->service->name, info->action, more,
            error);
    else
        say(text, "branch %u %s/%s%s: %u %s failed, last: %s", branch->number, info->service->name,
            info->action, more, failures, failures == 1 ? "try" : "tries", error);
}

void why_cancelled(char text[TERCET_TEXT_MAX], const struct entry *entry)
{
    size_t others;
    const struct txn_branch *worst = find_worst(entry, &others);
    if (worst != NULL)
        blame(text, entry, worst, others);
    else if (entry->txn.cause == TXN_CAUSE_DEADLINE)
        say(text, "nobody asked to confirm or cancel before the deadline");
    else
        text[0] = '\0';
}
