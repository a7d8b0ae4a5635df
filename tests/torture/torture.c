/* SPDX-License-Identifier: Apache-2.0
 *
 * torture: the shop of samples/ under faults of every kind, drawn by a seed; after every few of
 * them everything comes to rest, and is judged from outside. Exit status: 0 when all holds, 1 when
 * not, 2 when it could not begin.
 */
#include "torture.h"

#include "draw.h"

#include <inttypes.h>
#include <options.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define READY_MS 100000
#define PROGRESS_MS 60000
#define POLL_MS 5
#define GAP_MS_MAX 300
#define FAULTS_A_ROUND 6
#define ROUNDS_A_STAGE 6
#define JUDGE_MS 60000
/* of the processes that we start; times 1,000 they are still numbers to their options */
#define SEEDS 100000000
#define EXIT_STORE_FAILED 70

static const char *const kind_names[] = {
#define FAULT_NAME(name, text) [name] = text,
    FAULT_MAP(FAULT_NAME)
#undef FAULT_NAME
};

bool torture_fail(const struct torture *torture, const char *what)
{
    fprintf(stderr, "torture: %s (see %s)\n", what, torture->stage.daemon.dir);
    return false;
}

/* -- Progress ---------------------------------------------------------------------------------- */

static bool revive_daemon(struct torture *torture)
{
    int status = 0;
    if (!process_has_ended(&torture->stage.daemon.process, &status))
        return true;
    if (!torture->may_die || !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_STORE_FAILED)
        return torture_fail(torture, "tercetd has ended by itself");
    torture->tally.disk_deaths++;
    return stage_start_daemon(&torture->stage);
}

static bool are_alive(struct torture *torture)
{
    int status;
    for (size_t i = 0; i < STAGE_SERVICES; i++)
        if (process_has_ended(&torture->stage.services[i], &status))
            return torture_fail(torture, "a participant has ended by itself");
    for (size_t i = 0; i < CROWD_CLIENTS; i++)
        if (process_has_ended(&torture->crowd.processes[i], &status))
            return torture_fail(torture, "a client has ended by itself");
    if (process_has_ended(&torture->proxy, &status))
        return torture_fail(torture, "the proxy has ended by itself");
    return revive_daemon(torture);
}

bool torture_await_confirmed(struct torture *torture, uint64_t count)
{
    int64_t until_ms = process_now_ms() + PROGRESS_MS;
    crowd_read(&torture->crowd);
    uint64_t wanted = torture->crowd.confirmed + count;
    while (torture->crowd.confirmed < wanted) {
        if (!are_alive(torture))
            return false;
        if (process_now_ms() >= until_ms)
            return torture_fail(torture, "nothing is confirmed any more");
        stage_sleep_ms(POLL_MS);
        crowd_read(&torture->crowd);
    }
    return true;
}

/* -- A stage ----------------------------------------------------------------------------------- */

static bool start_proxy(struct torture *torture)
{
    char program[256], errors[192], log[192], seed[32], line[PROCESS_LINE_MAX];
    const char *argv[] = {program, torture->stage.daemon.address, seed, log, NULL};
    snprintf(program, sizeof(program), "%s/torture_proxy", torture->settings->tools);
    snprintf(errors, sizeof(errors), "%.128s/proxy.errors", torture->stage.daemon.dir);
    snprintf(log, sizeof(log), "%.128s/" CROWD_PROXY_LOG, torture->stage.daemon.dir);
    snprintf(seed, sizeof(seed), "%" PRIu64, draw(&torture->state, SEEDS));
    process_start(&torture->proxy, argv, errors, NULL);
    if (!process_line(&torture->proxy, "ready ", line, READY_MS))
        return torture_fail(torture, "the proxy does not get ready");
    snprintf(torture->proxy_address, sizeof(torture->proxy_address), "%.60s",
             line + strlen("ready "));
    torture->stage.front = torture->proxy_address;
    return true;
}

static void start_crowd(struct torture *torture)
{
    for (size_t i = 0; i < CROWD_CLIENTS; i++)
        crowd_start(&torture->crowd, i);
}

static bool open_stage(struct torture *torture)
{
    const struct settings *settings = torture->settings;
    static char client[256];
    snprintf(client, sizeof(client), "%s/torture_client", settings->tools);
    if (!stage_prepare(&torture->stage, settings->tercetd, settings->tercetctl, settings->shop, 0))
        return false;
    torture->stage.stock = settings->stock;
    if (settings->kinds[FAULT_DISK] && !fault_mount_disk(torture))
        return false;
    if (!stage_start_daemon(&torture->stage) || !start_proxy(torture) ||
        !stage_start_services(&torture->stage))
        return false;
    torture->crowd = (struct crowd){.program = client,
                                    .folder = torture->stage.daemon.dir,
                                    .coordinator = torture->proxy_address,
                                    .direct = torture->stage.daemon.address,
                                    .seed = draw(&torture->state, SEEDS)};
    torture->tally.stages++;
    return true;
}

