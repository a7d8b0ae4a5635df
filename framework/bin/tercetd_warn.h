/* SPDX-License-Identifier: Apache-2.0
 *
 * What tercetd says at its start of a setup that works, but not as well or as safely as one may
 * think.
 */
#ifndef TERCETD_WARN_H
#define TERCETD_WARN_H

#include "tercetd_options.h"

/* Logs a warning for each. The store is there already. */
void warn_about_setup(const struct arguments *args);

/* Logs where the options come from that nobody gave on the command line, and variables that look
 * misspelt. Before the store is opened. */
void warn_about_options(const struct arguments *args);

#endif
