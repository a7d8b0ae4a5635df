/* SPDX-License-Identifier: Apache-2.0
 *
 * log.h. Calls the kernel itself: the shim stands in front of the library's functions.
 */
#include "log.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PARTS_MAX 1000

static size_t padding_of(size_t size)
{
    return (8 - size % 8) % 8;
}

__attribute__((noreturn)) static void fail(const char *what)
{
    perror(what);
    abort();
}

/* -- Writing ----------------------------------------------------------------------------------- */

int power_log_open(const char *path)
{
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        fail(path);
    return (int)fd;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void power_log_append(int log, struct power_record record, const struct iovec *parts, size_t count)
{
    static const char padding[8];
    struct iovec all[PARTS_MAX + 2] = {{&record, sizeof(record)}};
    if (count > PARTS_MAX)
        fail("a write in too many parts");
    record.magic = POWER_MAGIC;
    record.time_ms = now_ms();
    record.size = 0;
    for (size_t i = 0; i < count; i++) {
        all[i + 1] = parts[i];
        record.size += parts[i].iov_len;
    }
    all[count + 1] = (struct iovec){(void *)(uintptr_t)padding, padding_of(record.size)};
    long written = syscall(SYS_writev, log, all, count + 2);
    if (written != (long)(sizeof(record) + record.size + padding_of(record.size)))
        fail("the write log");
}

/* -- Reading ----------------------------------------------------------------------------------- */

/* Where the record that starts at `at` ends; 0 when it is none. */
static size_t end_of(const struct power_log *log, size_t at)
{
    struct power_record record;
    if (log->size - at < sizeof(record))
        return 0;
    memcpy(&record, log->data + at, sizeof(record));
    size_t left = log->size - at - sizeof(record);
    bool is_whole = record.magic == POWER_MAGIC && record.size <= left &&
                    padding_of(record.size) <= left - record.size;
    return is_whole ? at + sizeof(record) + record.size + padding_of(record.size) : 0;
}

static void find_records(struct power_log *log)
{
    size_t capacity = 0;
    for (size_t at = 0; at < log->size;) {
        if (log->count == capacity) {
            capacity = capacity == 0 ? 4096 : 2 * capacity;
            log->starts = realloc(log->starts, capacity * sizeof(*log->starts));
            if (log->starts == NULL)
                fail("realloc");
        }
        log->starts[log->count++] = at;
        at = end_of(log, at);
        if (at == 0)
            fail("the write log is damaged");
    }
}

void power_log_read(struct power_log *log, const char *path)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &file) != 0 || file.st_size == 0)
        fail(path);
    void *data = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        fail(path);
    close(fd);
    *log = (struct power_log){.data = data, .size = (size_t)file.st_size};
    find_records(log);
}

void power_log_free(struct power_log *log)
{
    munmap((void *)(uintptr_t)log->data, log->size);
    free(log->starts);
}

const struct power_record *power_log_at(const struct power_log *log, size_t i)
{
    return (const struct power_record *)(const void *)(log->data + log->starts[i]);
}

const unsigned char *power_log_bytes(const struct power_record *record)
{
    return (const unsigned char *)(record + 1);
}

uint64_t power_hash(const void *data, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return hash;
}
