/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier's driver in memory: rows in a search tree, a log of what to undo, and a heap of the
 * rows that may be collected, lowest number first. Whatever needs memory is done before anything
 * changes.
 */
#include <assert.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"

struct row {
    struct tercet_gid gid;
    uint32_t branch;
    uint64_t number;
    enum tercet_barrier_state state;
    void *reply;
    size_t reply_size;
};

struct change {
    struct row *row;
    enum tercet_barrier_state before;
    enum tercet_barrier_state after;
};

struct memory {
    void *tree; /* tsearch */
    size_t row_count;
    uint64_t mark;
    /* binary heap by number: confirmed and cancelled rows, as of the last commit */
    struct row **ended;
    size_t ended_count;
    size_t ended_capacity;

    /* The open transaction. */
    struct change *changes;
    size_t change_count;
    size_t change_capacity;
    size_t savepoint; /* a change_count */
    uint64_t mark_before;
    uint64_t collect_mark;
    uint32_t collect_rows_max;
};

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = strcmp(x->gid.text, y->gid.text);
    return order != 0 ? order : (x->branch > y->branch) - (x->branch < y->branch);
}

static void free_row(void *item)
{
    struct row *row = item;
    free(row->reply);
    free(row);
}

static struct row *find(const struct memory *memory, const struct tercet_barrier_key *key)
{
    struct row wanted = {.branch = key->branch};
    int rc = tercet_gid_set(&wanted.gid, key->gid);
    assert(rc == 0);
    (void)rc;
    struct row *const *found = tfind(&wanted, &memory->tree, compare_rows);
    return found != NULL ? *found : NULL;
}

/* Makes room for one more element in an array of capacity elements of the given size. */
static bool grow(void **array, size_t *capacity, size_t count, size_t element_size)
{
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    if (count < *capacity)
        return true;
    void *bigger = realloc(*array, wanted * element_size);
    if (bigger == NULL)
        return false;
    *array = bigger;
    *capacity = wanted;
    return true;
}

static bool reserve_change(struct memory *memory)
{
    void *changes = memory->changes;
    bool ok =
        grow(&changes, &memory->change_capacity, memory->change_count, sizeof(*memory->changes));
    memory->changes = changes;
    return ok;
}

/* Every row may come to the heap one day. */
static bool reserve_ended(struct memory *memory)
{
    void *ended = memory->ended;
    bool ok = grow(&ended, &memory->ended_capacity, memory->row_count, sizeof(*memory->ended));
    memory->ended = ended;
    return ok;
}

/* -- The heap ---------------------------------------------------------------------------------- */

static void ended_push(struct memory *memory, struct row *row)
{
    assert(memory->ended_count < memory->ended_capacity);
    size_t i = memory->ended_count++;
    for (size_t parent; i > 0; i = parent) {
        parent = (i - 1) / 2;
        if (memory->ended[parent]->number <= row->number)
            break;
        memory->ended[i] = memory->ended[parent];
    }
    memory->ended[i] = row;
}

static struct row *ended_pop(struct memory *memory)
{
    struct row *first = memory->ended[0];
    struct row *moved = memory->ended[--memory->ended_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < memory->ended_count; i = child) {
        if (child + 1 < memory->ended_count &&
            memory->ended[child + 1]->number < memory->ended[child]->number)
            child++;
        if (moved->number <= memory->ended[child]->number)
            break;
        memory->ended[i] = memory->ended[child];
    }
    memory->ended[i] = moved;
    return first;
}

/* -- The transaction --------------------------------------------------------------------------- */

static int memory_begin(void *driver)
{
    struct memory *memory = driver;
    memory->change_count = 0;
    memory->savepoint = 0;
    memory->mark_before = memory->mark;
    memory->collect_mark = 0;
    return 0;
}

static void remove_row(struct memory *memory, struct row *row)
{
    tdelete(row, &memory->tree, compare_rows);
    memory->row_count--;
    free_row(row);
}

static void collect_now(struct memory *memory)
{
    for (uint32_t i = 0; i < memory->collect_rows_max && memory->ended_count > 0; i++) {
        if (memory->ended[0]->number > memory->collect_mark)
            break;
        remove_row(memory, ended_pop(memory));
    }
}

static int memory_commit(void *driver)
{
    struct memory *memory = driver;
    for (size_t i = 0; i < memory->change_count; i++) {
        const struct change *change = &memory->changes[i];
        if (change->after != TERCET_BARRIER_TRIED && change->row->number != 0)
            ended_push(memory, change->row);
    }
    memory->change_count = 0;
    memory->mark_before = memory->mark;
    collect_now(memory);
    return 0;
}

/* Undoes all changes past the first `count`, the newest first. */
static void undo_changes(struct memory *memory, size_t count)
{
    while (memory->change_count > count) {
        struct change *change = &memory->changes[--memory->change_count];
        if (change->before == TERCET_BARRIER_NONE)
            remove_row(memory, change->row);
        else
            change->row->state = change->before;
    }
}

static void memory_rollback(void *driver)
{
    struct memory *memory = driver;
    undo_changes(memory, 0);
    memory->mark = memory->mark_before;
}

static int memory_savepoint(void *driver)
{
    struct memory *memory = driver;
    memory->savepoint = memory->change_count;
    return 0;
}

