/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests checked and prepared, without a thread or a socket: a coordinator's state made by hand,
 * and a store that finds what the test says.
 */
#include "plan.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator.h"
#include "engine.h"
#include "record.h"

#define OPEN_MAX 3

#define INITIATOR 1

static struct bench {
    struct store store;
    struct coordinator *c;
    int find_result;
    struct crpc_bytes resolved; /* what is found */
    struct refusal no;          /* of the last answer, when it is a refusal */
    struct found found;
} bench;

/* -- The store --------------------------------------------------------------------------------- */

static void find(void *state, uint32_t shard, const char *gid, uint64_t number,
                 tercet_store_found_fn done, void *ctx)
{
    (void)state;
    (void)number;
    cr_assert_eq(shard, 0);
    cr_assert_not_null(gid);
    struct tercet_bytes value = {.data = bench.resolved.data, .size = bench.resolved.size};
    bool is_found = bench.find_result == 0;
    done(bench.find_result, is_found ? 7 : 0, is_found ? value : (struct tercet_bytes){0}, ctx);
}

static void bench_open(void)
{
    struct coordinator *c = calloc(1, sizeof(*c));
    bench.store = (struct store){.driver = {.find = find}, .state = &bench, .shard_count = 1};
    bench.find_result = TERCET_STORE_NOT_FOUND;
    bench.c = c;
    const struct tercet_coordinator_options options = {.size = sizeof(options),
                                                       .open_max = OPEN_MAX,
                                                       .retry_base_ms = 50,
                                                       .retry_cap_ms = 2000,
                                                       .park_after_failures = 4,
                                                       .park_after_ms = 8000};
    engine_init(c, &options, 1000, 1700000001000);
    c->shards->store = &bench.store;
    c->shards->headroom.stats = (struct tercet_store_stats){.room_bytes = UINT64_MAX};
    c->shards->next_number = 1;
}

static void bench_close(void)
{
    struct coordinator *c = bench.c;
    find_clear(&bench.found);
    engine_clear(c);
    free(c);
}

TestSuite(plan, .init = bench_open, .fini = bench_close);

/* -- Asking ------------------------------------------------------------------------------------ */

/* As method.c does. */
static void look_for(const char *gid)
{
    bench.found = FOUND_NOTHING;
    if (gid[0] != '\0')
        cr_assert_null(find_gid(bench.c, gid, &bench.found));
}

static int begin_with(const char *gid, Tercet__V1__Options *options)
{
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    request.options = options;
    find_clear(&bench.found);
    look_for(gid);
    return plan_begin(bench.c, &request, gid, "", &bench.found, &bench.no);
}

static int run_with(const char *gid, Tercet__V1__Branch *branches, size_t count)
{
    static Tercet__V1__Branch *views[TERCET_BRANCHES_MAX + 1];
    Tercet__V1__RunRequest request = TERCET__V1__RUN_REQUEST__INIT;
    for (size_t i = 0; i < count; i++)
        views[i] = &branches[i];
    request.gid = (char *)(uintptr_t)gid;
    request.branches = views;
    request.n_branches = count;
    find_clear(&bench.found);
    look_for(gid);
    return plan_run(bench.c, INITIATOR, &request, "", &bench.found, &bench.no);
}

static void init_branches(Tercet__V1__Branch *branches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        tercet__v1__branch__init(&branches[i]);
        branches[i].action = (char *)(uintptr_t) "stock/reserve";
    }
}

static void check(int result, int expected, const char *says)
{
    cr_assert_eq(result, expected, "%d: %s", result, result != 0 ? bench.no.text : "");
    cr_assert(result == 0 || bench.no.code == result);
    if (says != NULL)
        cr_assert_not_null(strstr(bench.no.text, says), "%s", bench.no.text);
}

/* -- Begin ------------------------------------------------------------------------------------- */

Test(plan, the_same_begin_again_finds_what_it_made)
{
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    options.retry_cap_ms = 700;
    check(begin_with("g", &options), 0, NULL);
    struct entry *entry = bench.found.entry;
    cr_assert_eq(bench.c->totals.begun, 1);
    check(begin_with("g", &options), 0, NULL);
    cr_assert_eq(bench.found.entry, entry);
    cr_assert_eq(bench.c->totals.begun, 1);
    options.retry_cap_ms = 701;
    check(begin_with("g", &options), TERCET_EXISTS, "options.retry_cap_ms");
    options.retry_cap_ms = 700;
    entry->txn.options.decides_itself = true;
    check(begin_with("g", &options), TERCET_EXISTS, "another plan");
}

