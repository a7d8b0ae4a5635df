/* SPDX-License-Identifier: Apache-2.0
 *
 * A barrier driver by somebody outside of the tree, as small as one can be, and the suite that it
 * passes. Its database is an array in memory: rows and the hooks' ledger together, of which begin
 * and savepoint make copies that rollback and rollback_to put back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/sys/barrier_conformance.h>

#define ROWS_MAX 2048

struct row {
    struct tercet_barrier_row row; /* its reply is never freed before the close: copies share it */
    char gid[TERCET_GID_MAX + 1];
    uint32_t branch;
    uint64_t number;
};

struct line {
    char gid[TERCET_GID_MAX + 1];
    int kind;
};

struct tables {
    struct row rows[ROWS_MAX];
    struct line lines[ROWS_MAX];
    size_t row_count, line_count;
    uint64_t mark;
};

struct toy {
    struct tables now, begun, saved;
    void *replies[ROWS_MAX];
    size_t reply_count;
};

/* -- The driver -------------------------------------------------------------------------------- */

static int toy_begin(void *state)
{
    struct toy *toy = state;
    toy->begun = toy->now;
    return 0;
}

static int toy_commit(void *state)
{
    (void)state;
    return 0;
}

static void toy_rollback(void *state)
{
    struct toy *toy = state;
    toy->now = toy->begun;
}

static int toy_savepoint(void *state)
{
    struct toy *toy = state;
    toy->saved = toy->now;
    return 0;
}

static int toy_rollback_to(void *state)
{
    struct toy *toy = state;
    toy->now = toy->saved;
    return 0;
}

static struct row *find(struct toy *toy, const struct tercet_barrier_key *key)
{
    for (size_t i = 0; i < toy->now.row_count; i++)
        if (toy->now.rows[i].branch == key->branch && strcmp(toy->now.rows[i].gid, key->gid) == 0)
            return &toy->now.rows[i];
    return NULL;
}

static int toy_insert(void *state, const struct tercet_barrier_key *key,
                      enum tercet_barrier_state to, bool *inserted)
{
    struct toy *toy = state;
    *inserted = find(toy, key) == NULL;
    if (!*inserted)
        return 0;
    if (toy->now.row_count == ROWS_MAX)
        return TERCET_STORE;
    struct row *row = &toy->now.rows[toy->now.row_count++];
    memset(row, 0, sizeof(*row));
    strcpy(row->gid, key->gid);
    row->branch = key->branch;
    row->number = key->number;
    row->row.state = to;
    return 0;
}

static int toy_move(void *state, const struct tercet_barrier_key *key,
                    enum tercet_barrier_state from, enum tercet_barrier_state to, bool *moved)
{
    struct row *row = find(state, key);
    *moved = row != NULL && row->row.state == from;
    if (*moved)
        row->row.state = to;
    return 0;
}

static int toy_reply_save(void *state, const struct tercet_barrier_key *key,
                          struct tercet_bytes reply)
{
    struct toy *toy = state;
    struct row *row = find(toy, key);
    void *copy = toy->reply_count < ROWS_MAX ? malloc(reply.size) : NULL;
    if (copy == NULL)
        return TERCET_NOMEM;
    memcpy(copy, reply.data, reply.size);
    toy->replies[toy->reply_count++] = copy;
    row->row.reply = copy;
    row->row.reply_size = reply.size;
    return 0;
}

static int toy_read(void *state, const struct tercet_barrier_key *key,
                    struct tercet_barrier_row *out)
{
    const struct row *row = find(state, key);
    memset(out, 0, sizeof(*out));
    if (row == NULL)
        return 0;
    *out = row->row;
    out->reply = row->row.reply_size > 0 ? malloc(row->row.reply_size) : NULL;
    if (row->row.reply_size > 0 && out->reply == NULL)
        return TERCET_NOMEM;
    if (out->reply != NULL)
        memcpy(out->reply, row->row.reply, row->row.reply_size);
    return 0;
}

static int toy_mark_read(void *state, uint64_t *mark)
{
    const struct toy *toy = state;
    *mark = toy->now.mark;
    return 0;
}

