/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns of access rules and targets: '*' stands for any characters, or none.
 */
#ifndef TERCET_PATTERN_H
#define TERCET_PATTERN_H

#include <stdbool.h>

/* Whether the whole text is as the pattern says. In time pattern times text at most. */
bool pattern_matches(const char *pattern, const char *text);

#endif