Test(plan, a_begin_without_a_gid_makes_one)
{
    check(begin_with("", NULL), 0, NULL);
    cr_assert_eq(strlen(bench.found.entry->gid), 26);
}

Test(plan, options_of_the_request_go_before_the_coordinators)
{
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__Metadata metadata = TERCET__V1__METADATA__INIT;
    Tercet__V1__Metadata *metadatas[] = {&metadata};
    check(begin_with("plain", NULL), 0, NULL);
    const struct txn *txn = &bench.found.entry->txn;
    cr_assert(txn->options.retry_base_ms == 50 && txn->options.retry_cap_ms == 2000);
    cr_assert(txn->options.park_attempts == 4 && txn->options.park_after_ms == 8000);
    cr_assert_eq(txn->deadline_ms, 1000 + 60000);
    cr_assert_eq(bench.found.entry->metadata_count, 0);
    metadata.key = (char *)(uintptr_t) "k";
    metadata.value = (char *)(uintptr_t) "v";
    options = (Tercet__V1__Options){.base = options.base,
                                    .deadline_ms = 5000,
                                    .ordered = true,
                                    .keep_on_refusal = true,
                                    .retry_base_ms = 1,
                                    .retry_cap_ms = 2,
                                    .park_after_failures = 3,
                                    .park_after_ms = 4,
                                    .metadata = metadatas,
                                    .n_metadata = 1};
    check(begin_with("own", &options), 0, NULL);
    txn = &bench.found.entry->txn;
    cr_assert(txn->options.is_ordered && txn->options.keeps_on_refusal);
    cr_assert(txn->options.retry_base_ms == 1 && txn->options.retry_cap_ms == 2);
    cr_assert(txn->options.park_attempts == 3 && txn->options.park_after_ms == 4);
    cr_assert_eq(txn->deadline_ms, 1000 + 5000);
    cr_assert_eq(bench.found.entry->deadline_wall_ms, 1700000001000 + 5000);
    cr_assert_str_eq(bench.found.entry->metadata[0].key, "k");
}

Test(plan, options_out_of_range_are_refused)
{
    Tercet__V1__Metadata metadata[2] = {TERCET__V1__METADATA__INIT, TERCET__V1__METADATA__INIT};
    Tercet__V1__Metadata *metadatas[] = {&metadata[0], &metadata[1]};
    const Tercet__V1__Options none = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__Options options = none;
    options.deadline_ms = (uint32_t)TERCET_TIMEOUT_MS_MAX + 1;
    check(begin_with("g", &options), TERCET_INVALID, "30 days");
    options = none;
    options.retry_base_ms = 3600001;
    check(begin_with("g", &options), TERCET_INVALID, "an hour");
    options = none;
    options.retry_cap_ms = 3600001;
    check(begin_with("g", &options), TERCET_INVALID, "an hour");
    options = none;
    options.metadata = metadatas;
    options.n_metadata = 2;
    metadata[0].key = (char *)(uintptr_t) "Upper";
    metadata[1].key = (char *)(uintptr_t) "k";
    check(begin_with("g", &options), TERCET_INVALID, "a-z");
    static char large[TERCET_METADATA_BYTES_MAX + 1];
    memset(large, 'v', sizeof(large) - 1);
    metadata[0] =
        (Tercet__V1__Metadata){.base = metadata[0].base, .key = metadata[1].key, .value = large};
    check(begin_with("g", &options), TERCET_INVALID, "4096");
    cr_assert_eq(bench.c->shards->table.count, 0);
}

Test(plan, own_calls_are_not_for_services_with_several_databases)
{
    struct branch_plan plan;
    struct instance instance = {.is_sharded = true};
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT;
    branch.action = (char *)(uintptr_t) "stock/do";
    struct service *service = service_get_to_serve(&bench.c->services, "stock", 5, &bench.no);
    service->instances = &instance;
    offer_set(&instance.offer, (char *[]){(char *)"do"}, 1, NULL, 0);
    check(plan_branch(bench.c, INITIATOR, &branch, 1, TXN_MODE_OWN, &plan, &bench.no),
          TERCET_INVALID, "sharded");
    check(plan_branch(bench.c, INITIATOR, &branch, 1, TXN_MODE_ROUTED, &plan, &bench.no), 0, NULL);
    service->instances = NULL;
    offer_clear(&instance.offer);
    check(plan_branch(bench.c, INITIATOR, &branch, 1, TXN_MODE_OWN, &plan, &bench.no), 0, NULL);
}

