/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and texts of results, and the small helpers of util.h.
 */
#include "result.h"
#include "util.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FILE_SIZE_MAX (1024 * 1024)

const char *crpc_strerror(int error)
{
    switch (error) {
    case 0:
        return "success";
#define ERROR_TEXT(name, value, text)                                                              \
    case value:                                                                                    \
        return text;
        CRPC_ERROR_MAP(ERROR_TEXT)
#undef ERROR_TEXT
    default:
        return "unknown error";
    }
}

const char *crpc_code_name(int code)
{
    switch (code) {
#define CODE_TEXT(name, value, text)                                                               \
    case value:                                                                                    \
        return text;
        CRPC_CODE_MAP(CODE_TEXT)
#undef CODE_TEXT
    default:
        return "UNKNOWN";
    }
}

void crpc_result_clear(struct crpc_result *result)
{
    free(result->message);
    free(result->details);
    memset(result, 0, sizeof(*result));
}

void result_fill(struct crpc_result *out, const struct crpc_status *status)
{
    if (out == NULL)
        return;
    memset(out, 0, sizeof(*out));
    out->code = status->code;
    out->message = text_copy(status->message, strlen(status->message));
    if (status->details.size == 0)
        return;
    out->details = text_copy(status->details.data, status->details.size);
    if (out->details != NULL)
        out->details_size = status->details.size;
}

/* Reads to the end; one byte of room is left for the NUL. */
static int file_read_all(char **out, FILE *file)
{
    char *text = malloc(FILE_SIZE_MAX + 1);
    if (text == NULL)
        return CRPC_ENOMEM;
    size_t size = fread(text, 1, FILE_SIZE_MAX + 1, file);
    if (ferror(file) || size > FILE_SIZE_MAX) {
        errno = ferror(file) ? EIO : EFBIG;
        free(text);
        return CRPC_EINVAL;
    }
    text[size] = '\0';
    char *exact = realloc(text, size + 1);
    *out = exact != NULL ? exact : text;
    return 0;
}

int crpc_file_read(char **out, const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return CRPC_EINVAL;
    int rc = file_read_all(out, file);
    int saved = errno;
    fclose(file);
    errno = saved;
    return rc;
}

int options_copy(void *to, size_t to_size, const void *from)
{
    size_t size;

    memset(to, 0, to_size);
    if (from == NULL)
        return 0;
    memcpy(&size, from, sizeof(size));
    if (size < sizeof(size))
        return CRPC_EINVAL;
    memcpy(to, from, size < to_size ? size : to_size);
    return 0;
}

char *text_copy(const void *data, size_t size)
{
    char *copy = malloc(size + 1);
    if (copy == NULL)
        return NULL;
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

size_t text_cut(const char *text, size_t size_max)
{
    size_t size = strnlen(text, size_max + 1);
    if (size <= size_max)
        return size;
    size = size_max;
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    return size;
}

void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    int rc = pthread_cond_init(condition, &attributes);
    assert(rc == 0);
    pthread_condattr_destroy(&attributes);
}

bool condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                          const struct timespec *deadline)
{
    return pthread_cond_timedwait(condition, lock, deadline) != ETIMEDOUT;
}

struct timespec deadline_after_ms(uint32_t ms)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += (int32_t)(ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

int interval_ms(uint32_t option_ms, int default_ms)
{
    if (option_ms == 0)
        return default_ms;
    return option_ms > INT_MAX ? INT_MAX : (int)option_ms;
}
