/* SPDX-License-Identifier: Apache-2.0
 *
 * coordinator.h
 */
#include "coordinator.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

struct shard *coordinator_home(const struct coordinator *c)
{
    assert(c->shard_count > 0);
    return &c->shards[0];
}

void coordinator_fail(struct coordinator *c, const char *text)
{
    if (atomic_exchange(&c->has_failed, true))
        return;
    coordinator_log(c, TERCET_LOG_ERROR, "the coordinator stops: %s", text);
    if (c->options.on_failed != NULL)
        c->options.on_failed(text, c->options.failed_ctx);
}

static void give_line(const struct coordinator *c, const struct tercet_log_record *record)
{
    if (c->options.on_log_record != NULL)
        c->options.on_log_record(record, c->options.log_ctx);
    else
        c->options.on_log(record->level, record->text, c->options.log_ctx);
}

bool coordinator_logs(const struct coordinator *c, enum log_part part, enum tercet_log_level level)
{
    return (c->options.on_log != NULL || c->options.on_log_record != NULL) &&
           loglevel_lets(&c->loglevel, part, level);
}

void coordinator_log_record(const struct coordinator *c, enum log_part part,
                            struct tercet_log_record *record, const char *format, va_list args)
{
    char text[512];
    if (!coordinator_logs(c, part, record->level))
        return;
    vsnprintf(text, sizeof(text), format, args);
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            /* a participant's or operator's words must not forge a line, nor steer a terminal */
            *at = '?';
    record->size = sizeof(*record);
    record->text = text;
    give_line(c, record);
}

void coordinator_log(const struct coordinator *c, enum tercet_log_level level, const char *format,
                     ...)
{
    struct tercet_log_record record = {.level = level};
    va_list args;
    va_start(args, format);
    coordinator_log_record(c, LOG_TRANSACTIONS, &record, format, args);
    va_end(args);
}

void coordinator_log_of(const struct coordinator *c, enum log_part part,
                        enum tercet_log_level level, const char *format, ...)
{
    struct tercet_log_record record = {.level = level};
    va_list args;
    va_start(args, format);
    coordinator_log_record(c, part, &record, format, args);
    va_end(args);
}