Test(plan, who_began_it_is_kept)
{
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    look_for("one");
    check(plan_begin(bench.c, &request, "one", "shop-1", &bench.found, &bench.no), 0, NULL);
    cr_assert_str_eq(bench.c->shards[0].table.newest->begun_by, "shop-1");
}

Test(plan, gids_are_checked)
{
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    check(begin_with("not a gid", NULL), TERCET_INVALID, "characters");
    request.gid = (char *)(uintptr_t) "one";
    int result = plan_begin(bench.c, &request, "another", "", &bench.found, &bench.no);
    check(result, TERCET_INVALID, "differ");
    look_for("one");
    check(plan_begin(bench.c, &request, "one", "", &bench.found, &bench.no), 0, NULL);
}

Test(plan, new_work_may_be_refused)
{
    Tercet__V1__Branch branch;
    init_branches(&branch, 1);
    bench.c->shards->headroom.refuses = "no room";
    check(begin_with("g1", NULL), TERCET_EXHAUSTED, "no room");
    check(run_with("g1", &branch, 1), TERCET_EXHAUSTED, "no room");
    bench.c->shards->headroom.refuses = NULL;
    for (int i = 1; i <= OPEN_MAX; i++) {
        char gid[8] = {'g', (char)('0' + i), '\0'};
        check(begin_with(gid, NULL), 0, NULL);
    }
    check(begin_with("g4", NULL), TERCET_EXHAUSTED, "--open-max");
    bench.c->is_closing = true;
    check(begin_with("g4", NULL), TERCET_UNAVAILABLE, "stopping");
    check(begin_with("g3", NULL), 0, NULL);
}

/* -- What has ended ---------------------------------------------------------------------------- */

static void set_resolved_of(const char *gid, uint64_t plan_digest, bool has_state, size_t actions,
                            size_t digests)
{
    static char *names[] = {(char *)(uintptr_t) "stock/reserve", (char *)(uintptr_t) "pay/reserve"};
    static uint64_t numbers[] = {1, 2};
    Tercet__Store__V1__Resolved resolved = TERCET__STORE__V1__RESOLVED__INIT;
    Tercet__Store__V1__State state = TERCET__STORE__V1__STATE__INIT;
    Tercet__Store__V1__BranchState branches[2] = {TERCET__STORE__V1__BRANCH_STATE__INIT,
                                                  TERCET__STORE__V1__BRANCH_STATE__INIT};
    Tercet__Store__V1__BranchState *views[] = {&branches[0], &branches[1]};
    branches[0].number = 3;
    branches[1].number = 8;
    state.gid = (char *)(uintptr_t)gid;
    state.plan_digest = plan_digest;
    state.branches = views;
    state.n_branches = 2;
    resolved.state = has_state ? &state : NULL;
    resolved.actions = names;
    resolved.n_actions = actions;
    resolved.digests = numbers;
    resolved.n_digests = digests;
    bench.find_result = 0;
    bench.resolved = record_encode(&bench.c->scratch, RECORD_RESOLVED, &resolved.base);
}

static void set_resolved(uint64_t plan_digest, bool has_state, size_t actions, size_t digests)
{
    set_resolved_of("ended", plan_digest, has_state, actions, digests);
}

static int find_ended(void)
{
    find_clear(&bench.found);
    look_for("ended");
    return find_check(&bench.found, &bench.no);
}

Test(plan, what_has_ended_is_found)
{
    check(find_ended(), TERCET_NOT_FOUND, NULL);
    set_resolved(5, true, 2, 2);
    check(find_ended(), 0, NULL);
    cr_assert_null(bench.found.entry);
    cr_assert_eq(bench.found.number, 7);
    cr_assert_eq(find_resolved_branch(bench.found.resolved, 3), 0);
    cr_assert_eq(find_resolved_branch(bench.found.resolved, 8), 1);
    cr_assert_eq(find_resolved_branch(bench.found.resolved, 1), -1);
}

