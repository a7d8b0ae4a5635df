/* SPDX-License-Identifier: Apache-2.0
 *
 * What is shown again and again: ls --watch and top.
 */
#include "tercetctl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS_DEFAULT 2000
#define OLDEST_SHOWN 10

/* -- Again and again --------------------------------------------------------------------------- */

static int64_t interval_ms(const struct ctl *ctl)
{
    return ctl->interval_ms > 0 ? ctl->interval_ms : INTERVAL_MS_DEFAULT;
}

static void pause_for(int64_t ms)
{
    const struct timespec time = clock_timespec(ms);
    nanosleep(&time, NULL);
}

int live_repeat(struct ctl *ctl, int (*show)(struct ctl *ctl))
{
    const bool is_terminal = isatty(STDOUT_FILENO) != 0;
    for (bool is_first = true;; is_first = false) {
        if (is_terminal)
            fputs("\033[H\033[2J", stdout); /* to the top, and all of it empty */
        else if (!is_first)
            putchar('\n');
        int status = show(ctl);
        if (status != 0 && is_first)
            return status; /* later, a coordinator that is started again is waited for */
        if (fflush(stdout) != 0)
            ctl_die(strerror(errno));
        pause_for(interval_ms(ctl));
    }
}

/* -- top --------------------------------------------------------------------------------------- */

struct figures {
    uint64_t begun, confirmed, cancelled, calls;
    int64_t time_ms;
    int64_t started_ms;
};

static struct figures figures_of(const Tercet__V1__Statistics *stats)
{
    return (struct figures){.begun = stats->begun_total,
                            .confirmed = stats->confirmed_total,
                            .cancelled = stats->cancelled_total,
                            .calls = stats->calls_total,
                            .time_ms = clock_monotonic_ms(),
                            .started_ms = stats->started_ms};
}

static double rate(uint64_t now, uint64_t before, int64_t ms)
{
    return ms > 0 && now >= before ? 1000.0 * (double)(now - before) / (double)ms : 0;
}

static void print_rates(const struct figures *now, const struct figures *before)
{
    const int64_t ms = now->time_ms - before->time_ms;
    if (before->time_ms == 0 || before->started_ms != now->started_ms) {
        puts("a second:    (from the next time on)");
        return;
    }
    printf("a second:    %.1f begun, %.1f confirmed, %.1f cancelled, %.1f calls\n",
           rate(now->begun, before->begun, ms), rate(now->confirmed, before->confirmed, ms),
           rate(now->cancelled, before->cancelled, ms), rate(now->calls, before->calls, ms));
}

static int print_load(struct ctl *ctl)
{
    static struct figures before;
    Tercet__V1__StatisticsRequest request = TERCET__V1__STATISTICS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int status = ctl_call(&reply, ctl, "GetStatistics", &request.base);
    if (status != 0)
        return status;
    const Tercet__V1__Statistics *stats = (const Tercet__V1__Statistics *)reply;
    const struct figures now = figures_of(stats);
    char *refuses = term_escape(stats->accepting_text);
    printf("%s  tercetd %s, up %s%s%s\n", ctl->coordinator, stats->version,
           figure_duration(clock_wall_ms() - stats->started_ms).text,
           stats->accepting ? "" : ", takes NO new work: ", stats->accepting ? "" : refuses);
    print_rates(&now, &before);
    printf("under way:   %" PRIu64 " trying, %" PRIu64 " confirming, %" PRIu64
           " cancelling; %" PRIu64 " branches parked\n",
           stats->trying, stats->confirming, stats->cancelling, stats->parked_branches);
    printf("store:       %s of %s; disk free %s\n\n", figure_size(stats->store_bytes_used).text,
           figure_size(stats->store_bytes_max).text, figure_disk_free(stats->disk_free_bytes).text);
    before = now;
    free(refuses);
    crpc_message_free(reply);
    return 0;
}

static int top_once(struct ctl *ctl)
{
    int status = print_load(ctl);
    ctl->limit = OLDEST_SHOWN;
    if (status == 0)
        status = command_ls(ctl);
    putchar('\n');
    return status == 0 ? command_participants(ctl) : status;
}

int command_top(struct ctl *ctl)
{
    if (ctl->is_json)
        ctl_misuse("top is for people: stats, ls and participants have -o json");
    return live_repeat(ctl, top_once);
}
