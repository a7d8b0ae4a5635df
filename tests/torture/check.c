/* SPDX-License-Identifier: Apache-2.0
 *
 * check.h: reading the logs.
 */
#include "check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must_realloc(void *old, size_t size)
{
    void *new = realloc(old, size);
    if (new == NULL)
        abort();
    return new;
}

/* -- Transactions ------------------------------------------------------------------------------ */

/* FNV-1a (Fowler, Noll and Vo). */
static uint64_t hash(const char *gid)
{
    uint64_t value = 0xcbf29ce484222325u;
    for (; *gid != '\0'; gid++)
        value = (value ^ (uint8_t)*gid) * 0x100000001b3u;
    return value;
}

/* Where it is, or where it belongs. */
static uint32_t *find_place(const struct story *story, const char *gid)
{
    size_t at = hash(gid) % story->place_count;
    while (story->places[at] != 0 &&
           strcmp(story->transactions[story->places[at] - 1].gid, gid) != 0)
        at = (at + 1) % story->place_count;
    return &story->places[at];
}

static void grow(struct story *story)
{
    story->room = story->room == 0 ? 4096 : 2 * story->room;
    story->transactions =
        must_realloc(story->transactions, story->room * sizeof(*story->transactions));
    story->place_count = 2 * story->room;
    free(story->places);
    story->places = calloc(story->place_count, sizeof(*story->places));
    if (story->places == NULL)
        abort();
    for (size_t i = 0; i < story->count; i++)
        *find_place(story, story->transactions[i].gid) = (uint32_t)i + 1;
}

struct transaction *story_find(struct story *story, const char *gid)
{
    if (story->count == story->room)
        grow(story);
    uint32_t *place = find_place(story, gid);
    if (*place == 0) {
        struct transaction *transaction = &story->transactions[story->count++];
        memset(transaction, 0, sizeof(*transaction));
        snprintf(transaction->gid, sizeof(transaction->gid), "%s", gid);
        *place = (uint32_t)story->count;
    }
    return &story->transactions[*place - 1];
}

void story_add(struct transaction *transaction, const struct observation *observation)
{
    if (transaction->count == transaction->room) {
        transaction->room = transaction->room == 0 ? 8 : 2 * transaction->room;
        transaction->observations = must_realloc(
            transaction->observations, transaction->room * sizeof(*transaction->observations));
    }
    transaction->observations[transaction->count++] = *observation;
}

uint64_t story_answers(const struct story *story)
{
    uint64_t count = 0;
    for (size_t i = 0; i < story->count; i++)
        count += story->transactions[i].count;
    return count;
}

void story_free(struct story *story)
{
    for (size_t i = 0; i < story->count; i++)
        free(story->transactions[i].observations);
    free(story->transactions);
    free(story->places);
}

/* -- Lines ------------------------------------------------------------------------------------- */

/* false: there is no such code. */
static bool read_code(int *out, const char *name)
{
    for (*out = 0; *out >= TERCET_INTERNAL; --*out)
        if (strcmp(tercet_error_name(*out), name) == 0)
            return true;
    return false;
}

static bool read_state(int *out, const char *name)
{
    if (strcmp(name, "-") == 0) {
        *out = 0;
        return true;
    }
    for (*out = TERCET_TRYING; *out <= TERCET_CANCELLED; ++*out)
        if (strcmp(tercet_state_name(*out), name) == 0)
            return true;
    return false;
}

static bool read_line(struct story *story, const char *line)
{
    struct observation seen = {0};
    char gid[TERCET_GID_MAX + 1], code[32], state[16];
    int64_t time_us;
    if (sscanf(line, "asks %64s %11s %" SCNd64, gid, seen.op, &time_us) == 3) {
        story_find(story, gid)->is_asked = true;
        return true;
    }
    if (sscanf(line, "told %64s %11s %31s %15s %" SCNd64 " %" SCNd64, gid, seen.op, code, state,
               &seen.asked_us, &seen.told_us) != 6 ||
        !read_code(&seen.code, code) || !read_state(&seen.state, state))
        return false;
    story_add(story_find(story, gid), &seen);
    return true;
}

void story_read(struct story *story, const char *path)
{
    char line[512];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    for (int number = 1; fgets(line, sizeof(line), file) != NULL && strchr(line, '\n') != NULL;
         number++) {
        if (read_line(story, line))
            continue;
        fprintf(stderr, "torture_check: %s:%d is not a line of a history\n", path, number);
        exit(2);
    }
    fclose(file);
}