Test(plan, a_repeat_of_what_has_ended_is_known_by_its_digest)
{
    check(begin_with("ended", NULL), 0, NULL);
    uint64_t digest = bench.found.entry->plan_digest;
    step_forget(bench.c, bench.found.entry);
    set_resolved(digest, true, 2, 2);
    check(begin_with("ended", NULL), 0, NULL);
    cr_assert_not_null(bench.found.resolved);
    set_resolved(digest + 1, true, 2, 2);
    check(begin_with("ended", NULL), TERCET_EXISTS, "another gid makes another");
    cr_assert_eq(bench.c->shards->table.count, 0);
}

/* It is not told as "unknown": a Run that comes again would run again. */
Test(plan, a_damaged_record_of_what_has_ended_is_told)
{
    set_resolved(5, false, 0, 0);
    check(find_ended(), TERCET_FORMAT, "damaged");
    set_resolved(5, true, 1, 2);
    check(find_ended(), TERCET_FORMAT, "damaged");
    set_resolved(5, true, 2, 1);
    check(find_ended(), TERCET_FORMAT, "damaged");
    set_resolved(5, true, 2, 2);
    bench.resolved.size--;
    check(find_ended(), TERCET_FORMAT, "damaged");
    set_resolved_of("endee", 5, true, 2, 2);
    check(find_ended(), TERCET_FORMAT, "damaged");
    cr_assert_not(atomic_load(&bench.c->has_failed), "the others go on");
    cr_assert_null(bench.found.resolved);
}

Test(plan, a_store_that_cannot_be_read_stops_the_coordinator)
{
    bench.find_result = TERCET_STORE_IO;
    check(find_ended(), TERCET_UNAVAILABLE, NULL);
    cr_assert(atomic_load(&bench.c->has_failed));
}

static int scan(void *state, uint32_t shard, uint64_t first, uint64_t last,
                tercet_store_scan_fn each, void *ctx)
{
    (void)state;
    (void)shard;
    (void)each;
    (void)ctx;
    cr_assert_eq(first, last);
    return TERCET_STORE_IO;
}

/* After a restart an entry is there before what belongs to it has been read. */
Test(plan, an_entry_that_cannot_be_read_stops_the_coordinator)
{
    check(begin_with("ended", NULL), 0, NULL);
    struct entry *entry = bench.found.entry;
    bench.store.driver.scan = scan;
    entry->is_cold = true;
    check(find_ended(), TERCET_UNAVAILABLE, NULL);
    cr_assert_null(bench.found.entry);
    cr_assert(atomic_load(&bench.c->has_failed));
    entry->is_cold = false;
}

/* -- Branches ---------------------------------------------------------------------------------- */

static int check_one(const Tercet__V1__Branch *branch)
{
    return plan_check_branch(branch, &bench.no);
}

Test(plan, branches_are_checked)
{
    Tercet__V1__Branch good, bad;
    init_branches(&good, 1);
    good.number = 1;
    check(check_one(&good), 0, NULL);
    check(check_one(NULL), TERCET_INVALID, "missing");
    bad = good;
    bad.number = 0;
    check(check_one(&bad), TERCET_INVALID, "1 to 1024");
    bad = good;
    bad.action = (char *)(uintptr_t) "reserve";
    check(check_one(&bad), TERCET_INVALID, "service/name");
    bad = good;
    bad.payload.len = TERCET_PAYLOAD_MAX + 1;
    check(check_one(&bad), TERCET_INVALID, "65536");
    bad = good;
    bad.try_timeout_ms = (uint32_t)TERCET_TIMEOUT_MS_MAX + 1;
    check(check_one(&bad), TERCET_INVALID, "30 days");
}

Test(plan, runs_are_checked_as_a_whole)
{
    static Tercet__V1__Branch branches[TERCET_BRANCHES_MAX + 1];
    init_branches(branches, TERCET_BRANCHES_MAX + 1);
    check(run_with("g", branches, 0), TERCET_INVALID, "no branches");
    check(run_with("g", branches, TERCET_BRANCHES_MAX + 1), TERCET_INVALID, "at most 1024");
    branches[1].number = TERCET_BRANCHES_MAX + 1;
    check(run_with("g", branches, 2), TERCET_INVALID, "1 to 1024");
    branches[0].number = branches[1].number = 1;
    check(run_with("g", branches, 2), TERCET_INVALID, "same number");
    branches[0].number = 0;
    branches[1].number = 2;
    branches[1].action = (char *)(uintptr_t) "reserve";
    check(run_with("g", branches, 2), TERCET_INVALID, "service/name");
    cr_assert_eq(bench.c->shards->table.count, 0);
}

