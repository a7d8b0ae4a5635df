/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.h
 */
#include "plan.h"

#include "check.h"
#include "coordinator.h"
#include "record.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define RETRY_MS_MAX (3600u * 1000) /* longest pause that a request may ask for */

static int invalid(const char *wrong, const char **text)
{
    *text = wrong;
    return wrong == NULL ? 0 : TERCET_INVALID;
}

/* -- Options ----------------------------------------------------------------------------------- */

static const char *check_metadata(const Tercet__V1__Options *options)
{
    size_t bytes = 0;
    const char *wrong = NULL;
    for (size_t i = 0; i < options->n_metadata && wrong == NULL; i++) {
        bytes += strlen(options->metadata[i]->key) + strlen(options->metadata[i]->value);
        wrong = check_metadata_entry(options->metadata[i]->key, options->metadata[i]->value);
    }
    return wrong != NULL ? wrong : check_metadata_size(options->n_metadata, bytes);
}

static const char *check_options(const Tercet__V1__Options *options)
{
    if (options->deadline_ms > TERCET_TIMEOUT_MS_MAX)
        return "deadline_ms is at most 2592000000 (30 days)";
    if (options->retry_base_ms > RETRY_MS_MAX || options->retry_cap_ms > RETRY_MS_MAX)
        return "retry_base_ms and retry_cap_ms are at most 3600000 (an hour)";
    return check_metadata(options);
}

static void apply_options(struct entry *entry, const Tercet__V1__Options *options)
{
    struct txn_options *to = &entry->txn.options;
    struct tercet_metadata metadata[TERCET_METADATA_MAX];
    to->is_ordered = options->ordered;
    to->keeps_on_refusal = options->keep_on_refusal;
    to->retry_base_ms = options->retry_base_ms != 0 ? options->retry_base_ms : to->retry_base_ms;
    to->retry_cap_ms = options->retry_cap_ms != 0 ? options->retry_cap_ms : to->retry_cap_ms;
    to->park_attempts =
        options->park_after_failures != 0 ? options->park_after_failures : to->park_attempts;
    to->park_after_ms = options->park_after_ms != 0 ? options->park_after_ms : to->park_after_ms;
    for (size_t i = 0; i < options->n_metadata; i++)
        metadata[i] =
            (struct tercet_metadata){options->metadata[i]->key, options->metadata[i]->value};
    entry_set_metadata(entry, metadata, options->n_metadata);
}

static uint64_t digest_options(struct arena *arena, const Tercet__V1__Options *options)
{
    struct crpc_bytes bytes = arena_pack(arena, 0, &options->base);
    return XXH3_64bits(bytes.data, bytes.size);
}

/* -- Beginning --------------------------------------------------------------------------------- */

/* What was found is not looked at, and not told. */
static int malformed(const char *wrong, struct found *found, const char **text)
{
    *found = (struct found){.error = TERCET_INVALID};
    return invalid(wrong, text);
}

/* Whether the transaction that was found has the same plan. TERCET_NOT_FOUND: there is none. */
static int check_same(const struct found *found, uint64_t digest, bool decides_itself,
                      const char **text)
{
    *text = found->text;
    if (found->error != 0)
        return found->error;
    const struct entry *entry = found->entry;
    bool is_same = entry != NULL ? entry->plan_digest == digest &&
                                       entry->txn.options.decides_itself == decides_itself
                                 : found->resolved->state->plan_digest == digest;
    if (is_same)
        return 0;
    *text = "a transaction with this gid exists with other options or another plan: to learn its "
            "outcome "
            "send what was sent first; another gid makes another transaction";
    return TERCET_EXISTS;
}

/* Those that have ended stay in the table until they are written. */
static size_t unresolved(const struct table *table)
{
    return table->count - table->counts.in_state[TXN_CONFIRMED] -
           table->counts.in_state[TXN_CANCELLED];
}

static int may_add(struct coordinator *c, struct shard *shard, uint64_t room, const char **text)
{
    if (c->is_closing) {
        *text = COORDINATOR_STOPPING;
        return TERCET_UNAVAILABLE;
    }
    if (unresolved(&shard->table) >= c->options.open_max) {
        *text = "too many transactions are unresolved (--open-max): see tercetctl ls";
        return TERCET_EXHAUSTED;
    }
    *text = headroom_take(&shard->headroom, room);
    return *text == NULL ? 0 : TERCET_EXHAUSTED;
}

static uint64_t room_of_options(struct shard *shard, const Tercet__V1__Options *options)
{
    return store_room_of(shard->store, protobuf_c_message_get_packed_size(&options->base));
}

/* TRYING, with the coordinator's defaults; its deadline is to be set. */
static struct entry *add_entry(struct coordinator *c, struct shard *shard, const char *gid)
{
    struct entry *entry = shard_add(shard, gid, shard->next_number++);
    struct txn_options options;
    txn_options_default(&options);
    options.retry_base_ms = c->options.retry_base_ms;
    options.retry_cap_ms = c->options.retry_cap_ms;
    options.park_attempts = c->options.park_after_failures;
    options.park_after_ms = c->options.park_after_ms;
    txn_init(&entry->txn, NULL, 0, &options, c->clock.now_ms, entry->number);
    entry->created_ms = c->clock.wall_ms;
    table_recount(&shard->table, entry);
    return entry;
}

