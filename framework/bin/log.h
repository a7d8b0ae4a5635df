/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd's log. Lines wait in a bounded queue for a thread that writes them to standard error, so
 * that a full pipe, a slow disk or a stopped terminal holds up the log and nothing else.
 */
#ifndef TERCETD_LOG_H
#define TERCETD_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <tercet/coordinator.h>
#include <tercet/types.h>

#define LOG_LINES_MAX 2000 /* that wait; a quarter of them is for warnings and errors */
/* lines of level info or debug: so many at once, then so many a second */
#define LOG_BURST_MAX 500
#define LOG_RATE 100

enum log_format {
    LOG_TEXT, /* 2026-01-02T03:04:05.678Z warning words trace_id=... */
    /* {"time": "...", "level": "warning", "text": "...", "gid": "...", "trace_id": "..."}, the last
     * two of lines about one transaction, the very last where it is traced */
    LOG_JSON,
    LOG_JOURNAL, /* <4>words: the journal knows the time */
};

/* The format by its name; returns false when there is none. */
bool log_format_of(enum log_format *out, const char *name);

/* LOG_JOURNAL when standard error is the journal's (systemd.exec(5), JOURNAL_STREAM), else
 * LOG_TEXT. */
enum log_format log_format_default(void);

/* Starts the thread. The program's own lines less important than `level` are dropped without a
 * word; the coordinator has levels of its own. */
int log_start(enum tercet_log_level level, enum log_format format);

/* Another level for the program's own lines. Any thread. */
void log_set_level(enum tercet_log_level level);

/* Never blocks. What cannot be kept is counted, and the next line that is written says how many. A
 * tercet_log_fn; ctx is not used. */
void log_line(enum tercet_log_level level, const char *text, void *ctx);

/* The same of a record: a tercet_log_record_fn. */
void log_record(const struct tercet_log_record *record, void *ctx);

/* The same with printf's formats, for the program's own lines, which are never dropped for their
 * rate. */
void log_say(enum tercet_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How many lines have not been written since the start: for lack of room, and because there were
 * too many a second. Any thread. */
void log_lost(uint64_t *dropped, uint64_t *left_out);

/* Waits until all is written, at most patience_ms: whoever reads the log may have stopped reading.
 */
void log_flush(uint32_t patience_ms);

#endif
