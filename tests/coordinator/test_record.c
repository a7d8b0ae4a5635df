/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: what an entry is as bytes, and back; what is damaged or means nothing is refused.
 */
#include "record.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "dispatch.h"

#define WALL_OFFSET_MS 1700000000000
#define BRANCHES 3

/* -- The frame --------------------------------------------------------------------------------- */

static struct crpc_bytes clock_record(struct arena *arena)
{
    Tercet__Store__V1__Clock clock = TERCET__STORE__V1__CLOCK__INIT;
    clock.time_ms = 123456789;
    return record_encode(arena, RECORD_CLOCK, &clock.base);
}

Test(record, comes_back_as_it_was)
{
    struct arena arena = {0};
    struct crpc_bytes record = clock_record(&arena);
    Tercet__Store__V1__Clock *clock =
        (Tercet__Store__V1__Clock *)record_decode(RECORD_CLOCK, record.data, record.size);
    cr_assert_not_null(clock);
    cr_assert_eq(clock->time_ms, 123456789);
    crpc_message_free(&clock->base);
    arena_free(&arena);
}

Test(record, any_bit_that_turned_is_found)
{
    struct arena arena = {0};
    struct crpc_bytes record = clock_record(&arena);
    uint8_t *bytes = (uint8_t *)record.data;
    for (size_t bit = 0; bit < 8 * record.size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_null(record_decode(RECORD_CLOCK, bytes, record.size), "bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < record.size; size++)
        cr_assert_null(record_decode(RECORD_CLOCK, bytes, size), "%zu bytes", size);
    cr_assert_null(record_decode(RECORD_STATE, bytes, record.size), "another type");
    arena_free(&arena);
}

Test(record, each_type_has_its_message)
{
    static const enum record_type types[] = {RECORD_STATE, RECORD_BRANCH, RECORD_RESOLVED,
                                             RECORD_PARTICIPANT, RECORD_CLOCK};
    static const ProtobufCMessageDescriptor *const descriptors[] = {
        &tercet__store__v1__state__descriptor, &tercet__store__v1__branch__descriptor,
        &tercet__store__v1__resolved__descriptor, &tercet__store__v1__participant__descriptor,
        &tercet__store__v1__clock__descriptor};
    for (size_t i = 0; i < 5; i++) {
        struct arena arena = {0};
        /* no bytes: a message of any type */
        Tercet__Store__V1__Clock empty = TERCET__STORE__V1__CLOCK__INIT;
        struct crpc_bytes record = record_encode(&arena, types[i], &empty.base);
        ProtobufCMessage *message = record_decode(types[i], record.data, record.size);
        cr_assert_not_null(message);
        cr_assert_eq(message->descriptor, descriptors[i]);
        crpc_message_free(message);
        arena_free(&arena);
    }
}

/* The head is right, and the checksum; the body is no message. */
Test(record, a_body_that_does_not_decode_is_damage)
{
    struct arena arena = {0};
    Tercet__Store__V1__Branch branch = TERCET__STORE__V1__BRANCH__INIT;
    branch.action = (char *)"\xff";
    struct crpc_bytes record = record_encode(&arena, RECORD_BRANCH, &branch.base);
    cr_assert_null(record_decode(RECORD_BRANCH, record.data, record.size));
    arena_free(&arena);
}

/* -- An entry ---------------------------------------------------------------------------------- */

static char *copy_of(const char *text)
{
    return text != NULL ? must_strdup(text) : NULL;
}

static void add_branch(struct table *table, struct entry *entry, struct service *service,
                       struct txn_branch branch, const char *reply, const char *reason)
{
    entry_reserve_branch(entry);
    size_t i = entry->txn.branch_count++;
    entry->txn.branches[i] = branch;
    entry->infos[i] =
        (struct branch_info){.service = service,
                             .action = copy_of("reserve"),
                             .reply = copy_of(reply),
                             .reply_size = reply != NULL ? (uint32_t)strlen(reply) : 0,
                             .reason = copy_of(reason),
                             .try_timeout_ms = 900,
                             .timeouts = {700, 800}};
    entry_keep_payload(table, &entry->infos[i], "payload", 7);
}

/* A refusal after a failure, and a cancel that fails. */
static void add_history(struct table *table, struct history **history)
{
    const struct history_note notes[] = {
        {.at_ms = WALL_OFFSET_MS + 1,
         .kind = TERCET_TRY,
         .outcome = 3,
         .error = "the disk said no",
         .instance = "host a"},
        {.at_ms = WALL_OFFSET_MS + 2,
         .kind = TERCET_TRY,
         .outcome = 2,
         .error = "",
         .instance = "b"},
        {.at_ms = WALL_OFFSET_MS + 3, .kind = TERCET_CANCEL, .error = "lost", .instance = "c"},
    };
    for (size_t i = 0; i < 3; i++)
        history_add(history, &table->history_bytes, &notes[i]);
}

/* An entry with every field set: three branches, one of them done, one broken and parked, one
 * settled by hand. */
static void add_branches(struct table *table, struct entry *entry, struct service *service)
{
    add_branch(table, entry, service,
               (struct txn_branch){.number = 1,
                                   .digest = 11,
                                   .mode = TXN_MODE_ROUTED,
                                   .try_state = TXN_TRY_DONE,
                                   .end_state = TXN_END_WAITING,
                                   .try_until_ms = 5000},
               "seat 17", NULL);
    add_branch(table, entry, service,
               (struct txn_branch){.number = 2,
                                   .digest = 12,
                                   .mode = TXN_MODE_ROUTED,
                                   .try_state = TXN_TRY_REFUSED,
                                   .attempts = 3,
                                   .end_state = TXN_END_WAITING,
                                   .try_until_ms = TXN_NEVER,
                                   .is_parked = true,
                                   .is_broken = true},
               NULL, "no seats");
    add_branch(table, entry, service,
               (struct txn_branch){.number = 9,
                                   .digest = 13,
                                   .mode = TXN_MODE_OWN,
                                   .try_state = TXN_TRY_OWN,
                                   .end_state = TXN_END_DONE,
                                   .try_until_ms = TXN_NEVER,
                                   .is_settled = true},
               NULL, NULL);
}

static struct entry *make_entry(struct table *table, struct service *service)
{
    static const struct tercet_metadata metadata[] = {{"traceparent", "00-1"}, {"k", ""}};
    struct entry *entry = table_add(table, "g", 1);
    entry->txn.state = TXN_CANCELLING;
    entry->txn.cause = TXN_CAUSE_REFUSED;
    txn_options_default(&entry->txn.options);
    entry->txn.options.is_ordered = entry->txn.options.decides_itself =
        entry->txn.options.keeps_on_refusal = true;
    entry->txn.deadline_ms = 60000;
    entry->created_ms = WALL_OFFSET_MS;
    entry->deadline_wall_ms = WALL_OFFSET_MS + 60000;
    entry->decided_ms = WALL_OFFSET_MS + 10;
    entry->resolved_ms = WALL_OFFSET_MS + 20;
    entry->plan_digest = 0x123456789abcdef;
    entry->reason = must_strdup("sold out");
    entry->begun_by = must_strdup("shop-1");
    entry_set_metadata(entry, metadata, 2);
    add_branches(table, entry, service);
    cr_assert(txn_is_sound(&entry->txn));
    add_history(table, &entry->infos[1].history);
    /* an answer after a failure that is forgotten, and a text without a failure */
    history_restore(&entry->infos[0].history, &table->history_bytes, TERCET_TRY, 0, 0,
                    (const char *const[]){"", "", "host d"});
    history_explain(&entry->infos[2].history, &table->history_bytes, WALL_OFFSET_MS + 4,
                    "no answer");
    entry->infos[0].database = must_strdup("database-1");
    return entry;
}

static struct bench {
    struct table table;
    struct arena arena;
    struct service service;
    struct entry *entry;
} bench;

static void bench_open(void)
{
    strcpy(bench.service.name, "stock");
    table_init(&bench.table, 0);
    bench.entry = make_entry(&bench.table, &bench.service);
}

static void bench_close(void)
{
    arena_free(&bench.arena);
    table_free(&bench.table);
}

TestSuite(record, .init = bench_open, .fini = bench_close);

static void check_phase(const struct history_phase *is, const struct history_phase *was)
{
    cr_assert_eq(is->failures, was->failures);
    cr_assert_eq(is->last_ms, was->last_ms);
    cr_assert_str_eq(history_words(is->error), history_words(was->error));
    cr_assert_str_eq(history_words(is->instance), history_words(was->instance));
    cr_assert_str_eq(history_words(is->answered_by), history_words(was->answered_by));
}

/* The phases are durable, the attempts are not. */
static void check_history(const struct history *is, const struct history *was)
{
    cr_assert_eq(is == NULL, was == NULL);
    if (is == NULL)
        return;
    cr_assert_eq(is->count, 0);
    check_phase(&is->tries, &was->tries);
    check_phase(&is->ends, &was->ends);
}

static void check_branches(const struct entry *is, const struct entry *was)
{
    cr_assert_eq(is->txn.branch_count, BRANCHES);
    for (size_t i = 0; i < BRANCHES; i++) {
        const struct txn_branch *a = &is->txn.branches[i], *b = &was->txn.branches[i];
        const struct branch_info *c = &is->infos[i], *d = &was->infos[i];
        cr_assert(a->number == b->number && a->try_state == b->try_state &&
                  a->end_state == b->end_state);
        cr_assert(a->attempts == b->attempts && a->try_until_ms == b->try_until_ms);
        cr_assert(a->is_parked == b->is_parked && a->is_broken == b->is_broken &&
                  a->is_settled == b->is_settled);
        cr_assert_eq(c->reply_size, d->reply_size);
        cr_assert(c->reply_size == 0 ? c->reply == NULL
                                     : memcmp(c->reply, d->reply, c->reply_size) == 0);
        cr_assert(d->reason == NULL ? c->reason == NULL : strcmp(c->reason, d->reason) == 0);
        cr_assert(d->database == NULL ? c->database == NULL
                                      : strcmp(c->database, d->database) == 0);
        check_history(c->history, d->history);
    }
}

static Tercet__Store__V1__State *decode_state(struct crpc_bytes record)
{
    Tercet__Store__V1__State *state =
        (Tercet__Store__V1__State *)record_decode(RECORD_STATE, record.data, record.size);
    cr_assert_not_null(state);
    return state;
}

Test(record, a_state_loads_as_it_was)
{
    Tercet__Store__V1__State *state =
        decode_state(record_of_state(&bench.arena, bench.entry, WALL_OFFSET_MS));
    struct entry *copy = table_add(&bench.table, "g2", 2);
    cr_assert(record_load_state(copy, state, WALL_OFFSET_MS, &bench.table.history_bytes));
    crpc_message_free(&state->base);
    cr_assert_eq(copy->txn.state, TXN_CANCELLING);
    cr_assert_eq(copy->txn.cause, TXN_CAUSE_REFUSED);
    cr_assert_eq(copy->txn.deadline_ms, 60000);
    cr_assert_eq(memcmp(&copy->txn.options, &bench.entry->txn.options, sizeof(copy->txn.options)),
                 0);
    cr_assert_eq(copy->created_ms, bench.entry->created_ms);
    cr_assert_eq(copy->deadline_wall_ms, bench.entry->deadline_wall_ms);
    cr_assert_eq(copy->decided_ms, bench.entry->decided_ms);
    cr_assert_eq(copy->plan_digest, bench.entry->plan_digest);
    cr_assert_str_eq(copy->reason, "sold out");
    cr_assert_str_eq(copy->begun_by, "shop-1");
    cr_assert_eq(copy->metadata_count, 2);
    cr_assert_str_eq(copy->metadata[0].key, "traceparent");
    cr_assert_str_eq(copy->metadata[0].value, "00-1");
    cr_assert_str_eq(copy->metadata[1].value, "");
    check_branches(copy, bench.entry);
}

/* Just begun: no branches, no metadata, no reason, no flags. */
Test(record, a_bare_state_loads_as_it_was)
{
    struct entry *bare = table_add(&bench.table, "b", 2);
    bare->txn.state = TXN_TRYING;
    txn_options_default(&bare->txn.options);
    Tercet__Store__V1__State *state =
        decode_state(record_of_state(&bench.arena, bare, WALL_OFFSET_MS));
    struct entry *copy = table_add(&bench.table, "b2", 3);
    cr_assert(record_load_state(copy, state, WALL_OFFSET_MS, &bench.table.history_bytes));
    crpc_message_free(&state->base);
    cr_assert_eq(copy->txn.state, TXN_TRYING);
    cr_assert_eq(copy->txn.branch_count, 0);
    cr_assert_eq(copy->metadata_count, 0);
    cr_assert_null(copy->metadata);
    cr_assert_null(copy->reason);
    cr_assert_not(copy->txn.options.is_ordered || copy->txn.options.decides_itself ||
                  copy->txn.options.keeps_on_refusal);
}

/* Before the decision a try may leave any time after the record was written; what is held may not.
 */
Test(record, only_what_cannot_leave_any_more_is_written_as_unsent)
{
    struct entry *entry = table_add(&bench.table, "u", 2);
    entry->txn.state = TXN_TRYING;
    txn_options_default(&entry->txn.options);
    static const enum txn_sent sent[] = {TXN_SENT_NOT, TXN_SENT_HELD, TXN_SENT_MAYBE};
    for (uint32_t i = 0; i < 3; i++)
        add_branch(&bench.table, entry, &bench.service,
                   (struct txn_branch){.number = i + 1,
                                       .mode = TXN_MODE_ROUTED,
                                       .try_state = TXN_TRY_WAITING,
                                       .sent = (uint8_t)sent[i],
                                       .next_ms = TXN_NEVER,
                                       .try_until_ms = TXN_NEVER},
                   NULL, NULL);
    for (int is_decided = 0; is_decided < 2; is_decided++) {
        entry->txn.state = is_decided ? TXN_CANCELLING : TXN_TRYING;
        Tercet__Store__V1__State *state =
            decode_state(record_of_state(&bench.arena, entry, WALL_OFFSET_MS));
        cr_assert_eq(state->branches[0]->flags, is_decided ? RECORD_BRANCH_UNSENT : 0);
        cr_assert_eq(state->branches[1]->flags, RECORD_BRANCH_UNSENT);
        cr_assert_eq(state->branches[2]->flags, 0);
        crpc_message_free(&state->base);
    }
}

/* -- Versions ---------------------------------------------------------------------------------- */

static uint8_t version_of(struct crpc_bytes record)
{
    return *(const uint8_t *)record.data;
}

/* The entry's State and its Resolved have the same. */
static void expect_version(struct entry *entry, uint8_t version)
{
    cr_assert_eq(version_of(record_of_state(&bench.arena, entry, WALL_OFFSET_MS)), version);
    cr_assert_eq(version_of(record_of_resolved(&bench.arena, entry, WALL_OFFSET_MS)), version);
}

/* Programs that know version 1 only would confirm or cancel whom they must not, or elsewhere. */
Test(record, only_what_older_programs_would_misread_is_kept_from_them)
{
    struct entry *entry = bench.entry;
    expect_version(entry, 2); /* its first branch belongs to a database */
    free(entry->infos[0].database);
    entry->infos[0].database = NULL;
    expect_version(entry, 1);
    entry->txn.is_partial = true;
    expect_version(entry, 2);
    entry->txn.is_partial = false;
    entry->txn.branches[1].sent = TXN_SENT_HELD;
    expect_version(entry, 2);
}

Test(record, a_participant_with_further_targets_is_kept_from_older_programs)
{
    struct arena arena = {0};
    Tercet__Store__V1__Target target = TERCET__STORE__V1__TARGET__INIT, *targets[] = {&target};
    Tercet__Store__V1__Participant participant = TERCET__STORE__V1__PARTICIPANT__INIT;
    participant.further = targets;
    cr_assert_eq(version_of(record_encode(&arena, RECORD_PARTICIPANT, &participant.base)), 1);
    participant.n_further = 1;
    cr_assert_eq(version_of(record_encode(&arena, RECORD_PARTICIPANT, &participant.base)), 2);
    arena_free(&arena);
}

/* It is damage, whoever wrote it. */
Test(record, a_resolved_one_without_a_state_needs_no_version)
{
    struct arena arena = {0};
    Tercet__Store__V1__Resolved resolved = TERCET__STORE__V1__RESOLVED__INIT;
    cr_assert_eq(version_of(record_encode(&arena, RECORD_RESOLVED, &resolved.base)), 1);
    arena_free(&arena);
}

/* The record as it is with another version and the checksum that goes with it. */
static struct crpc_bytes with_version(struct crpc_bytes record, uint8_t version)
{
    uint8_t *bytes = (uint8_t *)record.data;
    bytes[0] = version;
    uint64_t sum = XXH3_64bits_withSeed(bytes + RECORD_HEAD_SIZE, record.size - RECORD_HEAD_SIZE,
                                        (uint64_t)version << 8 | bytes[1]);
    for (int i = 0; i < 8; i++)
        bytes[4 + i] = (uint8_t)(sum >> (8 * i));
    return record;
}

/* Early programs wrote as version 1 what has had version 2 since. */
Test(record, both_versions_are_read_whatever_they_say)
{
    for (uint8_t version = 1; version <= RECORD_VERSION_MAX; version++) {
        struct crpc_bytes record = record_of_state(&bench.arena, bench.entry, WALL_OFFSET_MS);
        Tercet__Store__V1__State *state = decode_state(with_version(record, version));
        cr_assert_str_eq(state->branches[0]->database, "database-1");
        crpc_message_free(&state->base);
    }
}

Test(record, a_newer_version_is_refused_and_told_from_damage)
{
    struct arena arena = {0};
    struct crpc_bytes record = clock_record(&arena);
    cr_assert_not(record_is_newer(record.data, record.size));
    with_version(record, 0);
    cr_assert_not(record_is_whole(RECORD_CLOCK, record.data, record.size));
    cr_assert_not(record_is_newer(record.data, record.size));
    with_version(record, RECORD_VERSION_MAX + 1);
    cr_assert_null(record_decode(RECORD_CLOCK, record.data, record.size));
    cr_assert(record_is_newer(record.data, record.size));
    cr_assert_not(record_is_newer(record.data, RECORD_HEAD_SIZE - 1));
    *(uint8_t *)record.data += 1; /* without the checksum that goes with it */
    cr_assert_not(record_is_newer(record.data, record.size));
    arena_free(&arena);
}

/* -- A look without decoding ------------------------------------------------------------------- */

static bool peek(const char *body, size_t size, char gid[TERCET_GID_MAX + 1], uint8_t *state)
{
    uint8_t record[RECORD_HEAD_SIZE + 2 * TERCET_GID_MAX] = {0};
    cr_assert_leq(size, 2 * TERCET_GID_MAX);
    memcpy(record + RECORD_HEAD_SIZE, body, size);
    return record_peek_state(gid, state, record, RECORD_HEAD_SIZE + size);
}

Test(record, gid_and_state_are_seen_without_decoding)
{
    char gid[TERCET_GID_MAX + 1] = "";
    uint8_t state = 0;
    struct crpc_bytes record = record_of_state(&bench.arena, bench.entry, WALL_OFFSET_MS);
    cr_assert(record_peek_state(gid, &state, record.data, record.size));
    cr_assert_str_eq(gid, "g");
    cr_assert_eq(state, TXN_CANCELLING);
}

Test(record, what_does_not_begin_with_gid_and_state_is_not_guessed_at)
{
    static const struct {
        const char *body;
        size_t size;
    } bodies[] = {
        {"", 0},
        {"\x0a", 1},
        {"\x12\x01g\x10\x01", 5},   /* another field first */
        {"\x0a\x00\x10\x01", 4},    /* no gid */
        {"\x0a\x01g\x10", 4},       /* cut */
        {"\x0a\x01g\x18\x01", 5},   /* no state */
        {"\x0a\x02g\0\x10\x01", 6}, /* a NUL in the gid */
        {"\x0a\x01g\x10\x00", 5},   /* no such state */
        {"\x0a\x01g\x10\x06", 5},
    };
    char gid[TERCET_GID_MAX + 1], large[TERCET_GID_MAX + 5];
    uint8_t state;
    cr_assert(peek("\x0a\x01g\x10\x05", 5, gid, &state));
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        cr_assert_not(peek(bodies[i].body, bodies[i].size, gid, &state), "%zu", i);
    memset(large, 'g', sizeof(large));
    memcpy(large, "\x0a\x41", 2); /* 65 bytes */
    memcpy(large + TERCET_GID_MAX + 3, "\x10\x01", 2);
    cr_assert_not(peek(large, sizeof(large), gid, &state));
}

Test(record, a_branch_keeps_what_is_needed_to_call_it)
{
    for (size_t i = 0; i < BRANCHES; i++) {
        struct crpc_bytes record =
            record_of_branch(&bench.arena, bench.entry, &bench.entry->txn.branches[i]);
        Tercet__Store__V1__Branch *branch =
            (Tercet__Store__V1__Branch *)record_decode(RECORD_BRANCH, record.data, record.size);
        cr_assert_not_null(branch);
        cr_assert_str_eq(branch->action, "stock/reserve");
        cr_assert_eq(branch->payload.len, 7);
        cr_assert_eq(memcmp(branch->payload.data, "payload", 7), 0);
        cr_assert_eq(branch->try_timeout_ms, 900);
        cr_assert_eq(branch->call_timeout_ms, 700);
        cr_assert_eq(branch->end_timeout_ms, 800);
        cr_assert_eq(branch->own_call, i == 2);
        cr_assert_eq(branch->digest, 11 + i);
        crpc_message_free(&branch->base);
    }
}

Test(record, what_is_resolved_keeps_its_state_and_what_identifies_it)
{
    struct crpc_bytes record = record_of_resolved(&bench.arena, bench.entry, WALL_OFFSET_MS);
    Tercet__Store__V1__Resolved *resolved =
        (Tercet__Store__V1__Resolved *)record_decode(RECORD_RESOLVED, record.data, record.size);
    cr_assert_not_null(resolved);
    cr_assert_eq(resolved->resolved_ms, WALL_OFFSET_MS + 20);
    cr_assert_eq(resolved->n_actions, BRANCHES);
    cr_assert_eq(resolved->n_digests, BRANCHES);
    for (size_t i = 0; i < BRANCHES; i++) {
        cr_assert_str_eq(resolved->actions[i], "stock/reserve");
        cr_assert_eq(resolved->digests[i], 11 + i);
    }
    cr_assert_str_eq(resolved->state->gid, "g");
    cr_assert_eq(resolved->state->n_branches, BRANCHES);
    crpc_message_free(&resolved->base);
}

/* -- Numbers that mean nothing ----------------------------------------------------------------- */

static void set_state(Tercet__Store__V1__State *state)
{
    state->state = TXN_CANCELLED + 1;
}

static void set_cause(Tercet__Store__V1__State *state)
{
    state->cause = TXN_CAUSE_OPERATOR + 1;
}

static void set_flag(Tercet__Store__V1__State *state)
{
    state->flags |= RECORD_FLAGS_ALL + 1;
}

static void set_branch_flag(Tercet__Store__V1__State *state)
{
    state->branches[2]->flags |= RECORD_BRANCH_ALL + 1;
}

static void set_try_state(Tercet__Store__V1__State *state)
{
    state->branches[2]->try_state = TXN_TRY_UNKNOWN + 1;
}

static void set_end_state(Tercet__Store__V1__State *state)
{
    state->branches[0]->end_state = TXN_END_DONE + 1;
}

static void set_try_until(Tercet__Store__V1__State *state)
{
    state->branches[1]->try_until_ms = INT64_MIN;
}

static void set_created(Tercet__Store__V1__State *state)
{
    state->created_ms = INT64_MAX;
}

static void set_deadline(Tercet__Store__V1__State *state)
{
    state->deadline_ms = INT64_MAX / 8 + 1;
}

static void set_decided(Tercet__Store__V1__State *state)
{
    state->decided_ms = INT64_MIN / 8 - 1;
}

Test(record, a_state_out_of_range_is_refused)
{
    static void (*const changes[])(Tercet__Store__V1__State *) = {
        set_state,   set_cause,    set_try_state, set_end_state, set_try_until,
        set_created, set_deadline, set_decided,   set_flag,      set_branch_flag};
    struct crpc_bytes record = record_of_state(&bench.arena, bench.entry, WALL_OFFSET_MS);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        Tercet__Store__V1__State *state = decode_state(record);
        struct entry *entry = table_add(&bench.table, "h", 2 + i);
        changes[i](state);
        cr_assert_not(record_load_state(entry, state, WALL_OFFSET_MS, &bench.table.history_bytes),
                      "change %zu", i);
        cr_assert_eq(entry->txn.branch_count, 0);
        crpc_message_free(&state->base);
    }
}

Test(record, a_state_with_too_many_branches_is_refused)
{
    Tercet__Store__V1__State state = TERCET__STORE__V1__STATE__INIT;
    struct entry *entry = table_add(&bench.table, "h", 2);
    state.n_branches = TXN_BRANCHES_MAX + 1;
    cr_assert_not(record_load_state(entry, &state, WALL_OFFSET_MS, &bench.table.history_bytes));
}
