/* SPDX-License-Identifier: Apache-2.0
 *
 * history.h
 */
#include "history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int64_t history_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One write to a file that is appended to is one line, whatever else is written and whoever
 * dies. */
static void put(int log, const char *line, int size)
{
    if (write(log, line, (size_t)size) != size) {
        perror("torture: the log");
        abort();
    }
}

int64_t history_asks(int log, const char *gid, const char *op)
{
    char line[256];
    int64_t now_us = history_now_us();
    put(log, line, snprintf(line, sizeof(line), "asks %s %s %" PRId64 "\n", gid, op, now_us));
    return now_us;
}

void history_told(int log, const char *gid, const char *op, int code, enum tercet_state state,
                  int64_t asked_us)
{
    char line[256];
    put(log, line,
        snprintf(line, sizeof(line), "told %s %s %s %s %" PRId64 " %" PRId64 "\n", gid, op,
                 tercet_error_name(code), state != 0 ? tercet_state_name((int)state) : "-",
                 asked_us, history_now_us()));
}
