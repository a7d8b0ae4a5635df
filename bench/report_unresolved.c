/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h: --unresolved.
 */
#include "report.h"

#define KIB 1024.0
#define MIB (1024.0 * 1024)

static void add_work(cJSON *root, const char *name, const struct load_result *load)
{
    cJSON *object = cJSON_AddObjectToObject(root, name);
    report_ratio(object, "transactions_per_second", (double)load->finished, load->seconds);
    report_number(object, "p50_us", histogram_quantile_us(&load->decision, 0.5));
    report_number(object, "p99_us", histogram_quantile_us(&load->decision, 0.99));
    report_ratio(object, "coordinator_cpu_us", load->coordinator_cpu, (double)load->ended / 1e6);
    report_ratio(object, "participants_cpu_us", load->participants_cpu, (double)load->ended / 1e6);
    report_ratio(object, "transactions_per_commit", (double)load->ended, (double)load->commits);
    report_number(object, "cores_used_by_others", report_others(load));
}

static void add_look(cJSON *list, const char *name, const struct look *look, int64_t begin_ns)
{
    const struct snapshot *seen = &look->seen;
    if (!look->was_taken)
        return;
    cJSON *object = cJSON_AddObjectToObject(list, name);
    report_number(object, "seconds", (double)(seen->at_ns - begin_ns) * 1e-9);
    report_number(object, "trying", (double)seen->trying);
    report_number(object, "confirming", (double)seen->confirming);
    report_number(object, "resolved_records", (double)seen->resolved_records);
    report_number(object, "heap_mib", (double)look->anonymous_kib / KIB);
    report_number(object, "resident_mib", (double)look->resident_kib / KIB);
    report_number(object, "store_mib", (double)seen->store_bytes / MIB);
    report_number(object, "file_mib", (double)look->file_bytes / MIB);
}

static double rate_of(const struct load_result *load)
{
    return load->seconds > 0 ? (double)load->finished / load->seconds : 0;
}

/* Before and after, so that a machine that becomes slower counts half. */
static double rate_of_empty(const struct load_result *works)
{
    double before = rate_of(&works[WORK_EMPTY]);
    double after = rate_of(&works[WORK_DRAINED]);
    return after > 0 ? (before + after) / 2 : before;
}

static double cpu_of(const struct load_result *load)
{
    return load->ended > 0 ? load->coordinator_cpu / (double)load->ended : 0;
}

/* Bytes of heap that each takes, beyond what was there at `base`. */
static void add_each(cJSON *object, const char *name, const struct unresolved_result *result,
                     enum moment moment, enum moment base, double count)
{
    double more_kib =
        (double)result->looks[moment].anonymous_kib - (double)result->looks[base].anonymous_kib;
    report_number(object, name, more_kib * KIB / count);
}

void report_unresolved(cJSON *root, const struct shared *shared)
{
    static const char *const names[MOMENTS] = {
#define MOMENT_NAME(name, text) text,
        MOMENT_MAP(MOMENT_NAME)
#undef MOMENT_NAME
    };
    const struct unresolved_result *result = &shared->unresolved;
    const struct load_result *works = result->works;
    double count = shared->options.unresolved;
    add_work(root, "work_empty", &works[WORK_EMPTY]);
    add_work(root, "work_full", &works[WORK_FULL]);
    add_work(root, "work_drained", &works[WORK_DRAINED]);
    cJSON *object = cJSON_AddObjectToObject(root, "full_to_empty");
    report_ratio(object, "throughput", rate_of(&works[WORK_FULL]), rate_of_empty(works));
    report_ratio(object, "coordinator_cpu", cpu_of(&works[WORK_FULL]), cpu_of(&works[WORK_EMPTY]));
    object = cJSON_AddObjectToObject(root, "heap_bytes_each");
    add_each(object, "trying", result, MOMENT_TRYING, MOMENT_EMPTY, count);
    add_each(object, "confirming", result, MOMENT_CONFIRMING, MOMENT_EMPTY, count);
    add_each(object, "restarted", result, MOMENT_RESTARTED, MOMENT_START, count);
    object = cJSON_AddObjectToObject(root, "fill_per_second");
    report_ratio(object, "tried", count, result->try_seconds[0]);
    report_ratio(object, "confirmed", count, result->confirm_seconds[0]);
    object = cJSON_AddObjectToObject(root, "restart");
    report_number(object, "ready_seconds", result->ready_seconds);
    report_number(object, "first_decided_seconds", result->decided_seconds);
    report_ratio(object, "restored_per_second", count, result->ready_seconds);
    report_times(root, "decision_while_redriven_us", &result->trickle.decision);
    object = cJSON_AddObjectToObject(root, "redriven_per_second");
    report_ratio(object, "after_restart", count, result->drain_seconds[0]);
    report_ratio(object, "without_restart", count, result->drain_seconds[1]);
    object = cJSON_AddObjectToObject(root, "file_growth"); /* by the second time: 1 is none */
    report_ratio(object, "drained", (double)result->looks[MOMENT_REDRAINED].file_bytes,
                 (double)result->looks[MOMENT_DRAINED].file_bytes);
    object = cJSON_AddObjectToObject(root, "moments");
    for (unsigned i = 0; i < MOMENTS; i++)
        add_look(object, names[i], &result->looks[i], result->begin_ns);
}
