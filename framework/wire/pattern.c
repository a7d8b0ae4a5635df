/* SPDX-License-Identifier: Apache-2.0
 *
 * pattern.h
 */
#include "pattern.h"

#include <stddef.h>

/* Where a star stood that may take more: only the last one ever has to. */
bool pattern_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *taken = NULL;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            taken = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++taken;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
