/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h: what all roles have in common.
 */
#include "bench.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

struct shared *shared_map(int fd)
{
    void *map = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_NORESERVE, fd, 0);
    return map == MAP_FAILED ? NULL : map;
}

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool seq_of_gid(const struct shared *shared, const char *gid, uint64_t *seq)
{
    size_t length = strlen(shared->run_id);
    if (strncmp(gid, shared->run_id, length) != 0 || gid[length] != '-')
        return false;
    *seq = strtoull(gid + length + 1, NULL, 10);
    return *seq < SEQ_MAX;
}

void gid_of_seq(char *gid, size_t size, const struct shared *shared, uint64_t seq)
{
    snprintf(gid, size, "%s-%012" PRIu64, shared->run_id, seq);
}

void role_ok(const char *text)
{
    printf(text[0] != '\0' ? "ok %s\n" : "ok%s\n", text);
    fflush(stdout);
}

bool role_word(char *word, size_t size)
{
    if (fgets(word, (int)size, stdin) == NULL)
        return false;
    word[strcspn(word, "\n")] = '\0';
    return true;
}

bool role_wait(const char *word)
{
    char line[WORD_SIZE];
    return role_word(line, sizeof(line)) && strcmp(line, word) == 0;
}

int role_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    fflush(stdout);
    return 1;
}
