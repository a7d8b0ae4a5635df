/* SPDX-License-Identifier: Apache-2.0
 *
 * Participants: the barrier's own algorithm over tables in the shared struct, and hooks that move
 * money and write down that they ran. Nothing here forbids an effect to happen twice but the
 * barrier.
 */
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MONEY 1000 /* that each service begins with; every try takes one */

static struct tercet_barrier *barriers[SERVICES];

/* -- Names ------------------------------------------------------------------------------------- */

const char *gid_text(int gid)
{
    static char texts[JOBS_MAX][16];
    snprintf(texts[gid], sizeof(texts[gid]), "fault-%03d", gid);
    return texts[gid];
}

int gid_number(const char *text)
{
    int gid = 0;
    if (sscanf(text, "fault-%3d", &gid) != 1 || gid < 0 || gid >= JOBS_MAX) {
        violated("a gid that nobody gave: %s", text);
        return 0;
    }
    return gid;
}

void reply_of(int gid, uint32_t branch, char out[REPLY_SIZE + 1])
{
    snprintf(out, REPLY_SIZE + 1, "reply of %06d/%08u", gid, branch);
}

void payload_of(int gid, uint32_t branch, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)((size_t)gid * 31 + branch * 7 + i + i / 251);
}

/* -- The barrier's driver ---------------------------------------------------------------------- */

static void copy_table(struct table_of_rows *to, const struct table_of_rows *from)
{
    to->count = from->count;
    to->mark = from->mark;
    memcpy(to->rows, from->rows, from->count * sizeof(from->rows[0]));
}

static int begin(void *driver)
{
    struct database *database = driver;
    copy_table(&database->at_begin, &database->now);
    return 0;
}

static int commit(void *driver)
{
    (void)driver;
    return 0;
}

static void rollback(void *driver)
{
    struct database *database = driver;
    copy_table(&database->now, &database->at_begin);
}

static int savepoint(void *driver)
{
    struct database *database = driver;
    copy_table(&database->at_savepoint, &database->now);
    return 0;
}

static int release(void *driver)
{
    (void)driver;
    return 0;
}

static int rollback_to(void *driver)
{
    struct database *database = driver;
    copy_table(&database->now, &database->at_savepoint);
    return 0;
}

static struct row *find_row(struct database *database, const struct tercet_barrier_key *key)
{
    int gid = gid_number(key->gid);
    for (size_t i = 0; i < database->now.count; i++)
        if (database->now.rows[i].gid == gid && database->now.rows[i].branch == key->branch)
            return &database->now.rows[i];
    return NULL;
}

static int insert(void *driver, const struct tercet_barrier_key *key,
                  enum tercet_barrier_state state, bool *inserted)
{
    struct database *database = driver;
    *inserted = find_row(database, key) == NULL;
    if (!*inserted)
        return 0;
    if (database->now.count == JOBS_MAX)
        return TERCET_STORE;
    database->now.rows[database->now.count++] = (struct row){
        .gid = gid_number(key->gid), .branch = key->branch, .number = key->number, .state = state};
    return 0;
}

static int move(void *driver, const struct tercet_barrier_key *key, enum tercet_barrier_state from,
                enum tercet_barrier_state to, bool *moved)
{
    struct row *row = find_row(driver, key);
    *moved = row != NULL && row->state == from;
    if (*moved)
        row->state = to;
    return 0;
}

static int reply_save(void *driver, const struct tercet_barrier_key *key, struct tercet_bytes reply)
{
    struct row *row = find_row(driver, key);
    if (row == NULL || reply.size != REPLY_SIZE)
        return TERCET_STORE;
    memcpy(row->reply, reply.data, reply.size);
    return 0;
}

static int read_row(void *driver, const struct tercet_barrier_key *key,
                    struct tercet_barrier_row *out)
{
    const struct row *row = find_row(driver, key);
    *out = (struct tercet_barrier_row){.state = row != NULL ? row->state : TERCET_BARRIER_NONE};
    if (row != NULL && row->reply[0] != '\0') {
        out->reply = strdup(row->reply);
        out->reply_size = REPLY_SIZE;
    }
    return 0;
}

