/* SPDX-License-Identifier: Apache-2.0
 *
 * What was measured, as a JSON object; the table is the same object, line by line, so that neither
 * says less.
 */
#include "report.h"

#include "machine.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- The object -------------------------------------------------------------------------------- */

static void add_options(cJSON *root, const struct options *options)
{
    cJSON *object = cJSON_AddObjectToObject(root, "options");
    cJSON_AddStringToObject(object, "form", form_name(options->form));
    report_number(object, "branches", options->branches);
    report_number(object, "payload_bytes", options->payload_size);
    report_number(object, "refuse_percent", options->refuse_percent);
    cJSON_AddStringToObject(object, "barrier", barrier_name(options->barrier));
    report_number(object, "participants", options->participants);
    cJSON_AddStringToObject(object, "transport", transport_name(options->transport));
    cJSON_AddStringToObject(object, "api", api_name(options->api));
    report_number(object, "in_flight", options->in_flight);
    if (options->rate > 0)
        report_number(object, "rate", options->rate);
    else
        cJSON_AddNullToObject(object, "rate");
    report_number(object, "duration_seconds", options->duration_s);
    report_number(object, "warmup_seconds", options->warmup_s);
    cJSON_AddStringToObject(object, "wait", wait_name(options->wait));
    report_number(object, "unresolved", options->unresolved);
    report_number(object, "window", options->window);
    report_number(object, "batch", options->batch_max);
}

static void add_machine(cJSON *root, const struct machine *machine, const struct load_result *load)
{
    cJSON *object = cJSON_AddObjectToObject(root, "machine");
    report_number(object, "cores", machine->cores);
    cJSON_AddStringToObject(object, "model", machine->model);
    report_number(object, "memory_mib", (double)machine->memory_mib);
    cJSON_AddStringToObject(object, "kernel", machine->kernel);
    cJSON_AddStringToObject(object, "date", machine->date);
    report_number(object, "load_average_before", machine->load_average);
    report_number(object, "cores_used_by_others", report_others(load));
    report_number(object, "cores_stolen", load->steal_cpu / load->seconds);
}

/* CPU of a coordinator that runs elsewhere is not known, and counts as other work. */
static void add_cpu(cJSON *root, const struct shared *shared)
{
    const struct load_result *load = &shared->load;
    double per = (double)load->ended / 1e6;
    cJSON *object = cJSON_AddObjectToObject(root, "cpu_us_per_transaction");
    report_ratio(object, "coordinator", load->coordinator_cpu, per);
    report_ratio(object, "participants", load->participants_cpu, per);
    if (shared->database_pid != 0)
        report_ratio(object, "database", load->database_cpu, per);
    report_ratio(object, "load", load->load_cpu, per);
    object = cJSON_AddObjectToObject(root, "cpu_cores");
    report_ratio(object, "coordinator", load->coordinator_cpu, load->seconds);
    report_ratio(object, "participants", load->participants_cpu, load->seconds);
    if (shared->database_pid != 0)
        report_ratio(object, "database", load->database_cpu, load->seconds);
    report_ratio(object, "load", load->load_cpu, load->seconds);
    object = cJSON_AddObjectToObject(root, "coordinator_memory_mib");
    report_ratio(object, "resident", (double)load->coordinator_rss_kib, 1024);
    report_ratio(object, "resident_peak", (double)load->coordinator_hwm_kib, 1024);
}

static void add_audit(cJSON *root, const struct audit *audit)
{
    cJSON *object = cJSON_AddObjectToObject(root, "exactly_once");
    report_number(object, "transactions", (double)audit->transactions);
    report_number(object, "confirmed", (double)audit->confirmed);
    report_number(object, "cancelled", (double)audit->cancelled);
    report_number(object, "unknown", (double)audit->unknown);
    report_number(object, "effects", (double)audit->effects);
    report_number(object, "violations", (double)audit->violations);
}

/* The time to the decision with nothing but what cannot be left out, one after another: forced
 * writes of one transaction's records, and round trips of one record, measured between as many
 * processes as the run had, one at a time, with everybody asleep between as in a run with one
 * transaction in flight (exchange_trip.c). Run has two of each: plan and decision; initiator and
 * coordinator, coordinator and all participants at once. The other forms have, for each branch, a
 * write, the round trip that asks for it and the one to the participant; then a write and a round
 * trip to decide. SQLite adds a sync to each try, another database what the same try takes there
 * without Tercet. Hand-overs between a process's own threads are not in it. */
static double floor_us(const struct shared *shared)
{
    const struct limits_result *limits = &shared->limits;
    double branches = shared->options.branches;
    double commit = histogram_quantile_us(&limits->commit, 0.5);
    double trip = histogram_quantile_us(&limits->echo, 0.5);
    double fan = histogram_quantile_us(&limits->fan, 0.5);
    double sync = shared->options.barrier == BARRIER_SQLITE
                      ? histogram_quantile_us(&limits->fdatasync, 0.5)
                      : histogram_quantile_us(&limits->database_try, 0.5);
    if (shared->options.form == FORM_RUN)
        return 2 * commit + trip + fan + sync;
    return (branches + 1) * commit + (2 * branches + 1) * trip + branches * sync;
}

/* Records that go to the coordinator and back, or from it and back, a transaction; own tries are
 * calls besides. */
static double record_trips(const struct options *options)
{
    double branches = options->branches;
    return options->form == FORM_RUN ? 1 + 2 * branches
                                     : 1 + (options->form == FORM_STEPS ? 3 : 2) * branches;
}

