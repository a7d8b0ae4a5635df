/* SPDX-License-Identifier: Apache-2.0
 *
 * link.h: calls and their answers, whichever way they go.
 */
#include "link_internal.h"

#include <check.h>
#include <clock.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- Answers ----------------------------------------------------------------------------------- */

void link_fault(struct link *link, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (link->fault_count++ == 0)
        vsnprintf(link->fault, sizeof(link->fault), format, arguments);
    va_end(arguments);
}

/* What no answer may be, whatever was asked. */
static void inspect(struct link *link, const struct pending *pending,
                    const Tercet__V1__CallResult *result)
{
    const char *kind = tercet_kind_name((int)pending->kind);
    if (result->outcome < TERCET__V1__OUTCOME__DONE ||
        result->outcome > TERCET__V1__OUTCOME__BROKEN)
        link_fault(link, "the result of a %s has the outcome %d", kind, (int)result->outcome);
    else if (result->outcome == TERCET__V1__OUTCOME__REFUSAL && pending->kind != TERCET_TRY)
        link_fault(link, "a %s was answered with REFUSAL", kind);
    else if (result->reply.len > 0 &&
             (result->outcome != TERCET__V1__OUTCOME__DONE || pending->kind != TERCET_TRY))
        link_fault(link, "the result of a %s that is not a try that was done has a reply", kind);
    else if (result->reply.len > TERCET_REPLY_MAX)
        link_fault(link, "a reply of %zu bytes", result->reply.len);
    else if (check_text(result->reason) != NULL)
        link_fault(link, "a reason of %zu bytes", strlen(result->reason));
}

static void copy_result(struct answer *answer, const Tercet__V1__CallResult *result)
{
    answer->outcome = (int)result->outcome;
    snprintf(answer->text, sizeof(answer->text), "%s", result->reason);
    if (result->reply.len == 0 || (answer->reply = malloc(result->reply.len)) == NULL)
        return;
    memcpy(answer->reply, result->reply.data, result->reply.len);
    answer->reply_size = result->reply.len;
}

/* Takes it out of those under way. */
static void unlink_pending(struct pending *pending)
{
    struct pending **place = &pending->link->pending;
    while (*place != pending)
        place = &(*place)->next;
    *place = pending->next;
}

/* It has never been sent, and will not be. */
static void drop(struct pending *pending)
{
    unlink_pending(pending);
    free(pending);
}

void link_finish(struct pending *pending, enum answer_state state,
                 const Tercet__V1__CallResult *result, const char *text)
{
    struct link *link = pending->link;
    unlink_pending(pending);
    if (result != NULL)
        inspect(link, pending, result);
    if (pending->ask != NULL) {
        struct answer *answer = &pending->ask->answer;
        *answer = (struct answer){.state = state};
        if (result != NULL)
            copy_result(answer, result);
        else
            snprintf(answer->text, sizeof(answer->text), "%s", text);
    }
    free(pending);
    stream_send(link);
    pthread_cond_broadcast(&link->changed);
}

void link_take_result(struct link *link, const struct stream *stream,
                      const Tercet__V1__CallResult *result)
{
    struct pending *pending = link->pending;
    while (pending != NULL &&
           (pending->id != result->id || pending->stream != stream || pending->is_waiting))
        pending = pending->next;
    if (pending != NULL)
        link_finish(pending, ANSWER_CAME, result, NULL);
    else
        link_fault(link,
                   "a result with id %llu, which no call on this stream has that is not answered",
                   (unsigned long long)result->id);
}

/* -- Who it is --------------------------------------------------------------------------------- */

static void inspect_introduction(struct introduction *said, char **actions, size_t count,
                                 const char *service, const char *database)
{
    const char *wrong = check_service(service);
    if (wrong == NULL && count == 0)
        wrong = "it names no actions: say what the service offers";
    if (wrong == NULL && count > 256)
        wrong = "a service offers at most 256 actions";
    for (size_t i = 0; wrong == NULL && i < count; i++)
        wrong = check_action_name(actions[i]);
    if (wrong == NULL && strlen(database) > 64)
        wrong = "a database is told in at most 64 characters";
    snprintf(said->wrong, sizeof(said->wrong), "%s", wrong != NULL ? wrong : "");
}

void link_introduce(struct link *link, const char *service, char **actions, size_t action_count,
                    const char *database)
{
    struct introduction *said = &link->introduction;
    inspect_introduction(said, actions, action_count, service, database);
    snprintf(said->service, sizeof(said->service), "%s", service);
    snprintf(said->database, sizeof(said->database), "%s", database);
    snprintf(said->action, sizeof(said->action), "%s/%.64s", said->service,
             action_count > 0 ? actions[0] : "");
    said->count++;
    pthread_cond_broadcast(&link->changed);
}

static void wait_until(struct link *link, int64_t until_ms)
{
    struct timespec until = clock_timespec(until_ms);
    pthread_cond_timedwait(&link->changed, &link->lock, &until);
}