static int mark_read(void *driver, uint64_t *mark)
{
    const struct database *database = driver;
    *mark = database->now.mark;
    return 0;
}

static int mark_raise(void *driver, uint64_t mark)
{
    struct database *database = driver;
    database->now.mark = mark;
    return 0;
}

static int collect(void *driver, uint64_t mark, uint32_t rows_max)
{
    struct table_of_rows *table = &((struct database *)driver)->now;
    size_t kept = 0;
    (void)rows_max;
    for (size_t i = 0; i < table->count; i++) {
        const struct row *row = &table->rows[i];
        if (row->state == TERCET_BARRIER_TRIED || row->number == 0 || row->number > mark)
            table->rows[kept++] = *row;
    }
    table->count = kept;
    return 0;
}

static tercet_db db(void *driver)
{
    return driver;
}

static int rows_count(void *driver, uint64_t *rows)
{
    const struct database *database = driver;
    *rows = database->now.count;
    return 0;
}

static void close_driver(void *driver)
{
    (void)driver;
}

void participants_start(void)
{
    static const struct tercet_barrier_driver driver = {.size = sizeof(driver),
                                                        .begin = begin,
                                                        .commit = commit,
                                                        .rollback = rollback,
                                                        .savepoint = savepoint,
                                                        .release = release,
                                                        .rollback_to = rollback_to,
                                                        .insert = insert,
                                                        .move = move,
                                                        .reply_save = reply_save,
                                                        .read = read_row,
                                                        .mark_read = mark_read,
                                                        .mark_raise = mark_raise,
                                                        .collect = collect,
                                                        .db = db,
                                                        .rows_count = rows_count,
                                                        .close = close_driver};
    struct tercet_barrier_options options = {.size = sizeof(options)};
    for (int i = 0; i < SERVICES; i++) {
        tercet_barrier_close(barriers[i]);
        barriers[i] = NULL;
        if (tercet_barrier_new(&barriers[i], &driver, &world->databases[i], &options) != 0)
            violated("a barrier cannot be made");
        if (world->databases[i].available + world->databases[i].frozen +
                world->databases[i].spent ==
            0)
            world->databases[i].available = MONEY;
    }
}

/* -- Hooks ------------------------------------------------------------------------------------- */

/* The work of a branch, in the local transaction of its row. */
static int hook(struct tercet_barrier_call *call, tercet_db handle, void *ctx)
{
    static const char ops[] = {[TERCET_TRY] = 't', [TERCET_CONFIRM] = 'c', [TERCET_CANCEL] = 'x'};
    struct database *database = handle;
    int gid = gid_number(call->gid);
    char reply[REPLY_SIZE + 1];
    (void)ctx;
    promise_effect(&world->fates[gid].promise, call->gid, call->branch, ops[call->kind]);
    if (call->kind == TERCET_TRY) {
        reply_of(gid, call->branch, reply);
        call->reply = strdup(reply);
        call->reply_size = REPLY_SIZE;
        database->available--;
        database->frozen++;
    } else {
        database->frozen--;
        *(call->kind == TERCET_CONFIRM ? &database->spent : &database->available) += 1;
    }
    return 0;
}

static int run_barrier(int gid, uint32_t branch, uint64_t number, uint64_t low_water, int kind)
{
    struct tercet_barrier_call call = {.gid = gid_text(gid),
                                       .branch = branch,
                                       .number = number,
                                       .low_water = low_water,
                                       .kind = (enum tercet_kind)kind,
                                       .hook = hook};
    tercet_barrier_run(barriers[branch - 1], &call, 1);
    free(call.reply);
    return call.result;
}