static void close_stage(struct torture *torture, bool is_kept)
{
    for (size_t i = 0; i < CROWD_CLIENTS; i++)
        process_end(&torture->crowd.processes[i], SIGKILL);
    torture->tally.confirmed += torture->crowd.confirmed;
    torture->tally.cancelled += torture->crowd.cancelled;
    torture->tally.unknown += torture->crowd.unknown;
    for (size_t i = 0; i < STAGE_SERVICES; i++)
        process_end(&torture->stage.services[i], SIGKILL);
    process_end(&torture->proxy, SIGTERM);
    daemon_kill(&torture->stage.daemon);
    if (!is_kept)
        fault_unmount_disk(torture);
    stage_close(&torture->stage, is_kept);
}

/* -- The judge --------------------------------------------------------------------------------- */

bool torture_judge(struct torture *torture, const char *folder, const char *logs)
{
    char program[256], databases[768], line[PROCESS_LINE_MAX];
    const char *argv[] = {
        program,   "--coordinator", torture->stage.daemon.address, "--logs", logs, "--databases",
        databases, "--told",        torture->stage.log_path,       NULL};
    struct process process;
    int status = 1;
    if (folder[0] == '\0')
        folder = torture->stage.daemon.dir;
    snprintf(program, sizeof(program), "%s/torture_check", torture->settings->tools);
    snprintf(databases, sizeof(databases), "%.200s/stock.db,%.200s/payment.db,%.200s/order.db",
             folder, folder, folder);
    process_start(&process, argv, NULL, NULL);
    while (process_line(&process, "", line, JUDGE_MS))
        if (strstr(line, " holds") == NULL)
            puts(line);
    fflush(stdout);
    if (!process_wait(&process, JUDGE_MS, &status) || status != 0)
        return torture_fail(torture, "what the clients were told is not one story");
    return stage_run_audit(&torture->stage, folder);
}

static bool judge(struct torture *torture)
{
    char *logs = crowd_logs(&torture->crowd);
    bool holds = stage_await_rest(&torture->stage) && torture_judge(torture, "", logs);
    free(logs);
    torture->tally.audits += holds;
    return holds;
}

/* Every late copy that is still kept comes now, when all that it speaks of has ended. */
static bool deliver_late(struct torture *torture)
{
    char line[PROCESS_LINE_MAX];
    kill(torture->proxy.pid, SIGHUP);
    if (!process_line(&torture->proxy, "delivered ", line, READY_MS))
        return torture_fail(torture, "the proxy does not deliver");
    torture->tally.late_delivered += strtoull(line + strlen("delivered "), NULL, 10);
    return true;
}

/* -- Rounds ------------------------------------------------------------------------------------ */

static enum fault_kind draw_kind(struct torture *torture)
{
    for (;;) {
        uint64_t kind = draw(&torture->state, FAULT_KINDS);
        if (torture->settings->kinds[kind])
            return (enum fault_kind)kind;
    }
}

static uint64_t count_faults(const struct tally *tally)
{
    uint64_t sum = 0;
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        sum += tally->faults[kind];
    return sum;
}

static bool run_round(struct torture *torture)
{
    start_crowd(torture);
    if (!torture_await_confirmed(torture, 1))
        return false;
    for (int i = 0; i < FAULTS_A_ROUND; i++) {
        stage_sleep_ms(draw(&torture->state, GAP_MS_MAX));
        if (!fault_do(torture, draw_kind(torture)))
            return false;
    }
    if (!fault_end_storm(torture))
        return false;
    if (!crowd_stop(&torture->crowd))
        return torture_fail(torture, "the clients do not come to an end");
    return judge(torture);
}

static bool is_enough(const struct torture *torture, int64_t until_ms)
{
    const struct settings *settings = torture->settings;
    if (settings->faults_count > 0)
        return count_faults(&torture->tally) >= (uint64_t)settings->faults_count;
    return process_now_ms() >= until_ms;
}

static void print_progress(const struct torture *torture)
{
    const struct tally *tally = &torture->tally;
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        printf("%s %" PRIu64 ", ", kind_names[kind], tally->faults[kind]);
    printf("%" PRIu64 " confirmed, the judge is content\n",
           tally->confirmed + torture->crowd.confirmed);
    fflush(stdout);
}

static bool run_stage(struct torture *torture, int64_t until_ms)
{
    for (int round = 0; round < ROUNDS_A_STAGE && !is_enough(torture, until_ms); round++) {
        if (!run_round(torture))
            return false;
        print_progress(torture);
    }
    if (torture->settings->spoils)
        return spoil_all(torture);
    return deliver_late(torture) && judge(torture);
}

static bool run(struct torture *torture)
{
    int64_t until_ms = process_now_ms() + torture->settings->minutes * 60000;
    bool holds = true;
    while (holds && !is_enough(torture, until_ms)) {
        holds = open_stage(torture) && run_stage(torture, until_ms);
        close_stage(torture, !holds);
    }
    return holds;
}

/* -- The program ------------------------------------------------------------------------------- */

