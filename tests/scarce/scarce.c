/* SPDX-License-Identifier: Apache-2.0
 *
 * scarce.h
 */
#include "scarce.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

static _Thread_local int countdown;
static _Thread_local bool has_failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *data, size_t size);
char *__real_strdup(const char *text);
void *__real_tsearch(const void *key, void **root, int (*compare)(const void *, const void *));

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *data, size_t size);
char *__wrap_strdup(const char *text);
void *__wrap_tsearch(const void *key, void **root, int (*compare)(const void *, const void *));

void scarce_fail_at(int n)
{
    countdown = n;
    has_failed = false;
}

bool scarce_has_failed(void)
{
    return has_failed;
}

static bool is_gone(void)
{
    if (countdown == 0 || --countdown > 0)
        return false;
    has_failed = true;
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return is_gone() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_gone() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *data, size_t size)
{
    return is_gone() ? NULL : __real_realloc(data, size);
}

char *__wrap_strdup(const char *text)
{
    return is_gone() ? NULL : __real_strdup(text);
}

char *scarce_dup(const char *text)
{
    return __real_strdup(text);
}

void *__wrap_tsearch(const void *key, void **root, int (*compare)(const void *, const void *))
{
    return is_gone() ? NULL : __real_tsearch(key, root, compare);
}