/* Of the coordinator's CPU time, what nobody could save who takes and sends the same records in the
 * same messages, and writes the same records to the store in the same groups. */
static double add_bare(cJSON *root, const struct limits_result *limits)
{
    double total = limits->initiator_cpu_us + limits->participants_cpu_us + limits->store_cpu_us;
    cJSON *object = cJSON_AddObjectToObject(root, "bare_cpu_us_per_transaction");
    report_number(object, "initiator_messages", limits->initiator_cpu_us);
    report_number(object, "participant_messages", limits->participants_cpu_us);
    report_number(object, "store", limits->store_cpu_us);
    report_number(object, "total", total);
    return total;
}

static void add_database(cJSON *object, const struct shared *shared)
{
    const struct limits_result *limits = &shared->limits;
    if (limits->database_try.count == 0)
        return;
    report_number(object, "calls_per_database_commit", limits->database_batch);
    report_number(object, "database_transactions_per_second", limits->database_transactions);
    report_times(object, "database_try_us", &limits->database_try);
}

static void add_limits(cJSON *root, const struct shared *shared)
{
    const struct limits_result *limits = &shared->limits;
    const struct load_result *load = &shared->load;
    double rate = (double)load->finished / load->seconds;
    if (shared->options.limits_s == 0) {
        cJSON_AddNullToObject(root, "limits");
        return;
    }
    cJSON *object = cJSON_AddObjectToObject(root, "limits");
    report_number(object, "records_per_message", limits->batch);
    report_number(object, "records_per_message_of_initiator", limits->initiator_batch);
    report_number(object, "records_per_message_of_participant", limits->participant_batch);
    report_number(object, "echo_records_per_second", limits->echo_records);
    report_number(object, "transactions_per_commit", limits->group);
    report_number(object, "store_transactions_per_second", limits->store_transactions);
    report_times(object, "echo_us", &limits->echo);
    report_times(object, "echo_to_participants_us", &limits->fan);
    report_times(object, "commit_us", &limits->commit);
    report_times(object, "fdatasync_us", &limits->fdatasync);
    add_database(object, shared);
    report_number(object, "decision_floor_us", floor_us(shared));
    double bare_us = add_bare(root, limits);
    object = cJSON_AddObjectToObject(root, "ratios");
    if (load->ended > 0)
        report_ratio(object, "coordinator_cpu_to_bare",
                     load->coordinator_cpu * 1e6 / (double)load->ended, bare_us);
    report_ratio(object, "of_echo", rate * record_trips(&shared->options), limits->echo_records);
    report_ratio(object, "of_store", rate, limits->store_transactions);
    if (limits->database_transactions > 0)
        report_ratio(object, "of_database", rate, limits->database_transactions);
    report_ratio(object, "decision_p50_to_floor", histogram_quantile_us(&load->decision, 0.5),
                 floor_us(shared));
}

static cJSON *make_object(const struct shared *shared, const struct audit *audit,
                          const struct machine *machine)
{
    const struct load_result *load = &shared->load;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "version", TERCET_VERSION);
    add_options(root, &shared->options);
    add_machine(root, machine, load);
    if (shared->options.unresolved > 0) {
        report_unresolved(root, shared);
        add_audit(root, audit);
        return root;
    }
    report_number(root, "transactions_per_second", (double)load->finished / load->seconds);
    report_number(root, "resolved_per_second", (double)load->ended / load->seconds);
    report_times(root, "decision_us", &load->decision);
    report_times(root, "resolved_us", &load->resolved);
    report_ratio(root, "forced_syncs_per_transaction", (double)load->commits, (double)load->ended);
    report_ratio(root, "transactions_per_forced_sync", (double)load->ended, (double)load->commits);
    report_ratio(root, "calls_per_transaction", (double)load->calls, (double)load->ended);
    add_cpu(root, shared);
    report_number(root, "store_mib", (double)load->store_bytes / (1 << 20));
    add_limits(root, shared);
    add_audit(root, audit);
    return root;
}

/* -- The table --------------------------------------------------------------------------------- */

static void print_value(const cJSON *value)
{
    if (cJSON_IsString(value))
        printf("%s", value->valuestring);
    else if (cJSON_IsNumber(value))
        printf("%.10g", value->valuedouble);
    else
        putchar('-');
}

static void print_line(const char *name, const cJSON *value)
{
    printf("%-34s", name);
    if (!cJSON_IsObject(value))
        print_value(value);
    for (const cJSON *child = cJSON_IsObject(value) ? value->child : NULL; child != NULL;
         child = child->next) {
        printf("%s ", child->string);
        print_value(child);
        fputs(child->next != NULL ? ", " : "", stdout);
    }
    putchar('\n');
}

static void print_table(const cJSON *root)
{
    for (const cJSON *entry = root->child; entry != NULL; entry = entry->next) {
        bool is_nested = cJSON_IsObject(entry) && (strcmp(entry->string, "limits") == 0 ||
                                                   strcmp(entry->string, "moments") == 0);
        if (!is_nested)
            print_line(entry->string, entry);
        for (const cJSON *child = is_nested ? entry->child : NULL; child != NULL;
             child = child->next)
            print_line(child->string, child);
    }
}

void report_print(const struct shared *shared, const struct audit *audit,
                  const struct machine *machine)
{
    cJSON *root = make_object(shared, audit, machine);
    if (shared->options.output == OUTPUT_JSON) {
        char *text = cJSON_Print(root);
        puts(text != NULL ? text : "{}");
        cJSON_free(text);
    } else {
        print_table(root);
    }
    cJSON_Delete(root);
    fflush(stdout);
}