Test(plan, the_branches_of_a_run_are_enlisted_by_number)
{
    static const uint32_t numbers[] = {9, 2, 5};
    Tercet__V1__Branch branches[3];
    init_branches(branches, 3);
    for (size_t i = 0; i < 3; i++)
        branches[i].number = numbers[i];
    check(run_with("g", branches, 3), 0, NULL);
    const struct entry *entry = bench.found.entry;
    cr_assert(entry->txn.options.decides_itself);
    cr_assert_eq(entry->txn.branch_count, 3);
    cr_assert_eq(entry->txn.branches[0].number, 2);
    cr_assert_eq(entry->txn.branches[2].number, 9);
    cr_assert_eq(entry->txn.branches[0].try_until_ms, 1000 + TRY_TIMEOUT_MS_DEFAULT);
    check(run_with("g", branches, 3), 0, NULL);
    cr_assert_eq(bench.found.entry, entry);
    branches[1].number = 3;
    check(run_with("g", branches, 3), TERCET_EXISTS, "another plan");
}

Test(plan, branches_without_a_number_take_those_that_are_free)
{
    static const uint32_t given[] = {2, 0, 0, 1, 0, TERCET_BRANCHES_MAX};
    static const uint32_t actual[] = {1, 2, 3, 4, 5, TERCET_BRANCHES_MAX};
    Tercet__V1__Branch branches[6];
    init_branches(branches, 6);
    for (size_t i = 0; i < 6; i++)
        branches[i].number = given[i];
    branches[1].try_timeout_ms = 7000;
    check(run_with("g", branches, 6), 0, NULL);
    const struct entry *entry = bench.found.entry;
    for (size_t i = 0; i < 6; i++)
        cr_assert_eq(entry->txn.branches[i].number, actual[i]);
    cr_assert_eq(entry_info(entry, &entry->txn.branches[2])->try_timeout_ms, 7000,
                 "the first without a number is 3");
}

/* -- The same request, and another one --------------------------------------------------------- */

static int run_as(Tercet__V1__Options *options, Tercet__V1__Branch *branches, size_t count)
{
    Tercet__V1__Branch *views[4];
    Tercet__V1__RunRequest request = TERCET__V1__RUN_REQUEST__INIT;
    for (size_t i = 0; i < count; i++)
        views[i] = &branches[i];
    request.gid = (char *)(uintptr_t) "g";
    request.options = options;
    request.branches = views;
    request.n_branches = count;
    find_clear(&bench.found);
    look_for("g");
    return plan_run(bench.c, INITIATOR, &request, "", &bench.found, &bench.no);
}

Test(plan, trace_context_and_defaults_spelt_out_are_no_other_content)
{
    Tercet__V1__Branch branches[2];
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__Metadata trace = TERCET__V1__METADATA__INIT, order = TERCET__V1__METADATA__INIT;
    Tercet__V1__Metadata *metadata[] = {&order, &trace};
    init_branches(branches, 2);
    order.key = (char *)(uintptr_t) "order", order.value = (char *)(uintptr_t) "17";
    trace.key = (char *)(uintptr_t) "traceparent", trace.value = (char *)(uintptr_t) "00-1-1-01";
    options.metadata = metadata, options.n_metadata = 1;
    check(run_as(&options, branches, 2), 0, NULL);
    const struct entry *entry = bench.found.entry;

    options.n_metadata = 2;
    options.deadline_ms = TERCET_DEADLINE_MS_DEFAULT;
    branches[1].try_timeout_ms = TRY_TIMEOUT_MS_DEFAULT;
    check(run_as(&options, branches, 2), 0, NULL);
    cr_assert_eq(bench.found.entry, entry);
    trace.value = (char *)(uintptr_t) "00-2-2-01";
    check(run_as(&options, branches, 2), 0, NULL);
    cr_assert_eq(bench.found.entry, entry);
}

