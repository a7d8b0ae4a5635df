/* SPDX-License-Identifier: Apache-2.0
 *
 * The files and directories that tercetd's options name: read, made, and tried for --check-config.
 */
#ifndef TERCETD_FILES_H
#define TERCETD_FILES_H

#include "tercetd_options.h"

/* Reads rules, certificates and keys into args->options. Returns 0, or -1 after having said on
 * standard error which of them cannot be read. files_free frees them, also then. */
int files_read(struct arguments *args);
void files_free(struct tercet_coordinator_options *options);

/* Makes the directories above a store that nobody gave a place. Returns 0, or -1 with the reason on
 * standard error. */
int files_make_data(const struct arguments *args);

/* Whether a coordinator opens with all these options, at a free port of each address and with a
 * store in memory. Says so; returns the exit status. */
int files_check(const struct arguments *args);

#endif
