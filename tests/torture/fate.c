/* SPDX-License-Identifier: Apache-2.0
 *
 * fate.h
 */
#include "fate.h"

#include "draw.h"

#include <inttypes.h>
#include <pthread.h>

static struct {
    pthread_mutex_t lock; /* over all below */
    uint64_t state;
    bool is_storm;
    /* of a thousand records, those below the limit and above the one before */
    uint64_t limits[FATE_COUNT];
    uint64_t counts[FATE_COUNT];
} fates = {.lock = PTHREAD_MUTEX_INITIALIZER};

void fate_seed(uint64_t seed)
{
    fates.state = seed;
}

uint64_t fate_random(uint64_t limit)
{
    pthread_mutex_lock(&fates.lock);
    uint64_t drawn = draw(&fates.state, limit);
    pthread_mutex_unlock(&fates.lock);
    return drawn;
}

void fate_storm(void)
{
    static const uint64_t most[FATE_COUNT] = {
        [FATE_DROPPED] = 60, [FATE_TWICE] = 200, [FATE_LATE] = 200, [FATE_HELD] = 200};
    pthread_mutex_lock(&fates.lock);
    uint64_t limit = 0;
    for (int fate = FATE_DROPPED; fate <= FATE_HELD; fate++) {
        limit += draw(&fates.state, most[fate]);
        fates.limits[fate] = limit;
    }
    for (int fate = 0; fate < FATE_COUNT; fate++)
        fates.counts[fate] = 0;
    fates.is_storm = true;
    pthread_mutex_unlock(&fates.lock);
}

void fate_calm(void)
{
    pthread_mutex_lock(&fates.lock);
    fates.is_storm = false;
    pthread_mutex_unlock(&fates.lock);
}

bool fate_is_storm(void)
{
    pthread_mutex_lock(&fates.lock);
    bool is_storm = fates.is_storm;
    pthread_mutex_unlock(&fates.lock);
    return is_storm;
}

enum fate fate_of_record(bool has_late)
{
    int fate = FATE_PASSED;
    pthread_mutex_lock(&fates.lock);
    if (fates.is_storm) {
        uint64_t drawn = draw(&fates.state, 1000);
        for (fate = FATE_DROPPED; fate <= FATE_HELD && drawn >= fates.limits[fate]; fate++)
            continue;
        if (fate > FATE_HELD || (fate == FATE_LATE && !has_late))
            fate = FATE_PASSED;
    }
    fates.counts[fate]++;
    pthread_mutex_unlock(&fates.lock);
    return (enum fate)fate;
}

void fate_count(enum fate fate)
{
    pthread_mutex_lock(&fates.lock);
    fates.counts[fate]++;
    pthread_mutex_unlock(&fates.lock);
}

void fate_print(FILE *file)
{
    static const char *const names[] = {
#define FATE_NAME(name, text) [name] = text,
        FATE_MAP(FATE_NAME)
#undef FATE_NAME
    };
    pthread_mutex_lock(&fates.lock);
    for (int fate = 0; fate < FATE_COUNT; fate++)
        fprintf(file, "%s%s=%" PRIu64, fate == 0 ? "" : " ", names[fate], fates.counts[fate]);
    pthread_mutex_unlock(&fates.lock);
}