Test(plan, which_field_is_another_one_is_told)
{
    Tercet__V1__Branch branches[3];
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__Metadata order = TERCET__V1__METADATA__INIT, *metadata[] = {&order};
    uint8_t payload[] = {1};
    init_branches(branches, 3);
    order.key = (char *)(uintptr_t) "order", order.value = (char *)(uintptr_t) "17";
    check(run_as(&options, branches, 2), 0, NULL);
#define CHANGED(change, restore, name, number)                                                     \
    do {                                                                                           \
        change;                                                                                    \
        check(run_as(&options, branches, 2), TERCET_EXISTS, "another plan");                       \
        cr_assert_str_eq(bench.no.field, name);                                                    \
        cr_assert_eq(bench.no.branch, number);                                                     \
        restore;                                                                                   \
        check(run_as(&options, branches, 2), 0, NULL);                                             \
    } while (0)
    CHANGED(options.deadline_ms = 5000, options.deadline_ms = 0, "options.deadline_ms", 0);
    CHANGED(options.ordered = true, options.ordered = false, "options.ordered", 0);
    CHANGED(options.retry_base_ms = 7, options.retry_base_ms = 0, "options.retry_base_ms", 0);
    CHANGED(options.retry_cap_ms = 7, options.retry_cap_ms = 0, "options.retry_cap_ms", 0);
    CHANGED(options.park_after_failures = 7, options.park_after_failures = 0,
            "options.park_after_failures", 0);
    CHANGED(options.park_after_ms = 7, options.park_after_ms = 0, "options.park_after_ms", 0);
    CHANGED((options.metadata = metadata, options.n_metadata = 1), options.n_metadata = 0,
            "options", 0);
    CHANGED(branches[1].action = (char *)(uintptr_t) "stock/return",
            branches[1].action = (char *)(uintptr_t) "stock/reserve", "branch.action", 2);
    CHANGED((branches[1].payload = (ProtobufCBinaryData){1, payload}),
            (branches[1].payload = (ProtobufCBinaryData){0, NULL}), "branch.payload", 2);
    CHANGED(branches[0].try_timeout_ms = 7, branches[0].try_timeout_ms = 0, "branch.try_timeout_ms",
            1);
    CHANGED(branches[0].call_timeout_ms = 7, branches[0].call_timeout_ms = 0,
            "branch.call_timeout_ms", 1);
    CHANGED(branches[1].end_timeout_ms = 7, branches[1].end_timeout_ms = 0, "branch.end_timeout_ms",
            2);
    CHANGED(branches[1].number = 9, branches[1].number = 0, "branches", 9);
#undef CHANGED
    check(run_as(&options, branches, 1), TERCET_EXISTS, "another plan");
    cr_assert_str_eq(bench.no.field, "branches");
    check(run_as(&options, branches, 3), TERCET_EXISTS, "branch 3");
    check(begin_with("g", &options), TERCET_EXISTS, "begun by Run");
}

/* What was sent first is known again after the coordinator was restarted with other defaults. */
Test(plan, configured_defaults_are_no_part_of_the_content)
{
    Tercet__V1__Branch branches[1];
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    init_branches(branches, 1);
    options.retry_base_ms = 50, options.park_after_failures = 7;
    check(run_as(&options, branches, 1), 0, NULL);
    const struct entry *entry = bench.found.entry;
    bench.c->options.retry_base_ms = 60, bench.c->options.park_after_failures = 7;
    check(run_as(&options, branches, 1), 0, NULL);
    cr_assert_eq(bench.found.entry, entry);
    options.retry_base_ms = 60;
    check(run_as(&options, branches, 1), TERCET_EXISTS, "retry_base_ms");
}

/* Stores have digests that earlier versions made, which took every field as it came. */
Test(plan, digests_of_earlier_versions_are_known)
{
    static const uint64_t plain = 0x159d638cadbe3019, spelt_out = 0xea536d7c35d1d332;
    Tercet__V1__Branch branches[1];
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    init_branches(branches, 1);
    check(run_as(&options, branches, 1), 0, NULL);
    cr_assert_eq(bench.found.entry->plan_digest, plain);
    bench.found.entry->plan_digest = spelt_out;
    check(run_as(&options, branches, 1), TERCET_EXISTS, NULL);
    options.deadline_ms = TERCET_DEADLINE_MS_DEFAULT;
    check(run_as(&options, branches, 1), 0, NULL);
}

