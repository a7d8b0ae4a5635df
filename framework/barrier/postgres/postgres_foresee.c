/* SPDX-License-Identifier: Apache-2.0
 *
 * postgres.h: changes of rows that are carried out before they are asked for: one statement for all
 * rows that are inserted and one for each state that rows are moved to, in one round trip.
 */
#include <clock.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "postgres.h"

#define NUMBER_SIZE 21 /* of the longest, and a comma */
#define TEXT_SIZE (TERCET_BARRIER_CHANGES_MAX * (TERCET_GID_MAX + 3) + 3)

/* -- Arrays as the server reads them ----------------------------------------------------------- */

struct array {
    char text[TEXT_SIZE];
    size_t used;
};

/* What is in a gid needs no quoting; the quotes are for one that is NULL, in letters. */
static void add_text(struct array *array, const char *value)
{
    size_t room = sizeof(array->text) - array->used;
    array->used += (size_t)snprintf(array->text + array->used, room, "%c\"%s\"",
                                    array->used == 0 ? '{' : ',', value);
}

static void add_number(struct array *array, uint64_t value)
{
    size_t room = sizeof(array->text) - array->used;
    array->used += (size_t)snprintf(array->text + array->used, room, "%c%" PRIu64,
                                    array->used == 0 ? '{' : ',', value);
}

static const char *end_array(struct array *array)
{
    memcpy(array->text + array->used, "}", 2);
    return array->text;
}

/* -- Sending ----------------------------------------------------------------------------------- */

struct arrays {
    struct array gids, branches, numbers, states;
};

/* Adds the changes of this kind; whether there are any. */
static bool add_changes(struct arrays *arrays, const struct postgres *postgres,
                        enum tercet_barrier_state from, enum tercet_barrier_state to)
{
    arrays->gids.used = arrays->branches.used = arrays->numbers.used = arrays->states.used = 0;
    for (size_t i = 0; i < postgres->foreseen_count; i++) {
        const struct tercet_barrier_change *change = &postgres->foreseen[i].change;
        if (change->from != from || (to != TERCET_BARRIER_NONE && change->to != to))
            continue;
        add_text(&arrays->gids, change->key.gid);
        add_number(&arrays->branches, change->key.branch);
        add_number(&arrays->numbers, change->key.number);
        add_number(&arrays->states, (uint64_t)change->to);
    }
    return arrays->gids.used > 0;
}

static int send_inserts(struct postgres *postgres, struct arrays *arrays, const char *now_ms)
{
    if (!add_changes(arrays, postgres, TERCET_BARRIER_NONE, TERCET_BARRIER_NONE))
        return 0;
    const char *const values[] = {end_array(&arrays->gids), end_array(&arrays->branches),
                                  end_array(&arrays->numbers), end_array(&arrays->states), now_ms};
    return postgres_send(postgres, POSTGRES_INSERT_MANY, 5, values, NULL, NULL);
}

static int send_moves(struct postgres *postgres, struct arrays *arrays, const char *now_ms,
                      enum tercet_barrier_state to)
{
    char state[NUMBER_SIZE];
    if (!add_changes(arrays, postgres, TERCET_BARRIER_TRIED, to))
        return 0;
    snprintf(state, sizeof(state), "%d", (int)to);
    const char *const values[] = {end_array(&arrays->gids), end_array(&arrays->branches), state,
                                  now_ms};
    return postgres_send(postgres, POSTGRES_MOVE_MANY, 4, values, NULL, NULL);
}

/* The mark is asked for after the rows: it is not older than they are. */
static int send_all(struct postgres *postgres)
{
    char now_ms[NUMBER_SIZE];
    struct arrays *arrays = malloc(sizeof(*arrays));
    if (arrays == NULL)
        return TERCET_NOMEM;
    snprintf(now_ms, sizeof(now_ms), "%" PRId64, clock_wall_ms());
    int rc = send_inserts(postgres, arrays, now_ms);
    if (rc == 0)
        rc = send_moves(postgres, arrays, now_ms, TERCET_BARRIER_CONFIRMED);
    if (rc == 0)
        rc = send_moves(postgres, arrays, now_ms, TERCET_BARRIER_CANCELLED);
    if (rc == 0)
        rc = postgres_send_mark(postgres);
    free(arrays);
    return rc;
}

int postgres_foresee(void *driver, const struct tercet_barrier_change *changes, size_t count)
{
    struct postgres *postgres = driver;
    for (size_t i = 0; i < count; i++)
        postgres->foreseen[i] = (struct postgres_foreseen){.change = changes[i]};
    postgres->foreseen_count = count;
    postgres->foreseen_next = 0;
    int rc = send_all(postgres);
    if (rc == 0)
        rc = postgres_sync(postgres);
    if (rc == 0 && !postgres->has_mark)
        rc = postgres_fail(postgres, "tercet_barrier_mark", "its row is missing");
    postgres->foreseen_mark = postgres->number;
    return rc;
}

/* -- What came of it --------------------------------------------------------------------------- */

/* That with this key, after the one that was found last: both are in the order of the calls. */
static struct postgres_foreseen *find(struct postgres *postgres, bool inserts, const char *gid,
                                      uint32_t branch)
{
    for (size_t i = 0; i < postgres->foreseen_count; i++) {
        size_t at = (postgres->foreseen_next + i) % postgres->foreseen_count;
        struct postgres_foreseen *foreseen = &postgres->foreseen[at];
        if ((foreseen->change.from == TERCET_BARRIER_NONE) == inserts &&
            foreseen->change.key.branch == branch && strcmp(foreseen->change.key.gid, gid) == 0) {
            postgres->foreseen_next = at + 1;
            return foreseen;
        }
    }
    return NULL;
}

void postgres_note_foreseen(struct postgres *postgres, bool was_inserted, const PGresult *result)
{
    for (int i = 0; i < PQntuples(result); i++) {
        struct postgres_foreseen *foreseen =
            find(postgres, was_inserted, PQgetvalue(result, i, 0),
                 (uint32_t)strtoul(PQgetvalue(result, i, 1), NULL, 10));
        if (foreseen != NULL)
            foreseen->is_done = true;
    }
}

bool postgres_take_foreseen(struct postgres *postgres, const struct tercet_barrier_change *change,
                            bool *has_changed)
{
    struct postgres_foreseen *foreseen =
        find(postgres, change->from == TERCET_BARRIER_NONE, change->key.gid, change->key.branch);
    if (foreseen == NULL || foreseen->is_taken || foreseen->change.to != change->to)
        return false;
    foreseen->is_taken = true;
    *has_changed = foreseen->is_done;
    return true;
}

/* -- Taking back ------------------------------------------------------------------------------- */

static int take_back(struct postgres *postgres, const struct tercet_barrier_change *change)
{
    if (change->from == TERCET_BARRIER_NONE)
        return postgres_send_remove(postgres, &change->key);
    const struct tercet_barrier_change back = {
        .key = change->key, .from = change->to, .to = change->from};
    return postgres_send_change(postgres, &back);
}

int postgres_forgo(void *driver)
{
    struct postgres *postgres = driver;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < postgres->foreseen_count; i++)
        if (postgres->foreseen[i].is_done && !postgres->foreseen[i].is_taken)
            rc = take_back(postgres, &postgres->foreseen[i].change);
    postgres->foreseen_count = 0;
    return rc;
}
