/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd_process.h: names and meanings are those of Prometheus' own client libraries.
 */
#include "tercetd_process.h"

#include "log.h"

#include <dirent.h>
#include <metrics.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Of /proc/self/stat; the numbers follow the name, which may have anything in it but ends with the
 * last bracket. */
static bool read_stat(unsigned long long *started_ticks, long long *resident_pages)
{
    char text[1024] = "";
    FILE *file = fopen("/proc/self/stat", "re");
    if (file == NULL)
        return false;
    size_t size = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[size] = '\0';
    const char *rest = strrchr(text, ')');
    return rest != NULL &&
           sscanf(rest + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                  "%llu %*u %lld",
                  started_ticks, resident_pages) == 2;
}

/* When the machine was started, since 1970. */
static double boot_seconds(void)
{
    char line[256];
    long long seconds = 0;
    FILE *file = fopen("/proc/stat", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "btime %lld", &seconds) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return (double)seconds;
}

static size_t count_descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory != NULL && readdir(directory) != NULL)
        count++;
    if (directory != NULL)
        closedir(directory);
    return count > 3 ? count - 3 : 0; /* ".", "..", and the directory itself */
}

static void add(struct samples *samples, enum metric metric, double value)
{
    samples_add(samples, metric, value, NULL, NULL, NULL);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void add_process(struct samples *samples)
{
    struct rusage usage;
    struct rlimit limit;
    unsigned long long ticks;
    long long pages;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        add(samples, METRIC_PROCESS_CPU, seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        add(samples, METRIC_PROCESS_FDS_MAX, (double)limit.rlim_cur);
    add(samples, METRIC_PROCESS_FDS, (double)count_descriptors());
    if (!read_stat(&ticks, &pages))
        return;
    add(samples, METRIC_PROCESS_START,
        boot_seconds() + (double)ticks / (double)sysconf(_SC_CLK_TCK));
    add(samples, METRIC_PROCESS_RESIDENT, (double)pages * (double)sysconf(_SC_PAGESIZE));
}

void process_add_metrics(tercet_metric_fn each, void *ctx)
{
    struct samples samples = {0};
    uint64_t dropped, left_out;
    log_lost(&dropped, &left_out);
    samples_add(&samples, METRIC_LOG_DROPPED, (double)dropped, "slow_reader", NULL, NULL);
    samples_add(&samples, METRIC_LOG_DROPPED, (double)left_out, "too_many", NULL, NULL);
    add_process(&samples);
    samples_visit(&samples, each, ctx);
    samples_clear(&samples);
}