static int toy_mark_raise(void *state, uint64_t mark)
{
    struct toy *toy = state;
    toy->now.mark = mark;
    return 0;
}

static size_t lowest(const struct toy *toy, uint64_t mark)
{
    size_t found = ROWS_MAX;
    for (size_t i = 0; i < toy->now.row_count; i++) {
        const struct row *row = &toy->now.rows[i];
        if (row->number > 0 && row->number <= mark && row->row.state != TERCET_BARRIER_TRIED &&
            (found == ROWS_MAX || row->number < toy->now.rows[found].number))
            found = i;
    }
    return found;
}

static int toy_collect(void *state, uint64_t mark, uint32_t rows_max)
{
    struct toy *toy = state;
    size_t i;
    for (; rows_max > 0 && (i = lowest(toy, mark)) < ROWS_MAX; rows_max--)
        toy->now.rows[i] = toy->now.rows[--toy->now.row_count];
    return 0;
}

static tercet_db toy_db(void *state)
{
    return state;
}

static int toy_rows_count(void *state, uint64_t *rows)
{
    const struct toy *toy = state;
    *rows = toy->now.row_count;
    return 0;
}

/* The state is the place's: it has the ledger, too. */
static void toy_close(void *state)
{
    (void)state;
}

static const struct tercet_barrier_driver toy_driver = {.size = sizeof(toy_driver),
                                                        .begin = toy_begin,
                                                        .commit = toy_commit,
                                                        .rollback = toy_rollback,
                                                        .savepoint = toy_savepoint,
                                                        .release = toy_commit,
                                                        .rollback_to = toy_rollback_to,
                                                        .insert = toy_insert,
                                                        .move = toy_move,
                                                        .reply_save = toy_reply_save,
                                                        .read = toy_read,
                                                        .mark_read = toy_mark_read,
                                                        .mark_raise = toy_mark_raise,
                                                        .collect = toy_collect,
                                                        .db = toy_db,
                                                        .rows_count = toy_rows_count,
                                                        .close = toy_close};

/* -- The suite --------------------------------------------------------------------------------- */

static int make(void **place, void *ctx)
{
    (void)ctx;
    *place = calloc(1, sizeof(struct toy));
    return *place != NULL ? 0 : -1;
}

static void take_away(void *place, void *ctx)
{
    struct toy *toy = place;
    (void)ctx;
    for (size_t i = 0; i < toy->reply_count; i++)
        free(toy->replies[i]);
    free(toy);
}

static int open_it(struct tercet_barrier **out, void *place,
                   const struct tercet_barrier_options *options, void *ctx)
{
    (void)ctx;
    return tercet_barrier_new(out, &toy_driver, place, options);
}

static int write_line(void *place, tercet_db db, const char *gid, uint32_t branch,
                      enum tercet_kind kind, void *ctx)
{
    struct toy *toy = db;
    (void)place;
    (void)branch;
    (void)ctx;
    if (toy->now.line_count == ROWS_MAX)
        return TERCET_AGAIN;
    struct line *line = &toy->now.lines[toy->now.line_count++];
    strcpy(line->gid, gid);
    line->kind = (int)kind;
    return 0;
}

static int count_lines(void *place, const char *gid, int kind, void *ctx)
{
    const struct toy *toy = place;
    int count = 0;
    (void)ctx;
    for (size_t i = 0; i < toy->now.line_count; i++) {
        const struct line *line = &toy->now.lines[i];
        count += (gid == NULL || strcmp(line->gid, gid) == 0) && (kind == 0 || line->kind == kind);
    }
    return count;
}

static void report(const char *name, const char *failure, void *ctx)
{
    int *reported = ctx;
    ++*reported;
    if (failure != NULL)
        printf("%s: %s\n", name, failure);
}

int main(void)
{
    int reported = 0;
    struct tercet_barrier_conformance suite = {.size = sizeof(suite),
                                               .make = make,
                                               .remove = take_away,
                                               .open = open_it,
                                               .write = write_line,
                                               .count = count_lines,
                                               .report = report,
                                               .ctx = &reported};
    int failed = tercet_barrier_conformance_run(&suite, NULL);
    printf("%d cases, %d failed\n", reported, failed);
    return failed > 0 || reported < 30;
}
