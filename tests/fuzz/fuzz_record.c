/* SPDX-License-Identifier: Apache-2.0
 *
 * Records from the store. The first byte chooses the type, and whether what follows is a whole
 * record or a body that is given a right head, so that the fuzzer need not find checksums. A State
 * that decodes is loaded, written, loaded and written again, restored, and driven to its end; what
 * is damaged must be found out, not believed.
 */
#include "frame.h"
#include "fuzz.h"

#define WALL_OFFSET_MS 1700000000000
#define ANSWERS_MAX 100000

static const enum record_type types[] = {RECORD_STATE, RECORD_BRANCH, RECORD_RESOLVED,
                                         RECORD_PARTICIPANT};

static void must_not_decode(enum record_type type, const void *record, size_t size)
{
    MUST(record_decode(type, record, size) == NULL);
}

/* S15: any one bit that turned, a cut end, another type. */
static void check_damage_is_found(enum record_type type, uint8_t *record, size_t size)
{
    size_t bit = size * 7 % (size * 8);
    for (size_t i = 0; i < 8 * RECORD_HEAD_SIZE; i++) {
        record[i / 8] ^= (uint8_t)(1u << i % 8);
        must_not_decode(type, record, size);
        record[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    record[bit / 8] ^= (uint8_t)(1u << bit % 8);
    must_not_decode(type, record, size);
    record[bit / 8] ^= (uint8_t)(1u << bit % 8);
    must_not_decode(type, record, size - 1);
    must_not_decode(type == RECORD_STATE ? RECORD_BRANCH : RECORD_STATE, record, size);
}

/* -- A State ----------------------------------------------------------------------------------- */

static struct entry *load(struct table *table, const void *record, size_t size)
{
    Tercet__Store__V1__State *state =
        (Tercet__Store__V1__State *)record_decode(RECORD_STATE, record, size);
    MUST(state != NULL);
    struct entry *entry =
        table_add(table, "g", table->newest != NULL ? table->newest->number + 1 : 1);
    bool is_good = record_load_state(entry, state, WALL_OFFSET_MS, &table->history_bytes);
    crpc_message_free(&state->base);
    for (size_t i = 0; i < entry->txn.branch_count; i++) {
        struct txn_branch *branch = &entry->txn.branches[i];
        /* as the Branch record would have it, of which there is none here */
        branch->mode = branch->try_state == TXN_TRY_OWN ? TXN_MODE_OWN : TXN_MODE_ROUTED;
    }
    return is_good ? entry : NULL;
}

static void step(struct txn *txn, struct txn_actions *actions, struct txn_event event)
{
    actions->count = 0;
    MUST(txn_step(txn, &event, actions) == 0);
}

/* Answers "done" to the first call that is out; false when there is none. */
static bool answer(struct txn *txn, struct txn_actions *actions, int64_t now_ms)
{
    for (size_t i = 0; i < txn->branch_count; i++) {
        const struct txn_branch *branch = &txn->branches[i];
        bool is_try = txn->state == TXN_TRYING && branch->try_state == TXN_TRY_CALLING;
        if (!is_try && branch->end_state != TXN_END_CALLING)
            continue;
        step(txn, actions,
             (struct txn_event){.kind = is_try ? TXN_TRY_IS_DONE : TXN_END_IS_DONE,
                                .number = branch->number,
                                .now_ms = now_ms,
                                .is_confirm = txn->state == TXN_CONFIRMING});
        return true;
    }
    return false;
}

/* L1: what was taken from a record ends when the participants answer. */
static void drive(struct txn *txn)
{
    size_t capacity = 2 * (txn->branch_count + 1u) + 8;
    struct txn_actions actions = {.items = calloc(capacity, sizeof(struct txn_action)),
                                  .capacity = capacity};
    int64_t now_ms = 0;
    MUST(actions.items != NULL);
    step(txn, &actions, (struct txn_event){.kind = TXN_WAKE});
    for (size_t i = 0; !txn_is_resolved(txn); i++) {
        MUST(i < ANSWERS_MAX);
        if (answer(txn, &actions, now_ms))
            continue;
        int64_t wake_ms = txn_wake_ms(txn);
        if (wake_ms == TXN_NEVER)
            break; /* a deadline at the end of time */
        now_ms = wake_ms > now_ms ? wake_ms : now_ms;
        step(txn, &actions, (struct txn_event){.kind = TXN_WAKE, .now_ms = now_ms});
    }
    free(actions.items);
}

/* The same of what a branch's calls have met with: it says something, and no more than is kept. */
static bool are_our_failures(const Tercet__Store__V1__Failures *failures)
{
    if (failures == NULL)
        return true;
    return failures->base.n_unknown_fields == 0 &&
           (failures->count > 0 || failures->last_error[0] != '\0' ||
            failures->answered_by[0] != '\0') &&
           strlen(failures->last_error) < TERCET_TEXT_MAX &&
           strlen(failures->last_instance) <= HISTORY_NAME_MAX &&
           strlen(failures->answered_by) <= HISTORY_NAME_MAX;
}

/* Whether a State has nothing in it that a coordinator of this version does not write. */
static bool is_ours(const Tercet__Store__V1__State *state)
{
    bool is_ours =
        state->base.n_unknown_fields == 0 && state->flags < 8 && strcmp(state->gid, "g") == 0;
    for (size_t i = 0; i < state->n_branches; i++)
        is_ours = is_ours && state->branches[i]->base.n_unknown_fields == 0 &&
                  state->branches[i]->flags < 2 * RECORD_BRANCH_UNSENT &&
                  are_our_failures(state->branches[i]->try_failures) &&
                  are_our_failures(state->branches[i]->end_failures);
    for (size_t i = 0; i < state->n_metadata; i++)
        is_ours = is_ours && state->metadata[i]->base.n_unknown_fields == 0;
    return is_ours;
}

/* Loading and writing loses nothing. */
static void check_written(struct arena *arena, const void *record, size_t size,
                          struct crpc_bytes written)
{
    Tercet__Store__V1__State *state =
        (Tercet__Store__V1__State *)record_decode(RECORD_STATE, record, size);
    MUST(state != NULL);
    if (is_ours(state)) {
        struct crpc_bytes again = record_encode(arena, RECORD_STATE, &state->base);
        MUST(again.size == written.size && memcmp(again.data, written.data, again.size) == 0);
    }
    crpc_message_free(&state->base);
}

/* Whoever looks only at the beginning sees what is there, in a record that a coordinator has
 * written. */
static void check_peek(const Tercet__Store__V1__State *state, const void *record, size_t size)
{
    struct arena arena = {0};
    struct crpc_bytes again = record_encode(&arena, RECORD_STATE, &state->base);
    bool is_written = again.size == size && memcmp(again.data, record, size) == 0;
    char gid[TERCET_GID_MAX + 1] = "";
    uint8_t number = 0;
    bool is_seen = record_peek_state(gid, &number, record, size);
    if (is_written && state->gid[0] != '\0' && strlen(state->gid) <= TERCET_GID_MAX &&
        state->state >= TXN_TRYING && state->state <= TXN_CANCELLED)
        MUST(is_seen && strcmp(gid, state->gid) == 0 && number == state->state);
    arena_free(&arena);
}

static void check_state(const void *record, size_t size)
{
    struct arena arena = {0};
    struct table table;
    table_init(&table, 0);
    struct entry *entry = load(&table, record, size);
    if (entry != NULL) {
        struct crpc_bytes once = record_of_state(&arena, entry, WALL_OFFSET_MS);
        check_written(&arena, record, size, once);
        struct entry *again = load(&table, once.data, once.size);
        MUST(again != NULL);
        struct crpc_bytes twice = record_of_state(&arena, again, WALL_OFFSET_MS);
        MUST(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
        if (txn_restore(&entry->txn, 0))
            drive(&entry->txn);
    }
    arena_free(&arena);
    table_free(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t choice = take(&input);
    enum record_type type = types[choice % 4];
    if (choice >= 128) {
        ProtobufCMessage *message = record_decode(type, input.at, input.size);
        crpc_message_free(message);
        return 0;
    }
    uint8_t *record = frame_record(type, input.at, input.size);
    size_t record_size = RECORD_HEAD_SIZE + input.size;
    ProtobufCMessage *message = record_decode(type, record, record_size);
    if (message != NULL) {
        check_damage_is_found(type, record, record_size);
        if (type == RECORD_STATE) {
            check_peek((const Tercet__Store__V1__State *)message, record, record_size);
            check_state(record, record_size);
        }
    }
    crpc_message_free(message);
    free(record);
    return 0;
}
