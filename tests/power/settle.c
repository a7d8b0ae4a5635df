/* SPDX-License-Identifier: Apache-2.0
 *
 * settle.h
 */
#include "settle.h"

#include "log.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned char *read_file(const char *path, size_t *size)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &file) != 0)
        abort();
    unsigned char *data = malloc((size_t)file.st_size + 1);
    if (data == NULL || read(fd, data, (size_t)file.st_size) != file.st_size)
        abort();
    close(fd);
    *size = (size_t)file.st_size;
    return data;
}

static void amend(int log, const struct power_record *unfinished, const char *path)
{
    size_t size;
    unsigned char *data = read_file(path, &size);
    size_t begin = unfinished->offset < size ? unfinished->offset : size;
    size_t end = begin + unfinished->size < size ? begin + unfinished->size : size;
    struct power_record record = {
        .kind = POWER_AMEND, .file = unfinished->file, .call = unfinished->call};
    struct iovec part = {data + begin, unfinished->kind == POWER_WRITE ? end - begin : 0};
    record.offset = begin;
    record.value = (int64_t)size;
    power_log_append(log, record, &part, 1);
    free(data);
}

static void check(int log, const char *name, const char *path)
{
    size_t size;
    unsigned char *data = read_file(path, &size);
    struct power_record record = {
        .kind = POWER_CHECK, .offset = size, .value = (int64_t)power_hash(data, size)};
    struct iovec part = {(void *)(uintptr_t)name, strlen(name)};
    power_log_append(log, record, &part, 1);
    free(data);
}

/* The write that a killed process was in; it has been made, or not, or in part. */
static const struct power_record *find_unfinished(const struct power_log *log, pid_t pid)
{
    const struct power_record *found = NULL;
    for (size_t i = 0; i < log->count; i++) {
        const struct power_record *record = power_log_at(log, i);
        if (record->call >> 32 != (uint64_t)pid)
            continue;
        if (record->kind == POWER_WRITE || record->kind == POWER_SIZE)
            found = record;
        else if (record->kind == POWER_DONE)
            found = NULL;
    }
    return found;
}

void settle_files(int log, const char *log_path, const char *folder, const char *const *names,
                  pid_t pid)
{
    struct power_log written;
    struct stat file;
    char path[PATH_MAX];
    power_log_read(&written, log_path);
    const struct power_record *unfinished = find_unfinished(&written, pid);
    for (; *names != NULL; names++) {
        int size = snprintf(path, sizeof(path), "%s/%s", folder, *names);
        if (size < 0 || size >= PATH_MAX || stat(path, &file) != 0)
            continue;
        if (unfinished != NULL && unfinished->file == (uint64_t)file.st_ino + 1)
            amend(log, unfinished, path);
        check(log, *names, path);
    }
    power_log_free(&written);
}
