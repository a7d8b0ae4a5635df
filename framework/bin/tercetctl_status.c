/* SPDX-License-Identifier: Apache-2.0
 *
 * participants and stats: how the coordinator and those it calls are doing.
 */
#include "tercetctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* -- participants ------------------------------------------------------------------------------ */

static char *join(char **words, size_t count)
{
    char *joined = ctl_format("%s", count > 0 ? words[0] : "none known");
    for (size_t i = 1; i < count; i++) {
        char *longer = ctl_format("%s, %s", joined, words[i]);
        free(joined);
        joined = longer;
    }
    return joined;
}

static void add_state(struct table *table, const Tercet__V1__ParticipantStatus *participant)
{
    bool is_missing = participant->n_instances == 0 && participant->target[0] == '\0';
    int64_t alone_ms = clock_wall_ms() - participant->unserved_ms;
    char *breaker =
        participant->breaker_open
            ? ctl_format("BREAKER OPEN after %" PRIu32 " failures in a row", participant->failures)
            : ctl_format("%s%s%s", is_missing ? "nobody attached" : "ok",
                         participant->unserved_ms != 0 ? " for " : "",
                         participant->unserved_ms != 0 ? figure_duration(alone_ms).text : "");
    if (participant->paused && strcmp(breaker, "ok") == 0)
        table_cell(table, "PAUSED (%s)", participant->n_instances > 0 ? "attached" : "registered");
    else
        table_cell(table, "%s%s", participant->paused ? "PAUSED, " : "", breaker);
    free(breaker);
}

/* Of a participant's program and of its library, as far as they were told. */
static void add_versions(struct table *table, const char *application, const char *library)
{
    if (application[0] != '\0' || library[0] != '\0')
        table_note(table, "  version %s%s%s%s", application[0] != '\0' ? application : library,
                   application[0] != '\0' && library[0] != '\0' ? " (" : "",
                   application[0] != '\0' ? library : "",
                   application[0] != '\0' && library[0] != '\0' ? ")" : "");
}

static void add_target_state(struct table *table, const Tercet__V1__Target *target)
{
    if (!target->breaker_open) {
        table_note(table, "called at %s: %" PRIu32 " calls", target->target, target->calls);
        return;
    }
    table_note(table, "called at %s: BREAKER OPEN after %" PRIu32 " failures in a row, last: %s",
               target->target, target->failures, target->last_error);
}

static void add_target(struct table *table, const Tercet__V1__Target *target)
{
    add_target_state(table, target);
    add_versions(table, target->application_version, target->version);
}

static void add_participant(struct table *table, const Tercet__V1__ParticipantStatus *participant)
{
    uint64_t window = 0;
    char *actions = join(participant->actions, participant->n_actions);
    for (size_t i = 0; i < participant->n_instances; i++)
        window += participant->instances[i]->window;
    table_cell(table, "%s", participant->service);
    table_cell(table, "%zu", participant->n_instances);
    if (window != 0)
        table_cell(table, "%" PRIu64 "/%" PRIu64, participant->calls, window);
    else
        table_cell(table, "%" PRIu64, participant->calls);
    table_cell(table, "%" PRIu64, participant->waiting);
    add_state(table, participant);
    table_note(table, "actions: %s", actions);
    for (size_t i = 0; i < participant->n_targets; i++)
        add_target(table, participant->targets[i]);
    if (participant->n_instances == 0 && participant->calls > 0)
        table_note(table, "the oldest call for %s",
                   figure_duration(participant->oldest_call_ms).text);
    for (size_t i = 0; i < participant->n_instances; i++) {
        const Tercet__V1__Instance *instance = participant->instances[i];
        table_note(table, "instance %s (%s): %" PRIu32 " of %" PRIu32 " calls%s%s", instance->name,
                   instance->peer, instance->calls, instance->window,
                   instance->calls > 0 ? ", the oldest for " : "",
                   instance->calls > 0 ? figure_duration(instance->oldest_call_ms).text : "");
        add_versions(table, instance->application_version, instance->version);
    }
    if (participant->last_error[0] != '\0')
        table_note(table, "last error: %s", participant->last_error);
    free(actions);
}

