/* SPDX-License-Identifier: Apache-2.0
 *
 * What every part of tercetctl stands on: how it ends, and memory that is never NULL.
 */
#include "tercetctl.h"

#include <stdlib.h>

void ctl_die(const char *what)
{
    fprintf(stderr, "tercetctl: %s\n", what);
    _Exit(EXIT_REFUSED);
}

char *ctl_format(const char *format, ...)
{
    va_list values;
    char *text = NULL;
    va_start(values, format);
    int size = vasprintf(&text, format, values);
    va_end(values);
    if (size < 0)
        ctl_die("out of memory");
    return text;
}

void *ctl_resize(void *memory, size_t size)
{
    void *resized = realloc(memory, size);
    if (resized == NULL)
        ctl_die("out of memory");
    return resized;
}
