/* SPDX-License-Identifier: Apache-2.0
 *
 * A log that nobody reads holds up the log, and nothing else; and what it looks like when somebody
 * does.
 */
#include "bench.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

BENCH_SUITE(logging);

/* The daemon's log is a pipe that is full from the start. Returns its reading end. */
static int start_with_full_pipe(struct bench *b)
{
    bench_prepare();
    const char *path = daemon_path(&b->daemon, "tercetd.log");
    cr_assert_eq(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int writer = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    cr_assert(reader >= 0 && writer >= 0);
    while (write(writer, "full\n", 5) > 0)
        ;
    while (write(writer, "\n", 1) > 0)
        ;
    cr_assert_eq(errno, EAGAIN);
    close(writer);
    bench_launch(NULL);
    cr_assert_eq(crpc_loop_new(&b->loop, NULL), 0);
    bench_connect(b);
    return reader;
}

/* Each attaches and leaves, which is two lines of the log. */
static void flap(struct bench *b, int count)
{
    for (int i = 0; i < count; i++)
        participant_close(participant_open(b));
}

/* Reads on until the log has these words. */
static void read_until(int reader, const char *words)
{
    static char text[1 << 20];
    size_t have = 0;
    while (strstr(text, words) == NULL) {
        struct pollfd input = {.fd = reader, .events = POLLIN};
        cr_assert_gt(poll(&input, 1, WAIT_MS), 0, "the log never had \"%s\"", words);
        ssize_t got = read(reader, text + have, sizeof(text) - 1 - have);
        cr_assert_gt(got, 0, "the log ended without \"%s\"", words);
        have += (size_t)got;
    }
}

Test(logging, nobody_reads)
{
    int reader = start_with_full_pipe(&bench);
    flap(&bench, 1000);
    cr_assert(begins(&bench, "begun-with-a-full-pipe"));
    bench_check_serving(&bench);
    cr_assert_eq(bench_end(SIGTERM), 0);
    close(reader);
    bench_stop(&bench);
}

Test(logging, somebody_reads_late)
{
    int reader = start_with_full_pipe(&bench);
    /* More lines than may wait, however slowly they come: those that are too many a second are
     * "left out", those that have no room are "dropped". */
    flap(&bench, 800);
    read_until(reader, " lines of the log were ");
    cr_assert_eq(bench_end(SIGTERM), 0);
    read_until(reader, "stopping (Terminated)");
    close(reader);
    bench_stop(&bench);
}

static char *log_with(const char *format, const char *level)
{
    const char *options[] = {"--log-format", format, "--log-level", level, NULL};
    bench_start(&bench, options);
    participant_close(participant_open(&bench));
    cr_assert_eq(bench_end(SIGTERM), 0);
    char *text = daemon_log(&bench.daemon);
    bench_stop(&bench);
    return text;
}

/* Each line is cut off at its newline; the test fails when there is none of this beginning and
 * these words. */
static void has_line(const char *text, const char *beginning, const char *words)
{
    for (const char *line = text; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        char copy[1024];
        snprintf(copy, sizeof(copy), "%.*s", (int)size, line);
        if (strncmp(copy, beginning, strlen(beginning)) == 0 && strstr(copy, words) != NULL)
            return;
        line += size + (line[size] == '\n');
    }
    cr_assert(false, "no line begins with %s and has %s in:\n%s", beginning, words, text);
}

Test(logging, formats)
{
    char *text = log_with("json", "info");
    has_line(text, "{\"time\": \"20", "\"level\": \"info\", \"text\": \"stock: instance \\\"");
    free(text);
    text = log_with("journal", "info");
    has_line(text, "<6>", "attached");
    free(text);
    text = log_with("text", "info");
    has_line(text, "20", "Z info stopping (Terminated)");
    free(text);
}

Test(logging, levels)
{
    static const char *const wrong[] = {"--data", "/tmp/nowhere", "--log-level=loud", NULL};
    char output[DAEMON_TEXT_MAX];
    char *text = log_with("text", "warning");
    cr_assert_null(strstr(text, " info "), "%s", text);
    free(text);
    cr_assert_eq(bench_run(output, wrong), 2);
    cr_assert_not_null(strstr(output, "error, warning, info or debug is wanted"), "%s", output);
}