static void parse_kinds(struct settings *settings, const struct options *options, const char *list)
{
    char copy[128], *rest = NULL;
    snprintf(copy, sizeof(copy), "%s", list);
    for (char *name = strtok_r(copy, ",", &rest); name != NULL; name = strtok_r(NULL, ",", &rest)) {
        int kind = 0;
        while (kind < FAULT_KINDS && strcmp(name, kind_names[kind]) != 0)
            kind++;
        if (kind == FAULT_KINDS)
            options_fail(options, "faults", "some of kill,stop,proxy,disk,descriptors");
        settings->kinds[kind] = true;
    }
}

static void parse(struct settings *settings, int argc, char **argv)
{
    const char *kinds = "kill,stop,proxy,disk,descriptors";
    const struct option_entry table[] = {
        {"tercetd", OPTION_TEXT, &settings->tercetd, "the program"},
        {"tercetctl", OPTION_TEXT, &settings->tercetctl, "the program"},
        {"shop", OPTION_TEXT, &settings->shop, "the folder with the shop's programs"},
        {"tools", OPTION_TEXT, &settings->tools,
         "the folder with torture_proxy, torture_client and torture_check"},
        {"stock", OPTION_TEXT, &settings->stock,
         "another program for the warehouse, which the judge is to convict"},
        {"seed", OPTION_NUMBER, &settings->seed,
         "of the faults (default: a new one, which is told)"},
        {"minutes", OPTION_NUMBER, &settings->minutes, "how long (default 1), or"},
        {"faults-count", OPTION_NUMBER, &settings->faults_count,
         "until so many faults have counted"},
        {"faults", OPTION_TEXT, &kinds, "kill,stop,proxy,disk,descriptors (default all)"},
        {"stop-max", OPTION_DURATION, &settings->stop_ms_max, "the longest SIGSTOP (default 5s)"},
        {"spoil", OPTION_FLAG, &settings->spoils,
         "spoil the evidence then, in many ways; the judge must see each"},
    };
    struct options options = {.program = "torture",
                              .summary = "Everything at once, and a judge.\n"};
    options_add(&options, table, sizeof(table) / sizeof(table[0]));
    options_parse(&options, argc, argv);
    if (settings->tercetd == NULL || settings->tercetctl == NULL || settings->shop == NULL ||
        settings->tools == NULL)
        options_fail(&options, "tercetd", "and --tercetctl, --shop and --tools are needed");
    parse_kinds(settings, &options, kinds);
    if (settings->seed == 0)
        settings->seed = 1 + (int64_t)time(NULL) % 1000000;
}

static void print_tally(const struct torture *torture)
{
    const struct tally *tally = &torture->tally;
    printf("seed %" PRId64 "; faults with traffic:", torture->settings->seed);
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        printf(" %s %" PRIu64 "%s", kind_names[kind], tally->faults[kind],
               kind + 1 < FAULT_KINDS ? "," : ";");
    printf(" without, not counted:");
    for (int kind = 0; kind < FAULT_KINDS; kind++)
        printf(" %s %" PRIu64 "%s", kind_names[kind], tally->quiet[kind],
               kind + 1 < FAULT_KINDS ? "," : "\n");
    printf("stopped for %" PRIu64 " s in all, %" PRIu64
           " ms at most; tercetd ended itself on a full disk %" PRIu64 " times; %" PRIu64
           " connections refused\n",
           tally->stopped_ms / 1000, tally->stopped_ms_max, tally->disk_deaths, tally->refused);
    printf("records: dropped %" PRIu64 ", twice %" PRIu64 ", held %" PRIu64
           ", late copies kept %" PRIu64 ", delivered %" PRIu64 ", answered %" PRIu64
           "; streams: stalled %" PRIu64 ", cut %" PRIu64 ", half-closed %" PRIu64 "\n",
           tally->dropped, tally->twice, tally->held, tally->late, tally->late_delivered,
           tally->late_answered, tally->stalled, tally->cut, tally->half_closed);
    printf("told: %" PRIu64 " confirmed, %" PRIu64 " cancelled, %" PRIu64
           " unknown at first; %" PRIu64 " judgements on %" PRIu64 " stages\n",
           tally->confirmed, tally->cancelled, tally->unknown, tally->audits, tally->stages);
}

static void print_reproduction(int argc, char **argv, const struct torture *torture)
{
    fputs("VIOLATED. The same faults again:", stderr);
    for (int i = 0; i < argc; i++)
        fprintf(stderr, " %s", argv[i]);
    fprintf(stderr, " --seed %" PRId64 "\nEverything of this run is in %s\n",
            torture->settings->seed, torture->stage.daemon.dir);
}

int main(int argc, char **argv)
{
    struct settings settings = {.minutes = 1, .stop_ms_max = 5000};
    struct torture torture = {.settings = &settings};
    parse(&settings, argc, argv);
    torture.state = (uint64_t)settings.seed;
    if (settings.kinds[FAULT_DISK] && !fault_can_mount()) {
        puts("without a full disk: a tmpfs can be mounted by root only");
        settings.kinds[FAULT_DISK] = false;
    }
    printf("seed %" PRId64 "\n", settings.seed);
    fflush(stdout);
    bool holds = run(&torture);
    print_tally(&torture);
    if (!holds)
        print_reproduction(argc, argv, &torture);
    return holds ? 0 : 1;
}
