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

static void log_line(const struct coordinator *c, enum log_part part, enum tercet_log_level level,
                     const char *format, va_list args)
{
    char text[512];
    if (c->options.on_log == NULL || !loglevel_lets(&c->loglevel, part, level))
        return;
    vsnprintf(text, sizeof(text), format, args);
    for (char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            /* a participant's or operator's words must not forge a line, nor steer a terminal */
            *at = '?';
    c->options.on_log(level, text, c->options.log_ctx);
}

void coordinator_log(const struct coordinator *c, enum tercet_log_level level, const char *format,
                     ...)
{
    va_list args;
    va_start(args, format);
    log_line(c, LOG_TRANSACTIONS, level, format, args);
    va_end(args);
}

void coordinator_log_of(const struct coordinator *c, enum log_part part,
                        enum tercet_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(c, part, level, format, args);
    va_end(args);
}
