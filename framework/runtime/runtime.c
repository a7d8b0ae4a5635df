/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.h: waiting, pauses, options, texts, log.
 */
#include "runtime.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void runtime_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

void runtime_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ms)
{
    if (until_ms == RUNTIME_NEVER) {
        pthread_cond_wait(condition, lock);
        return;
    }
    struct timespec until = clock_timespec(until_ms);
    pthread_cond_timedwait(condition, lock, &until);
}

static uint32_t draw(struct runtime_pause *pause)
{
    if (pause->seed == 0)
        pause->seed = (uint32_t)clock_monotonic_ms() ^ (uint32_t)(uintptr_t)pause ^ 0x9e3779b9u;
    /* Numerical Recipes' generator; its upper bits are the good ones */
    pause->seed = pause->seed * 1664525u + 1013904223u;
    return pause->seed >> 8;
}

uint32_t runtime_pause_next(struct runtime_pause *pause)
{
    uint32_t whole = pause->next_ms != 0 ? pause->next_ms : pause->first_ms;
    pause->next_ms = whole < pause->longest_ms / 2 ? whole * 2 : pause->longest_ms;
    return whole / 2 + draw(pause) % (whole / 2 + 1);
}

void runtime_pause_reset(struct runtime_pause *pause)
{
    pause->next_ms = 0;
}

int runtime_options_take(void *out, size_t out_size, const void *given)
{
    size_t size = 0;
    memset(out, 0, out_size);
    if (given == NULL)
        return 0;
    memcpy(&size, given, sizeof(size));
    if (size < sizeof(size))
        return TERCET_INVALID;
    memcpy(out, given, size < out_size ? size : out_size);
    return 0;
}

void runtime_text(char *text, const char *format, ...)
{
    char whole[TERCET_TEXT_MAX + 8];
    va_list arguments;
    if (text == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(whole, sizeof(whole), format, arguments);
    va_end(arguments);
    copy_text(text, whole);
}

void runtime_log(const struct runtime_log *log, enum tercet_log_level level, const char *format,
                 ...)
{
    char line[2 * TERCET_TEXT_MAX];
    va_list arguments;
    if (log->on_log == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    log->on_log(level, line, log->ctx);
}