bool link_wait(struct link *link, unsigned count, int64_t timeout_ms, struct introduction *out)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    pthread_mutex_lock(&link->lock);
    bool is_named = link->server == NULL;
    while (!is_named && link->introduction.count <= count && clock_monotonic_ms() < until_ms)
        wait_until(link, until_ms);
    bool has_come = is_named || link->introduction.count > count;
    *out = link->introduction;
    pthread_mutex_unlock(&link->lock);
    return has_come;
}

/* -- Asking ------------------------------------------------------------------------------------ */

static struct pending *begin(struct link *link, struct ask *ask)
{
    struct pending *pending = calloc(1, sizeof(*pending));
    if (pending == NULL)
        abort();
    ask->answer = (struct answer){.state = ANSWER_NONE};
    pending->link = link;
    pending->ask = ask;
    pending->kind = (uint32_t)ask->call.kind;
    pending->next = link->pending;
    link->pending = pending;
    return pending;
}

static void ask_stream(struct link *link, struct pending **pending, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pending[i]->id = ++link->last_id;
        pending[i]->ask->call.id = pending[i]->id;
        pending[i]->stream = link->stream;
        pending[i]->is_waiting = link->stream != NULL;
    }
    for (size_t i = 0; i < count && link->stream == NULL; i++)
        link_finish(pending[i], ANSWER_LOST, NULL, "the participant is not attached");
    stream_send(link);
}

void link_ask(struct link *link, struct ask *asks, size_t count, int64_t timeout_ms)
{
    struct pending **pending = calloc(count, sizeof(struct pending *));
    if (pending == NULL)
        abort();
    pthread_mutex_lock(&link->lock);
    struct crpc_channel *channel = link->channel;
    for (size_t i = 0; i < count; i++)
        pending[i] = begin(link, &asks[i]);
    if (channel == NULL)
        ask_stream(link, pending, count);
    pthread_mutex_unlock(&link->lock);
    for (size_t i = 0; channel != NULL && i < count; i++)
        target_call(pending[i], &asks[i].call, channel, timeout_ms);
    free(pending);
}

static size_t count_answers(const struct ask *asks, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += asks[i].answer.state != ANSWER_NONE;
    return n;
}

size_t link_collect(struct link *link, const struct ask *asks, size_t count, size_t wanted,
                    int64_t timeout_ms)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    pthread_mutex_lock(&link->lock);
    size_t n = count_answers(asks, count);
    while (n < wanted && clock_monotonic_ms() < until_ms) {
        wait_until(link, until_ms);
        n = count_answers(asks, count);
    }
    pthread_mutex_unlock(&link->lock);
    return n;
}

void link_let_go(struct link *link, struct ask *asks, size_t count)
{
    struct pending *next = NULL;
    pthread_mutex_lock(&link->lock);
    for (struct pending *pending = link->pending; pending != NULL; pending = next) {
        next = pending->next;
        if (pending->ask < asks || pending->ask >= asks + count)
            continue;
        pending->ask = NULL;
        if (pending->is_waiting)
            drop(pending);
    }
    pthread_mutex_unlock(&link->lock);
}

unsigned link_faults(struct link *link, char text[TERCET_TEXT_MAX])
{
    pthread_mutex_lock(&link->lock);
    unsigned count = link->fault_count;
    snprintf(text, TERCET_TEXT_MAX, "%s", link->fault);
    pthread_mutex_unlock(&link->lock);
    return count;
}

/* -- Opening ----------------------------------------------------------------------------------- */

const char *link_address(const struct link *link)
{
    return link->address;
}

unsigned link_refused(struct link *link)
{
    pthread_mutex_lock(&link->lock);
    unsigned count = link->refused_count;
    pthread_mutex_unlock(&link->lock);
    return count;
}

static int start(struct link *link, char *text)
{
    const char *target = link->options.target, *token = link->options.call_token;
    if (crpc_loop_new(&link->loop, NULL) != 0) {
        snprintf(text, TERCET_TEXT_MAX, "out of memory");
        return -1;
    }
    if (target == NULL)
        return link_listen(link, text);
    if (check_target(target) == NULL && target_use(link, target, token != NULL ? token : ""))
        return 0;
    snprintf(text, TERCET_TEXT_MAX,
             "%s cannot be called: use host:port or unix:/path, and PEM files in --call-tls-...",
             target);
    return -1;
}

int link_open(struct link **out, const struct link_options *options, char *text)
{
    pthread_condattr_t attributes;
    struct link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        abort();
    pthread_mutex_init(&link->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&link->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    link->options = *options;
    if (start(link, text) != 0) {
        link_close(link);
        return -1;
    }
    *out = link;
    return 0;
}

void link_close(struct link *link)
{
    if (link == NULL)
        return;
    if (link->server != NULL)
        crpc_server_stop(link->server, 0);
    for (size_t i = 0; i < link->target_count; i++) {
        crpc_channel_free(link->channels[i]);
        free(link->targets[i]);
    }
    crpc_server_free(link->server);
    crpc_loop_free(link->loop);
    while (link->pending != NULL)
        link_finish(link->pending, ANSWER_LOST, NULL, "");
    pthread_cond_destroy(&link->changed);
    pthread_mutex_destroy(&link->lock);
    free(link);
}