int command_participants(struct ctl *ctl)
{
    static const char *const headers[] = {"SERVICE", "INSTANCES", "CALLS", "WAITING", "STATE"};
    struct table table = {.headers = headers, .column_count = 5};
    Tercet__V1__ListParticipantsRequest request = TERCET__V1__LIST_PARTICIPANTS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int status = ctl_call(&reply, ctl, "ListParticipants", &request.base);
    if (status != 0)
        return status;
    const Tercet__V1__ListParticipantsResponse *list =
        (const Tercet__V1__ListParticipantsResponse *)reply;
    if (ctl->is_json) {
        ctl_print_message(reply);
    } else if (list->n_participants == 0) {
        puts("no participants are known: none has attached or been registered");
    } else {
        for (size_t i = 0; i < list->n_participants; i++)
            add_participant(&table, list->participants[i]);
        table_flush(&table);
    }
    crpc_message_free(reply);
    return 0;
}

/* -- stats ------------------------------------------------------------------------------------- */

static void print_figure(const char *label, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void print_figure(const char *label, const char *format, ...)
{
    va_list values;
    char *plain = NULL;
    va_start(values, format);
    if (vasprintf(&plain, format, values) < 0)
        ctl_die("out of memory");
    va_end(values);
    char *escaped = term_escape(plain);
    printf("%-20s %s\n", label, escaped);
    free(escaped);
    free(plain);
}

static void print_store(const Tercet__V1__Statistics *stats)
{
    double share = stats->store_bytes_max > 0
                       ? 100.0 * (double)stats->store_bytes_used / (double)stats->store_bytes_max
                       : 0;
    print_figure("store used", "%s of %s (%.1f %%)", figure_size(stats->store_bytes_used).text,
                 figure_size(stats->store_bytes_max).text, share);
    print_figure("disk free", "%s", figure_disk_free(stats->disk_free_bytes).text);
    print_figure("resolved, kept", "%" PRIu64, stats->resolved_records);
    print_figure("forced writes", "%" PRIu64, stats->commits_total);
}

static void print_stats(const Tercet__V1__Statistics *stats)
{
    print_figure("accepting", "%s%s", stats->accepting ? "yes" : "NO: ", stats->accepting_text);
    print_figure("trying", "%" PRIu64, stats->trying);
    print_figure("confirming", "%" PRIu64, stats->confirming);
    print_figure("cancelling", "%" PRIu64, stats->cancelling);
    print_figure("parked branches", "%" PRIu64 "%s", stats->parked_branches,
                 stats->parked_branches > 0 ? "  (see tercetctl ls --parked)" : "");
    print_figure("begun", "%" PRIu64 " since start", stats->begun_total);
    print_figure("confirmed", "%" PRIu64 " since start", stats->confirmed_total);
    print_figure("cancelled", "%" PRIu64 " since start", stats->cancelled_total);
    print_figure("participants' calls", "%" PRIu64 " since start", stats->calls_total);
    print_store(stats);
    print_figure("low-water number", "%" PRIu64, stats->low_water);
    print_figure("source", "%016" PRIx64 "  (the store's identity)", stats->source);
    print_figure("version", "%s", stats->version);
    print_figure("started", "%s  %s ago", figure_time(stats->started_ms).text,
                 figure_duration(clock_wall_ms() - stats->started_ms).text);
}

int command_stats(struct ctl *ctl)
{
    Tercet__V1__StatisticsRequest request = TERCET__V1__STATISTICS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int status = ctl_call(&reply, ctl, "GetStatistics", &request.base);
    if (status != 0)
        return status;
    if (ctl->is_json)
        ctl_print_message(reply);
    else
        print_stats((const Tercet__V1__Statistics *)reply);
    crpc_message_free(reply);
    return 0;
}