static struct entry *add(struct coordinator *c, struct shard *shard, const char *gid,
                         const Tercet__V1__Options *options, uint64_t digest)
{
    struct entry *entry = add_entry(c, shard, gid);
    int64_t deadline_ms =
        options->deadline_ms != 0 ? options->deadline_ms : TERCET_DEADLINE_MS_DEFAULT;
    entry->plan_digest = digest;
    entry->txn.deadline_ms = c->clock.now_ms + deadline_ms;
    entry->deadline_wall_ms = c->clock.wall_ms + deadline_ms;
    apply_options(entry, options);
    table_set_wake(&entry->shard->table, entry, txn_wake_ms(&entry->txn));
    batch_force(entry);
    c->totals.begun++;
    return entry;
}

int plan_begin(struct coordinator *c, const Tercet__V1__BeginRequest *message, const char *gid,
               struct found *found, const char **text)
{
    Tercet__V1__Options none = TERCET__V1__OPTIONS__INIT;
    const Tercet__V1__Options *options = message->options != NULL ? message->options : &none;
    struct tercet_gid made;
    if (message->gid[0] != '\0' && strcmp(message->gid, gid) != 0)
        return malformed("the gid of the request and of its begin differ", found, text);
    if (gid[0] == '\0') {
        tercet_gid_make(&made);
        gid = made.text;
    }
    const char *wrong = check_options(options);
    if (wrong != NULL)
        return malformed(wrong, found, text);
    struct shard *shard = coordinator_shard_of(c, gid);
    uint64_t digest = digest_options(&c->scratch, options);
    int error = check_same(found, digest, false, text);
    if (error != TERCET_NOT_FOUND)
        return error;
    error = may_add(c, shard, room_of_options(shard, options), text);
    if (error == 0)
        found->entry = add(c, shard, gid, options, digest);
    return error;
}

/* -- Branches ---------------------------------------------------------------------------------- */

static const char *check_branch(const Tercet__V1__Branch *branch)
{
    const char *wrong = check_action(branch->action);
    if (wrong == NULL)
        wrong = check_payload_size(branch->payload.len);
    if (wrong == NULL && branch->try_timeout_ms > TERCET_TIMEOUT_MS_MAX)
        wrong = "try_timeout_ms is at most 2592000000 (30 days)";
    return wrong;
}

int plan_check_branch(const Tercet__V1__Branch *branch, const char **text)
{
    if (branch == NULL)
        return invalid("the branch is missing", text);
    const char *wrong = check_branch_number(branch->number);
    return invalid(wrong != NULL ? wrong : check_branch(branch), text);
}

/* Digests are in the store and must not change: the values are those of a time when there were two
 * modes and one bit for them. A further mode takes a bit above the number's. */
static uint64_t digest_of_mode(enum txn_mode mode)
{
    switch (mode) {
    case TXN_MODE_ROUTED:
        return 1;
    case TXN_MODE_OWN:
        break;
    }
    return 0;
}

static uint64_t digest_branch(const Tercet__V1__Branch *branch, uint32_t number, enum txn_mode mode)
{
    uint64_t head[2] = {(uint64_t)number << 1 | digest_of_mode(mode), branch->try_timeout_ms};
    uint64_t digest = XXH3_64bits(head, sizeof(head));
    digest = XXH3_64bits_withSeed(branch->action, strlen(branch->action), digest);
    return XXH3_64bits_withSeed(branch->payload.data, branch->payload.len, digest);
}

int plan_branch(struct coordinator *c, const Tercet__V1__Branch *branch, uint32_t number,
                enum txn_mode mode, struct branch_plan *plan, const char **text,
                char made[TERCET_TEXT_MAX])
{
    const char *slash = strchr(branch->action, '/');
    plan->service = service_get(&c->services, branch->action, (size_t)(slash - branch->action));
    if (plan->service == NULL) {
        *text = "too many services are known (4096)";
        return TERCET_EXHAUSTED;
    }
    int error = invalid(service_check_action(plan->service, slash + 1, made), text);
    if (error != 0) {
        service_sweep(&c->services);
        return error;
    }
    plan->number = number;
    plan->digest = digest_branch(branch, number, mode);
    plan->action = slash + 1;
    plan->payload = (struct tercet_bytes){branch->payload.data, branch->payload.len};
    plan->try_timeout_ms =
        branch->try_timeout_ms != 0 ? branch->try_timeout_ms : TRY_TIMEOUT_MS_DEFAULT;
    plan->mode = mode;
    return 0;
}

/* -- Run --------------------------------------------------------------------------------------- */

/* Numbers for all branches: those that are given, and for the others the smallest that are free, in
 * their order. */