Test(plan, a_branch_digest_of_an_earlier_version_is_known)
{
    static const uint64_t spelt_out = 0x562adce3468ba9df; /* of try_timeout_ms 10000 as it came */
    struct branch_plan plan = {.number = 1, .mode = TXN_MODE_ROUTED, .digest = 5};
    Tercet__V1__Branch branches[1];
    init_branches(branches, 1);
    branches[0].try_timeout_ms = TRY_TIMEOUT_MS_DEFAULT;
    plan_match(&plan, branches, spelt_out + 1);
    cr_assert_eq(plan.digest, 5, "other content");
    plan_match(&plan, branches, spelt_out);
    cr_assert_eq(plan.digest, spelt_out);
}

/* So many services that nobody has served are named by these, of whom each has named as many. */
static void name_services(size_t first, size_t count, uint64_t initiators)
{
    char name[32];
    struct refusal no;
    for (size_t i = first; i < first + count; i++) {
        int size = snprintf(name, sizeof(name), "misspelt-%zu", i);
        uint64_t initiator = 1 + i % initiators;
        cr_assert_not_null(
            service_get_to_call(&bench.c->services, initiator, name, (size_t)size, &no), "%s",
            no.text);
    }
}

/* Who has named too many that nobody serves is told; the others, and whoever serves one, go on. */
Test(plan, too_many_services_of_one_initiator_are_told)
{
    Tercet__V1__Branch branch;
    struct refusal no;
    init_branches(&branch, 1);
    name_services(0, SERVICES_UNSERVED_EACH, 1);
    check(run_with("g", &branch, 1), TERCET_EXHAUSTED, "spelt right");
    cr_assert_eq(bench.c->shards->table.count, 0);
    cr_assert_not_null(service_get_to_call(&bench.c->services, 2, "other", 5, &no));
    cr_assert_not_null(service_get_to_serve(&bench.c->services, "misspelt-7", 10, &no));
    check(run_with("g", &branch, 1), 0, NULL);
}

Test(plan, unused_services_are_forgotten)
{
    Tercet__V1__Branch branch;
    init_branches(&branch, 1);
    name_services(0, SERVICES_UNSERVED_EACH, 1);
    service_sweep(&bench.c->services);
    cr_assert_eq(bench.c->services.count, 0);
    check(run_with("g", &branch, 1), 0, NULL);
}

/* All of them together shut out no participant. */
Test(plan, too_many_services_are_told)
{
    Tercet__V1__Branch branch;
    struct refusal no;
    init_branches(&branch, 1);
    name_services(0, SERVICES_UNSERVED_MAX, 100);
    check(run_with("g", &branch, 1), TERCET_EXHAUSTED, "all initiators name 4096");
    cr_assert_eq(bench.c->shards->table.count, 0);
    cr_assert_not_null(service_get_to_serve(&bench.c->services, "new", 3, &no));
    service_sweep(&bench.c->services);
}

/* -- Reasons and results ----------------------------------------------------------------------- */

Test(plan, the_first_reason_is_kept_while_it_is_undecided)
{
    check(begin_with("g", NULL), 0, NULL);
    struct entry *entry = bench.found.entry;
    step_keep_reason(entry, "");
    cr_assert_null(entry->reason);
    entry->txn.state = TXN_CANCELLING;
    step_keep_reason(entry, "too late");
    cr_assert_null(entry->reason);
    entry->txn.state = TXN_TRYING;
    step_keep_reason(entry, "first");
    step_keep_reason(entry, "second");
    cr_assert_str_eq(entry->reason, "first");
}

Test(plan, results_of_the_core)
{
    static const int pairs[][2] = {{0, 0},
                                   {TXN_EXISTS, TERCET_EXISTS},
                                   {TXN_DECIDED_ALREADY, TERCET_DECIDED},
                                   {TXN_NOT_READY, TERCET_NOT_READY},
                                   {TXN_NOT_PARKED, TERCET_NOT_READY},
                                   {TXN_UNDECIDED, TERCET_NOT_READY},
                                   {TXN_ENDED, TERCET_NOT_READY},
                                   {TXN_NO_BRANCH, TERCET_NOT_FOUND},
                                   {TXN_LIMIT, TERCET_INVALID}};
    struct entry entry = {.txn = {.state = TXN_TRYING}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        struct refusal no = {.code = 0};
        cr_assert_eq(step_refusal(&entry, pairs[i][0], &no), pairs[i][1], "%d", pairs[i][0]);
        cr_assert_eq(no.code, pairs[i][1]);
    }
}