void participant_own_try(int gid, uint32_t branch)
{
    if (run_barrier(gid, branch, world->fates[gid].number, 0, TERCET_TRY) != 0)
        violated("%s/%u: the initiator's own try was not done", gid_text(gid), branch);
}

/* -- Calls ------------------------------------------------------------------------------------- */

static bool is_within(int gid, uint32_t branch, int kind, int limit)
{
    uint8_t *seen = &world->fates[gid].seen[branch][kind];
    if (limit == ALWAYS)
        return true;
    if (*seen >= limit)
        return false;
    (*seen)++;
    return true;
}

/* An outcome in place of the work; UNSPECIFIED: the work is to be done. */
static Tercet__V1__Outcome outcome_of_habit(const struct packet *packet, const struct habit *habit)
{
    int kind = packet->call.call_kind;
    uint32_t branch = packet->call.branch;
    if (kind == TERCET_TRY && habit->refuses)
        return TERCET__V1__OUTCOME__REFUSAL;
    if (kind == TERCET_TRY && habit->again_tries > 0 &&
        is_within(packet->gid, branch, kind, habit->again_tries))
        return TERCET__V1__OUTCOME__AGAIN;
    if (kind != TERCET_TRY && habit->again_ends > 0 &&
        is_within(packet->gid, branch, kind, habit->again_ends))
        return TERCET__V1__OUTCOME__AGAIN;
    if (kind != TERCET_TRY && habit->broken_ends > 0 &&
        is_within(packet->gid, branch, kind, habit->broken_ends))
        return TERCET__V1__OUTCOME__BROKEN;
    return TERCET__V1__OUTCOME__OUTCOME_UNSPECIFIED;
}

static void answer(const struct packet *packet, Tercet__V1__Outcome outcome)
{
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    Tercet__V1__CallResult *results[] = {&result};
    char reply[REPLY_SIZE + 1];
    if (packet->life != world->life)
        return;
    result.id = packet->call.id;
    result.outcome = outcome;
    result.reason =
        (char *)(uintptr_t)(outcome == TERCET__V1__OUTCOME__DONE ? "" : "as it is its habit");
    if (outcome == TERCET__V1__OUTCOME__DONE && packet->call.call_kind == TERCET_TRY) {
        reply_of(packet->gid, packet->call.branch, reply);
        result.reply.data = (uint8_t *)reply;
        result.reply.len = REPLY_SIZE;
    }
    if (packet->call.to_target) {
        fake_answer_target(packet->call.id, &result, CRPC_OK);
        return;
    }
    struct crpc_call *call = wire_find(FAKE_ATTACH, (int)packet->call.branch - 1);
    if (call == NULL)
        return;
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    request.results = results;
    request.n_results = 1;
    life_post(fake_attached(call, as_received(&request.base)));
}

void participant_receive(const struct packet *packet)
{
    uint32_t branch = packet->call.branch;
    int kind = packet->call.call_kind;
    const struct habit *habit = &script_of(packet->gid)->habits[branch - 1];
    if (!packet->call.is_right)
        violated("%s/%u: a call with another action or payload than was asked for",
                 gid_text(packet->gid), branch);
    Tercet__V1__Outcome outcome = outcome_of_habit(packet, habit);
    if (outcome != TERCET__V1__OUTCOME__OUTCOME_UNSPECIFIED) {
        answer(packet, outcome);
        return;
    }
    int rc = run_barrier(packet->gid, branch, packet->call.number, packet->call.low_water, kind);
    if (kind == TERCET_TRY && habit->silent_tries > 0 &&
        is_within(packet->gid, branch, kind, habit->silent_tries))
        return;
    if (rc == TERCET_REFUSED)
        answer(packet, TERCET__V1__OUTCOME__REFUSAL);
    else if (rc != 0)
        violated("%s/%u: the barrier answers its %s with %s", gid_text(packet->gid), branch,
                 tercet_kind_name(kind), tercet_error_name(rc));
    else
        answer(packet, TERCET__V1__OUTCOME__DONE);
}
