/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a process that has died: the log is made to tell what they really are.
 */
#ifndef TERCET_POWER_SETTLE_H
#define TERCET_POWER_SETTLE_H

#include <sys/types.h>

/* Says what the write that `pid` died in has left, if it died in one, and what the files of these
 * names (NULL at the end) are as a whole; those that are there. */
void settle_files(int log, const char *log_path, const char *folder, const char *const *names,
                  pid_t pid);

#endif
