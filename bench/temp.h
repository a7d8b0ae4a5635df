/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory for the time of a run, on a real disk: a sync in memory costs nothing, and figures
 * with it mean nothing.
 */
#ifndef BENCH_TEMP_H
#define BENCH_TEMP_H

#include <stdbool.h>
#include <stddef.h>

/* Makes one under `parent` ("": /var/tmp, or else the current directory, whichever is on a disk).
 * False: `path` says what is wrong. */
bool temp_make(char *path, size_t size, const char *parent);

/* Removes it with all that is in it. */
void temp_remove(const char *path);

/* Whether the path lies in memory (tmpfs, ramfs). */
bool temp_is_memory(const char *path);

#endif
