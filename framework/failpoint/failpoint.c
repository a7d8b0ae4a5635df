/* SPDX-License-Identifier: Apache-2.0
 *
 * failpoint.h
 */
#include "failpoint.h"

#ifdef TERCET_FAILPOINTS
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The linker makes these for a section whose name is a C identifier. The entry below keeps the
 * section from being empty. */
extern const struct failpoint *const __start_tercet_failpoints[];
extern const struct failpoint *const __stop_tercet_failpoints[];
static const struct failpoint *const section_exists
    __attribute__((section("tercet_failpoints"), used)) = NULL;

static pthread_once_t armed_once = PTHREAD_ONCE_INIT;
static char armed_name[64];
static atomic_int passes_left;
static int linger_ms;
static void (*watcher)(const char *name);

void failpoint_watch(void (*watch)(const char *name))
{
    watcher = watch;
}

static void read_environment(void)
{
    const char *text = getenv("TERCET_FAILPOINT");
    if (text == NULL || strlen(text) >= sizeof(armed_name))
        return;
    strcpy(armed_name, text);
    char *count = strchr(armed_name, ':');
    char *linger = count != NULL ? strchr(count + 1, ':') : NULL;
    if (count != NULL)
        *count = '\0';
    passes_left = count != NULL ? atoi(count + 1) : 1;
    linger_ms = linger != NULL ? atoi(linger + 1) : 0;
}

/* Says where, so that a test can wait for it, and waits while the other threads go on. */
static void linger(const char *name)
{
    const struct timespec time = {.tv_sec = linger_ms / 1000,
                                  .tv_nsec = linger_ms % 1000 * 1000000L};
    char line[96];
    int size = snprintf(line, sizeof(line), "failpoint %s\n", name);
    if (write(STDERR_FILENO, line, (size_t)size) == size)
        nanosleep(&time, NULL);
}

void failpoint_pass(const struct failpoint *point)
{
    if (watcher != NULL) {
        watcher(point->name);
        return;
    }
    pthread_once(&armed_once, read_environment);
    if (armed_name[0] == '\0' || strcmp(armed_name, point->name) != 0)
        return;
    if (atomic_fetch_sub(&passes_left, 1) != 1)
        return;
    linger(point->name);
    kill(getpid(), SIGKILL);
}

const char *failpoint_name(size_t i)
{
    size_t seen = 0;
    for (const struct failpoint *const *entry = __start_tercet_failpoints;
         entry < __stop_tercet_failpoints; entry++)
        if (*entry != NULL && seen++ == i)
            return (*entry)->name;
    return NULL;
}

#else

const char *failpoint_name(size_t i)
{
    (void)i;
    return NULL;
}
#endif
