/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that runs out when a test says so. The linker puts these functions in the place of malloc,
 * calloc, realloc, strdup and tsearch in the test's program and the static libraries in it; shared
 * libraries keep theirs.
 */
#ifndef TERCET_TEST_SCARCE_H
#define TERCET_TEST_SCARCE_H

#include <stdbool.h>

/* This thread's n-th allocation from now fails, and it alone. 0: none does. */
void scarce_fail_at(int n);

/* As strdup, and never fails. */
char *scarce_dup(const char *text);

/* Whether it has come to that since the last scarce_fail_at. */
bool scarce_has_failed(void);

#endif
