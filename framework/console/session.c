/* SPDX-License-Identifier: Apache-2.0
 *
 * session.h
 */
#include "session.h"

#include <clock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct place {
    char id[SESSION_ID_SIZE]; /* "": free */
    struct session session;
    int64_t begun_ms, used_ms;
};

struct sessions {
    pthread_mutex_t lock;
    struct place places[SESSIONS_MAX];
};

struct sessions *sessions_new(void)
{
    struct sessions *sessions = calloc(1, sizeof(*sessions));
    if (sessions != NULL)
        pthread_mutex_init(&sessions->lock, NULL);
    return sessions;
}

void sessions_free(struct sessions *sessions)
{
    if (sessions == NULL)
        return;
    pthread_mutex_destroy(&sessions->lock);
    explicit_bzero(sessions->places, sizeof(sessions->places));
    free(sessions);
}

static bool make_id(char id[SESSION_ID_SIZE])
{
    unsigned char bytes[(SESSION_ID_SIZE - 1) / 2];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static void end(struct place *place)
{
    explicit_bzero(place, sizeof(*place));
}

static bool is_over(const struct place *place, int64_t now_ms)
{
    return now_ms - place->begun_ms > SESSION_AGE_MS_MAX ||
           now_ms - place->used_ms > SESSION_IDLE_MS_MAX;
}

/* A free one, or that which was not used for longest. */
static struct place *choose(struct sessions *sessions)
{
    struct place *best = &sessions->places[0];
    for (size_t i = 0; i < SESSIONS_MAX; i++) {
        struct place *place = &sessions->places[i];
        if (place->id[0] == '\0')
            return place;
        if (place->used_ms < best->used_ms)
            best = place;
    }
    return best;
}

/* Constant time: how long it takes does not tell how many characters were right. */
static bool is_same(const char *a, const char *b)
{
    unsigned char difference = 0;
    for (size_t i = 0; i < SESSION_ID_SIZE; i++)
        difference |= (unsigned char)(a[i] ^ b[i]);
    return difference == 0;
}

static struct place *find(struct sessions *sessions, const char *id)
{
    if (strlen(id) != SESSION_ID_SIZE - 1)
        return NULL;
    for (size_t i = 0; i < SESSIONS_MAX; i++)
        if (is_same(sessions->places[i].id, id))
            return &sessions->places[i];
    return NULL;
}

bool sessions_begin(struct sessions *sessions, const struct session *session,
                    char id[SESSION_ID_SIZE])
{
    const int64_t now_ms = clock_monotonic_ms();
    if (!make_id(id))
        return false;
    pthread_mutex_lock(&sessions->lock);
    struct place *place = choose(sessions);
    end(place);
    memcpy(place->id, id, SESSION_ID_SIZE);
    place->session = *session;
    place->begun_ms = place->used_ms = now_ms;
    pthread_mutex_unlock(&sessions->lock);
    return true;
}

bool sessions_find(struct sessions *sessions, const char *id, struct session *out)
{
    const int64_t now_ms = clock_monotonic_ms();
    pthread_mutex_lock(&sessions->lock);
    struct place *place = find(sessions, id);
    if (place != NULL && is_over(place, now_ms)) {
        end(place);
        place = NULL;
    }
    if (place != NULL) {
        place->used_ms = now_ms;
        *out = place->session;
    }
    pthread_mutex_unlock(&sessions->lock);
    return place != NULL;
}

void sessions_end(struct sessions *sessions, const char *id)
{
    pthread_mutex_lock(&sessions->lock);
    struct place *place = find(sessions, id);
    if (place != NULL)
        end(place);
    pthread_mutex_unlock(&sessions->lock);
}