static int memory_release(void *driver)
{
    (void)driver;
    return 0;
}

static int memory_rollback_to(void *driver)
{
    struct memory *memory = driver;
    undo_changes(memory, memory->savepoint);
    return 0;
}

/* -- Rows -------------------------------------------------------------------------------------- */

static struct row *new_row(const struct tercet_barrier_key *key, enum tercet_barrier_state state)
{
    struct row *row = calloc(1, sizeof(*row));
    if (row == NULL)
        return NULL;
    int rc = tercet_gid_set(&row->gid, key->gid);
    assert(rc == 0);
    (void)rc;
    row->branch = key->branch;
    row->number = key->number;
    row->state = state;
    return row;
}

static int memory_insert(void *driver, const struct tercet_barrier_key *key,
                         enum tercet_barrier_state state, bool *inserted)
{
    struct memory *memory = driver;
    *inserted = false;
    if (find(memory, key) != NULL)
        return 0;
    struct row *row = new_row(key, state);
    if (row == NULL || !reserve_change(memory) || !reserve_ended(memory) ||
        tsearch(row, &memory->tree, compare_rows) == NULL) {
        free(row);
        return TERCET_NOMEM;
    }
    memory->changes[memory->change_count++] =
        (struct change){.row = row, .before = TERCET_BARRIER_NONE, .after = state};
    memory->row_count++;
    *inserted = true;
    return 0;
}

static int memory_move(void *driver, const struct tercet_barrier_key *key,
                       enum tercet_barrier_state from, enum tercet_barrier_state to, bool *moved)
{
    struct memory *memory = driver;
    struct row *row = find(memory, key);
    *moved = false;
    if (row == NULL || row->state != from)
        return 0;
    if (!reserve_change(memory))
        return TERCET_NOMEM;
    memory->changes[memory->change_count++] =
        (struct change){.row = row, .before = from, .after = to};
    row->state = to;
    *moved = true;
    return 0;
}

static int copy_bytes(void **out, const void *data, size_t size)
{
    void *copy = malloc(size);
    if (copy == NULL)
        return TERCET_NOMEM;
    memcpy(copy, data, size);
    *out = copy;
    return 0;
}

static int memory_reply_save(void *driver, const struct tercet_barrier_key *key,
                             struct tercet_bytes reply)
{
    struct row *row = find(driver, key);
    assert(row != NULL && row->reply == NULL);
    int rc = copy_bytes(&row->reply, reply.data, reply.size);
    if (rc == 0)
        row->reply_size = reply.size;
    return rc;
}

static int memory_read(void *driver, const struct tercet_barrier_key *key,
                       struct tercet_barrier_row *out)
{
    const struct row *row = find(driver, key);
    *out = (struct tercet_barrier_row){.state = TERCET_BARRIER_NONE};
    if (row == NULL)
        return 0;
    if (row->reply_size > 0 && copy_bytes(&out->reply, row->reply, row->reply_size) != 0)
        return TERCET_NOMEM;
    out->state = row->state;
    out->reply_size = row->reply_size;
    return 0;
}

/* -- The mark ---------------------------------------------------------------------------------- */

static int memory_mark_read(void *driver, uint64_t *mark)
{
    const struct memory *memory = driver;
    *mark = memory->mark;
    return 0;
}

static int memory_mark_raise(void *driver, uint64_t mark)
{
    struct memory *memory = driver;
    memory->mark = mark;
    return 0;
}

/* Deleting cannot be undone here, so the commit does it. */
static int memory_collect(void *driver, uint64_t mark, uint32_t rows_max)
{
    struct memory *memory = driver;
    memory->collect_mark = mark;
    memory->collect_rows_max = rows_max;
    return 0;
}

/* -- The rest ---------------------------------------------------------------------------------- */

static tercet_db memory_db(void *driver)
{
    (void)driver;
    return NULL;
}

static int memory_rows_count(void *driver, uint64_t *rows)
{
    const struct memory *memory = driver;
    *rows = memory->row_count;
    return 0;
}

static void memory_close(void *driver)
{
    struct memory *memory = driver;
    tdestroy(memory->tree, free_row);
    free(memory->ended);
    free(memory->changes);
    free(memory);
}

const struct tercet_barrier_driver memory_driver = {
    .size = sizeof(memory_driver),
    .begin = memory_begin,
    .commit = memory_commit,
    .rollback = memory_rollback,
    .savepoint = memory_savepoint,
    .release = memory_release,
    .rollback_to = memory_rollback_to,
    .insert = memory_insert,
    .move = memory_move,
    .reply_save = memory_reply_save,
    .read = memory_read,
    .mark_read = memory_mark_read,
    .mark_raise = memory_mark_raise,
    .collect = memory_collect,
    .db = memory_db,
    .rows_count = memory_rows_count,
    .close = memory_close,
};

int memory_driver_open(void **out)
{
    struct memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL)
        return TERCET_NOMEM;
    *out = memory;
    return 0;
}

int tercet_barrier_memory_open(struct tercet_barrier **out,
                               const struct tercet_barrier_options *options)
{
    void *memory = NULL;
    int rc = memory_driver_open(&memory);
    if (rc != 0)
        return rc;
    rc = tercet_barrier_new(out, &memory_driver, memory, options);
    if (rc != 0)
        memory_close(memory);
    return rc;
}
