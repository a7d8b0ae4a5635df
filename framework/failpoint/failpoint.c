/* SPDX-License-Identifier: Apache-2.0
 *
 * failpoint.h
 */
#include "failpoint.h"

#ifdef TERCET_FAILPOINTS
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The linker makes these for a section whose name is a C identifier. The entry below keeps the section from being empty. */
extern const struct failpoint *const __start_tercet_failpoints[];
extern const struct failpoint *const __stop_tercet_failpoints[];
static const struct failpoint *const section_exists __attribute__((section("tercet_failpoints"), used)) = NULL;

static pthread_once_t armed_once = PTHREAD_ONCE_INIT;
static char armed_name[64];
static atomic_int passes_left;

static void read_environment(void)
{
    const char *text = getenv("TERCET_FAILPOINT");
    if (text == NULL || strlen(text) >= sizeof(armed_name))
        return;
    strcpy(armed_name, text);
    char *colon = strchr(armed_name, ':');
    if (colon != NULL)
        *colon = '\0';
    passes_left = colon != NULL ? atoi(colon + 1) : 1;
}

void failpoint_pass(const struct failpoint *point)
{
    pthread_once(&armed_once, read_environment);
    if (armed_name[0] == '\0' || strcmp(armed_name, point->name) != 0)
        return;
    if (atomic_fetch_sub(&passes_left, 1) == 1)
        kill(getpid(), SIGKILL);
}

const char *failpoint_name(size_t i)
{
    size_t seen = 0;
    for (const struct failpoint *const *entry = __start_tercet_failpoints; entry < __stop_tercet_failpoints; entry++)
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
