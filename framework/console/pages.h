/* SPDX-License-Identifier: Apache-2.0
 *
 * The console's files, built into the program (web/, embed.cmake).
 */
#ifndef CONSOLE_PAGES_H
#define CONSOLE_PAGES_H

#include <stddef.h>

struct page {
    const char *path, *type;
    const unsigned char *data;
    size_t size;
};

/* Ended by one without a path. */
extern const struct page pages[];

#endif
