/* SPDX-License-Identifier: Apache-2.0
 *
 * log.h
 */
#include "log.h"

#include <clock.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRACE_ID_TEXT_MAX 32
#define TEXT_SIZE (2 * TERCET_TEXT_MAX) /* of one line's words */
#define LINE_SIZE (6 * TEXT_SIZE + 320) /* at most, written as JSON */

struct line {
    struct line *next;
    enum tercet_log_level level;
    int64_t wall_ms;
    char gid[TERCET_GID_MAX + 1];         /* of the transaction it is about; "": none */
    char trace_id[TRACE_ID_TEXT_MAX + 1]; /* "": none */
    char text[];
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a line came, or all are written */
    struct line *first, *last;
    size_t count;      /* of those that wait, or are being written */
    uint64_t dropped;  /* lines dropped for lack of room, since the log last said so */
    uint64_t left_out; /* lines dropped for their rate, since the log last said so */
    uint64_t dropped_total, left_out_total;
    int64_t credit;    /* thousandths of lines that may come at once */
    int64_t credit_ms; /* when it was reckoned */
    atomic_int level;  /* enum tercet_log_level */
    enum log_format format;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* -- Formats ----------------------------------------------------------------------------------- */

static const char *const level_names[] = {"error", "warning", "info", "debug"};

bool log_format_of(enum log_format *out, const char *name)
{
    static const char *const names[] = {
        [LOG_TEXT] = "text", [LOG_JSON] = "json", [LOG_JOURNAL] = "journal"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *out = (enum log_format)i;
        return true;
    }
    return false;
}

enum log_format log_format_default(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat status;
    if (stream == NULL || sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &device, &inode) != 2 ||
        fstat(STDERR_FILENO, &status) != 0)
        return LOG_TEXT;
    return status.st_dev == device && status.st_ino == inode ? LOG_JOURNAL : LOG_TEXT;
}

static void format_time(char out[32], int64_t wall_ms)
{
    const struct timespec time = clock_timespec(wall_ms);
    struct tm utc;
    char seconds[24];
    gmtime_r(&time.tv_sec, &utc);
    strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out, 32, "%s.%03dZ", seconds, (int)(wall_ms % 1000));
}

/* The text between the quotes of a JSON string; other bytes than ASCII stay as they are. */
static void escape(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text != '\0' && n + 7 < size; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            n += (size_t)snprintf(out + n, size - n, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            n += (size_t)snprintf(out + n, size - n, "\\u%04x", c);
        else
            out[n++] = (char)c;
    }
    out[n] = '\0';
}

/* Control characters in the text are escaped, so that it stays one line. */
static void format_text(char *out, size_t size, const struct line *line)
{
    static const int priorities[] = {3, 4, 6, 7}; /* syslog(3) */
    char time[32];
    format_time(time, line->wall_ms);
    const char *label = line->trace_id[0] != '\0' ? " trace_id=" : "";
    if (queue.format == LOG_JOURNAL)
        snprintf(out, size, "<%d>%s%s%s", priorities[line->level], line->text, label,
                 line->trace_id);
    else
        snprintf(out, size, "%s %s %s%s%s", time, level_names[line->level], line->text, label,
                 line->trace_id);
    for (char *c = out; *c != '\0'; c++)
        if (*c == '\n' || *c == '\r')
            *c = ' ';
}

static void format_json(char *out, size_t size, const struct line *line)
{
    char time[32];
    char text[LINE_SIZE - 300];
    format_time(time, line->wall_ms);
    escape(text, sizeof(text), line->text);
    int n = snprintf(out, size, "{\"time\": \"%s\", \"level\": \"%s\", \"text\": \"%s\"", time,
                     level_names[line->level], text);
    /* both are made of letters that need no escape */
    if (line->gid[0] != '\0')
        n += snprintf(out + n, size - (size_t)n, ", \"gid\": \"%s\"", line->gid);
    if (line->trace_id[0] != '\0')
        n += snprintf(out + n, size - (size_t)n, ", \"trace_id\": \"%s\"", line->trace_id);
    snprintf(out + n, size - (size_t)n, "}");
}

/* -- Writing ----------------------------------------------------------------------------------- */

static void write_line(const struct line *line)
{
    char text[LINE_SIZE];
    if (queue.format == LOG_JSON)
        format_json(text, sizeof(text) - 1, line);
    else
        format_text(text, sizeof(text) - 1, line);
    size_t size = strlen(text);
    text[size++] = '\n';
    for (size_t done = 0; done < size;) {
        struct pollfd output = {.fd = STDERR_FILENO, .events = POLLOUT};
        ssize_t wrote = write(STDERR_FILENO, text + done, size - done);
        if (wrote > 0)
            done += (size_t)wrote;
        else if (wrote == 0 || errno != EAGAIN || poll(&output, 1, -1) < 0)
            return; /* nobody can be told */
    }
}

static struct line *new_line(enum tercet_log_level level, const char *text)
{
    const size_t size = strnlen(text, TEXT_SIZE - 1);
    struct line *line = malloc(sizeof(*line) + size + 1);
    if (line == NULL)
        return NULL;
    *line = (struct line){.level = level, .wall_ms = clock_wall_ms()};
    memcpy(line->text, text, size);
    line->text[size] = '\0';
    return line;
}

