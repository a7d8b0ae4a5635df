/* SPDX-License-Identifier: Apache-2.0
 *
 * scrub.h
 */
#include "scrub.h"

#include "record.h"

#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STEP_RECORDS 256  /* read with one read transaction, at most, */
#define STEP_NS 2000000   /* or those that take so long: others may wait for it */
#define STEP_ENDS INT_MAX /* what a callback of the store returns to end the step */
#define STEP_TEXT_SIZE 128u

static const char *const part_names[] = {"unresolved", "resolved", "others", "index"};

const char *scrub_part_name(enum scrub_part part)
{
    size_t i = 0;
    while ((1u << i) < (unsigned)part)
        i++;
    return part_names[i];
}

static void damaged(struct scrub *scrub, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void damaged(struct scrub *scrub, const char *format, ...)
{
    char text[TERCET_STORE_TEXT_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    scrub->counts.damages++;
    scrub->on_damage(text, scrub->ctx);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void tell_step(const struct scrub *scrub, enum scrub_part part, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void tell_step(const struct scrub *scrub, enum scrub_part part, const char *format, ...)
{
    char text[STEP_TEXT_SIZE];
    va_list values;
    if (scrub->on_step == NULL)
        return;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    scrub->on_step(part, text, scrub->ctx);
}

/* Between two steps the store is left to others for as long as the last one took. */
static bool pause_after(const struct scrub *scrub, int64_t began_ns)
{
    int64_t took_ns = now_ns() - began_ns;
    struct timespec pause = {.tv_sec = took_ns / 1000000000, .tv_nsec = took_ns % 1000000000};
    nanosleep(&pause, NULL);
    return scrub->goes_on(scrub->ctx);
}

/* -- Unresolved transactions ------------------------------------------------------------------- */

struct live_step {
    struct scrub *scrub;
    uint64_t number; /* the transaction whose records come; 0: none yet */
    bool is_whole;   /* its state is, and has so many branches: */
    size_t branch_count, branches_seen;
    size_t records; /* in this step */
    int64_t began_ns;
};

static void end_transaction(struct live_step *step)
{
    if (step->number != 0 && step->is_whole && step->branch_count != step->branches_seen)
        damaged(step->scrub,
                "transaction number %" PRIu64 " has %zu branches by its state, and records of %zu",
                step->number, step->branch_count, step->branches_seen);
}

static void see_state(struct live_step *step, uint64_t number, const void *value, size_t size)
{
    Tercet__Store__V1__State *state =
        (Tercet__Store__V1__State *)record_decode(RECORD_STATE, value, size);
    step->scrub->counts.live++;
    step->is_whole = state != NULL;
    if (state == NULL) {
        damaged(step->scrub, "the state of transaction number %" PRIu64 " is damaged", number);
        return;
    }
    step->branch_count = state->n_branches;
    crpc_message_free(&state->base);
}

static int see_live(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    struct live_step *step = ctx;
    if (number != step->number) {
        end_transaction(step);
        step->number = number;
        step->branch_count = step->branches_seen = 0;
        step->is_whole = false;
        if (step->records >= STEP_RECORDS ||
            (step->records > 0 && now_ns() - step->began_ns > STEP_NS))
            return STEP_ENDS; /* the next step begins with it */
        if (part != 0)
            damaged(step->scrub, "transaction number %" PRIu64 " has branches and no state",
                    number);
    }
    step->records++;
    if (part == 0) {
        see_state(step, number, value, size);
        return 0;
    }
    step->scrub->counts.branches++;
    step->branches_seen++;
    if (!record_is_whole(RECORD_BRANCH, value, size))
        damaged(step->scrub, "branch %" PRIu32 " of transaction number %" PRIu64 " is damaged",
                part, number);
    return 0;
}

static int scrub_live(struct scrub *scrub)
{
    uint64_t from = 1;
    for (;;) {
        struct live_step step = {.scrub = scrub, .began_ns = now_ns()};
        tell_step(scrub, SCRUB_UNRESOLVED, "unresolved transactions from number %" PRIu64 " on",
                  from);
        int rc = store_scan(scrub->store, scrub->shard, from, UINT64_MAX, see_live, &step);
        if (rc == 0)
            end_transaction(&step);
        if (rc < 0 && rc != TERCET_STORE_NOMEM)
            damaged(scrub, "unresolved transactions after number %" PRIu64 " cannot be read: %s",
                    step.number, tercet_store_strerror(rc));
        if (rc != STEP_ENDS)
            return rc == TERCET_STORE_NOMEM ? rc : 0;
        from = step.number;
        if (!pause_after(scrub, step.began_ns))
            return 1;
    }
}

/* -- Those that are over ----------------------------------------------------------------------- */

struct over {
    uint64_t number;
    char gid[TERCET_STORE_GID_MAX + 1];
};

struct over_step {
    struct scrub *scrub;
    int64_t began_ns;
    size_t records; /* in this step, and those of them that are whole: */
    size_t count;
    struct over seen[STEP_RECORDS];
};

static int see_resolved(uint64_t number, const void *value, size_t size, void *ctx)
{
    struct over_step *step = ctx;
    if (step->records > 0 && now_ns() - step->began_ns > STEP_NS)
        return STEP_ENDS; /* the next step begins with it */
    step->records++;
    Tercet__Store__V1__Resolved *record =
        (Tercet__Store__V1__Resolved *)record_decode(RECORD_RESOLVED, value, size);
    step->scrub->counts.resolved++;
    bool is_whole = record != NULL && record->state != NULL &&
                    record->n_actions == record->state->n_branches &&
                    strlen(record->state->gid) <= TERCET_STORE_GID_MAX;
    if (is_whole) {
        struct over *over = &step->seen[step->count++];
        over->number = number;
        strcpy(over->gid, record->state->gid);
    } else {
        damaged(step->scrub, "the record of resolved transaction number %" PRIu64 " is damaged",
                number);
    }
    if (record != NULL)
        crpc_message_free(&record->base);
    return 0;
}

/* Whether it is still there: its bucket may have been dropped since it was read. */
static bool is_there(struct scrub *scrub, uint64_t number)
{
    struct store_value value;
    int rc = store_find_wait(scrub->store, scrub->shard, NULL, &number, &value);
    if (rc == 0)
        store_value_free(&value);
    return rc != TERCET_STORE_NOT_FOUND;
}

static bool is_of(const char *gid, const struct store_value *value)
{
    Tercet__Store__V1__Resolved *record =
        (Tercet__Store__V1__Resolved *)record_decode(RECORD_RESOLVED, value->data, value->size);
    bool is_of = record != NULL && record->state != NULL && strcmp(record->state->gid, gid) == 0;
    if (record != NULL)
        crpc_message_free(&record->base);
    return is_of;
}

static void find_again(struct scrub *scrub, const struct over *over)
{
    struct store_value value;
    uint64_t number = 0;
    int rc = store_find_wait(scrub->store, scrub->shard, over->gid, &number, &value);
    bool is_its_own = rc != 0 || is_of(over->gid, &value);
    if (rc == 0)
        store_value_free(&value);
    if (!is_its_own)
        damaged(scrub, "under the gid of transaction %s (number %" PRIu64 ") is another's record",
                over->gid, over->number);
    else if (rc == 0 && number < over->number)
        damaged(scrub, "the index has number %" PRIu64 " for transaction %s, which is %" PRIu64,
                number, over->gid, over->number);
    else if (rc == TERCET_STORE_NOT_FOUND && is_there(scrub, over->number))
        damaged(scrub, "transaction %s (number %" PRIu64 ") is not in the index", over->gid,
                over->number);
    else if (rc != 0 && rc != TERCET_STORE_NOT_FOUND)
        damaged(scrub, "transaction %s (number %" PRIu64 ") cannot be found by its gid: %s",
                over->gid, over->number, tercet_store_strerror(rc));
}

/* What cannot be read is passed over to the next older bucket; false: there is none. */
static bool pass_over(struct scrub *scrub, struct tercet_store_cursor *cursor, int rc)
{
    bool had_begun = cursor->number > 1;
    damaged(scrub, "resolved transactions below number %" PRIu64 " cannot be read: %s",
            cursor->number, tercet_store_strerror(rc));
    cursor->number = 1;
    return had_begun;
}

static int scrub_resolved(struct scrub *scrub, struct over_step *step)
{
    struct tercet_store_cursor cursor = {0};
    for (;;) {
        *step = (struct over_step){.scrub = scrub, .began_ns = now_ns()};
        if (cursor.number == 0)
            tell_step(scrub, SCRUB_RESOLVED, "the newest resolved transactions");
        else
            tell_step(scrub, SCRUB_RESOLVED, "resolved transactions below number %" PRIu64,
                      cursor.number);
        int rc = store_page(scrub->store, scrub->shard, &cursor, STEP_RECORDS, see_resolved, step);
        for (size_t i = 0; i < step->count; i++)
            find_again(scrub, &step->seen[i]);
        if (rc == 0 || rc == TERCET_STORE_NOMEM || (rc < 0 && !pass_over(scrub, &cursor, rc)))
            return rc == TERCET_STORE_NOMEM ? rc : 0;
        if (!pause_after(scrub, step->began_ns))
            return 1;
    }
}

/* -- The rest ---------------------------------------------------------------------------------- */

static int see_meta(const char *name, const void *value, size_t size, void *ctx)
{
    struct scrub *scrub = ctx;
    scrub->counts.meta++;
    /* each says itself of what type it is */
    if (size < RECORD_HEAD_SIZE || !record_is_whole(((const uint8_t *)value)[1], value, size))
        damaged(scrub, "the record \"%s\" is damaged", name);
    return 0;
}

static void see_misfit(const char *text, void *ctx)
{
    damaged(ctx, "%s", text);
}

/* An error of the store is a damage, but for a lack of memory. */
static int judge(struct scrub *scrub, const char *what, int rc)
{
    if (rc < 0 && rc != TERCET_STORE_NOMEM)
        damaged(scrub, "%s cannot be read: %s", what, tercet_store_strerror(rc));
    return rc == TERCET_STORE_NOMEM ? rc : 0;
}

static int scrub_others(struct scrub *scrub)
{
    tell_step(scrub, SCRUB_OTHERS, "registered participants");
    return judge(scrub, "registered participants",
                 store_meta_scan(scrub->store, scrub->shard, see_meta, scrub));
}

static int scrub_index(struct scrub *scrub)
{
    tell_step(scrub, SCRUB_INDEX, "the buckets");
    return judge(scrub, "the buckets", store_check(scrub->store, scrub->shard, see_misfit, scrub));
}

int scrub_run(struct scrub *scrub)
{
    unsigned parts = scrub->parts != 0 ? scrub->parts : SCRUB_ALL;
    struct over_step *step = malloc(sizeof(*step));
    if (step == NULL)
        return TERCET_STORE_NOMEM;
    scrub->counts = (struct scrub_counts){0};
    int rc = 0;
    if (parts & SCRUB_UNRESOLVED)
        rc = scrub_live(scrub);
    if (rc == 0 && parts & SCRUB_RESOLVED)
        rc = scrub_resolved(scrub, step);
    if (rc == 0 && parts & SCRUB_OTHERS)
        rc = scrub_others(scrub);
    if (rc == 0 && parts & SCRUB_INDEX)
        rc = scrub_index(scrub);
    free(step);
    return rc;
}