static const char *number_branches(const Tercet__V1__RunRequest *message, uint32_t *numbers)
{
    bool is_taken[TERCET_BRANCHES_MAX + 1] = {false};
    uint32_t next = 1;
    for (size_t i = 0; i < message->n_branches; i++) {
        uint32_t number = message->branches[i]->number;
        const char *wrong = number != 0 ? check_branch_number(number) : NULL;
        if (wrong == NULL && number != 0 && is_taken[number])
            wrong = "two branches of the plan have the same number";
        if (wrong != NULL)
            return wrong;
        numbers[i] = number;
        is_taken[number] = number != 0;
    }
    for (size_t i = 0; i < message->n_branches; i++) {
        while (numbers[i] == 0 && is_taken[next])
            next++;
        if (numbers[i] == 0)
            numbers[i] = next++;
    }
    return NULL;
}

static const char *check_run(const Tercet__V1__RunRequest *message)
{
    const char *wrong = NULL;
    if (message->n_branches == 0)
        return "the plan has no branches";
    if (message->n_branches > TERCET_BRANCHES_MAX)
        return "a transaction has at most 1024 branches";
    for (size_t i = 0; i < message->n_branches && wrong == NULL; i++)
        wrong = check_branch(message->branches[i]);
    return wrong;
}

/* One Run on its way. */
struct run {
    struct coordinator *c;
    struct shard *shard;
    const Tercet__V1__RunRequest *message;
    const Tercet__V1__Options *options;
    const char *gid;
    uint32_t *numbers; /* of the message's branches */
    uint64_t digest;   /* of the whole plan */
};

static uint64_t digest_run(const struct run *run)
{
    size_t count = run->message->n_branches;
    struct arena *arena = &run->c->scratch;
    uint64_t *digests = arena_alloc(arena, (count + 1) * sizeof(*digests));
    for (size_t i = 0; i < count; i++)
        digests[i] = digest_branch(run->message->branches[i], run->numbers[i], TXN_MODE_ROUTED);
    digests[count] = digest_options(arena, run->options);
    return XXH3_64bits(digests, (count + 1) * sizeof(*digests));
}

static int prepare_branches(const struct run *run, struct branch_plan *plans, const char **text,
                            char made[TERCET_TEXT_MAX])
{
    int error = 0;
    for (size_t i = 0; i < run->message->n_branches && error == 0; i++)
        error = plan_branch(run->c, run->message->branches[i], run->numbers[i], TXN_MODE_ROUTED,
                            &plans[i], text, made);
    return error;
}

static uint64_t room_of(const struct run *run)
{
    uint64_t room = room_of_options(run->shard, run->options);
    for (size_t i = 0; i < run->message->n_branches; i++)
        room += store_room_of(run->shard->store, run->message->branches[i]->payload.len);
    return room;
}

static int compare_plans(const void *left, const void *right)
{
    const struct branch_plan *a = left;
    const struct branch_plan *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

static struct entry *begin_run(const struct run *run, struct branch_plan *plans)
{
    struct entry *entry = add(run->c, run->shard, run->gid, run->options, run->digest);
    entry->txn.options.decides_itself = true;
    entry->txn.options.keeps_on_refusal = false;
    /* The first enlisted is tried first, and an ordered plan is tried by number. */
    qsort(plans, run->message->n_branches, sizeof(*plans), compare_plans);
    for (size_t i = 0; i < run->message->n_branches; i++)
        step_enlist(run->c, entry, &plans[i]);
    return entry;
}

/* Every branch is prepared before anything is made, so a plan that cannot be taken leaves
 * nothing. */
static int make_run(const struct run *run, struct found *found, const char **text,
                    char made[TERCET_TEXT_MAX])
{
    size_t count = run->message->n_branches;
    struct branch_plan *plans = arena_alloc(&run->c->scratch, count * sizeof(*plans));
    int error = may_add(run->c, run->shard, room_of(run), text);
    if (error == 0)
        error = prepare_branches(run, plans, text, made);
    if (error == 0)
        found->entry = begin_run(run, plans);
    return error;
}

int plan_run(struct coordinator *c, const Tercet__V1__RunRequest *message, struct found *found,
             const char **text, char made[TERCET_TEXT_MAX])
{
    Tercet__V1__Options none = TERCET__V1__OPTIONS__INIT;
    struct run run = {.c = c,
                      .message = message,
                      .options = message->options != NULL ? message->options : &none,
                      .gid = message->gid};
    struct tercet_gid own;
    if (run.gid[0] == '\0') {
        tercet_gid_make(&own);
        run.gid = own.text;
    }
    const char *wrong = check_run(message);
    if (wrong == NULL)
        wrong = check_options(run.options);
    if (wrong == NULL) {
        run.numbers = arena_alloc(&c->scratch, message->n_branches * sizeof(*run.numbers));
        wrong = number_branches(message, run.numbers);
    }
    if (wrong != NULL)
        return malformed(wrong, found, text);
    run.shard = coordinator_shard_of(c, run.gid);
    run.digest = digest_run(&run);
    int error = check_same(found, run.digest, true, text);
    return error == TERCET_NOT_FOUND ? make_run(&run, found, text, made) : error;
}