static void write_count(uint64_t count, const char *format)
{
    char text[TEXT_SIZE];
    if (count == 0)
        return;
    snprintf(text, sizeof(text), "%" PRIu64 " %s", count, format);
    struct line *line = new_line(TERCET_LOG_WARNING, text);
    if (line != NULL)
        write_line(line);
    free(line);
}

static struct line *take_line(uint64_t *dropped, uint64_t *left_out)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.first == NULL)
        pthread_cond_wait(&queue.changed, &queue.lock);
    struct line *line = queue.first;
    queue.first = line->next;
    *dropped = queue.dropped;
    *left_out = queue.left_out;
    queue.dropped = queue.left_out = 0;
    pthread_mutex_unlock(&queue.lock);
    return line;
}

static void *write_all(void *ctx)
{
    (void)ctx;
    for (;;) {
        uint64_t dropped, left_out;
        struct line *line = take_line(&dropped, &left_out);
        write_count(dropped, "lines of the log were dropped: its reader does not keep up");
        write_count(left_out, "lines of the log were left out: too many a second");
        write_line(line);
        free(line);
        pthread_mutex_lock(&queue.lock);
        queue.count--;
        pthread_cond_broadcast(&queue.changed);
        pthread_mutex_unlock(&queue.lock);
    }
    return NULL;
}

void log_set_level(enum tercet_log_level level)
{
    atomic_store(&queue.level, (int)level);
}

int log_start(enum tercet_log_level level, enum log_format format)
{
    pthread_condattr_t attributes;
    pthread_t thread;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&queue.changed, &attributes);
    pthread_condattr_destroy(&attributes);
    log_set_level(level);
    queue.format = format;
    queue.credit = LOG_BURST_MAX * 1000;
    queue.credit_ms = clock_monotonic_ms();
    if (pthread_create(&thread, NULL, write_all, NULL) != 0)
        return TERCET_NOMEM;
    pthread_setname_np(thread, "tercetd-log");
    pthread_detach(thread);
    return 0;
}

/* -- Queueing ---------------------------------------------------------------------------------- */

/* Whether the rate permits another line of level info or debug now. Under the lock. */
static bool take_credit(void)
{
    const int64_t now_ms = clock_monotonic_ms();
    queue.credit += (now_ms - queue.credit_ms) * LOG_RATE;
    queue.credit_ms = now_ms;
    if (queue.credit > LOG_BURST_MAX * 1000)
        queue.credit = LOG_BURST_MAX * 1000;
    if (queue.credit < 1000)
        return false;
    queue.credit -= 1000;
    return true;
}

static void add_line(struct line *line)
{
    if (queue.first == NULL)
        queue.first = line;
    else
        queue.last->next = line;
    queue.last = line;
    queue.count++;
    pthread_cond_broadcast(&queue.changed);
}

/* Takes the line over; NULL: there was no memory for it. */
static void queue_line(struct line *line, enum tercet_log_level level, bool is_rated)
{
    const bool is_important = level <= TERCET_LOG_WARNING;
    pthread_mutex_lock(&queue.lock);
    if (is_rated && !is_important && !take_credit()) {
        queue.left_out++;
        queue.left_out_total++;
    } else if (line == NULL ||
               queue.count >= (is_important ? LOG_LINES_MAX : LOG_LINES_MAX * 3 / 4)) {
        queue.dropped++;
        queue.dropped_total++;
    } else {
        add_line(line);
        line = NULL;
    }
    pthread_mutex_unlock(&queue.lock);
    free(line);
}

void log_line(enum tercet_log_level level, const char *text, void *ctx)
{
    (void)ctx;
    queue_line(new_line(level, text), level, true);
}

void log_record(const struct tercet_log_record *record, void *ctx)
{
    struct line *line = new_line(record->level, record->text);
    (void)ctx;
    if (line != NULL && record->gid != NULL)
        snprintf(line->gid, sizeof(line->gid), "%s", record->gid);
    if (line != NULL && record->trace_id != NULL)
        snprintf(line->trace_id, sizeof(line->trace_id), "%s", record->trace_id);
    queue_line(line, record->level, true);
}

void log_say(enum tercet_log_level level, const char *format, ...)
{
    char text[TEXT_SIZE];
    va_list values;
    if ((int)level > atomic_load(&queue.level))
        return;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    queue_line(new_line(level, text), level, false);
}

void log_lost(uint64_t *dropped, uint64_t *left_out)
{
    pthread_mutex_lock(&queue.lock);
    *dropped = queue.dropped_total;
    *left_out = queue.left_out_total;
    pthread_mutex_unlock(&queue.lock);
}

void log_flush(uint32_t patience_ms)
{
    const struct timespec until = clock_timespec(clock_monotonic_ms() + patience_ms);
    int rc = 0;
    pthread_mutex_lock(&queue.lock);
    while (queue.count > 0 && rc == 0)
        rc = pthread_cond_timedwait(&queue.changed, &queue.lock, &until);
    pthread_mutex_unlock(&queue.lock);
}
