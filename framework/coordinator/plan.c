/* SPDX-License-Identifier: Apache-2.0
 *
 * plan.h
 */
#include "plan.h"

#include "check.h"
#include "coordinator.h"
#include "differ.h"
#include "record.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define RETRY_MS_MAX (3600u * 1000) /* longest pause that a request may ask for */

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

/* -- Digests ----------------------------------------------------------------------------------- */

/* By their digests repeated requests are recognised. What means the same has the same: a default
 * that is spelt out is as if it were not, and trace context does not count. Defaults that can be
 * configured are no part of it: the same request must be known when they have changed. Earlier
 * versions digested every field as it came: their digests are in the store, and are tried second.
 */
enum digest_form { DIGEST_MEANING, DIGEST_VERBATIM };

static uint32_t unless_default(uint32_t value, int64_t default_value)
{
    return value == default_value ? 0 : value;
}

static Tercet__V1__Options meaning_of_options(struct coordinator *c,
                                              const Tercet__V1__Options *options)
{
    Tercet__V1__Options out = *options;
    out.deadline_ms = unless_default(out.deadline_ms, TERCET_DEADLINE_MS_DEFAULT);
    if (options->n_metadata == 0)
        return out;
    out.metadata = arena_alloc(&c->scratch, options->n_metadata * sizeof(*out.metadata));
    out.n_metadata = 0;
    for (size_t i = 0; i < options->n_metadata; i++)
        if (!check_is_trace(options->metadata[i]->key))
            out.metadata[out.n_metadata++] = options->metadata[i];
    return out;
}

static uint64_t digest_options(struct coordinator *c, const Tercet__V1__Options *options,
                               enum digest_form form)
{
    Tercet__V1__Options meaning =
        form == DIGEST_MEANING ? meaning_of_options(c, options) : *options;
    struct crpc_bytes bytes = arena_pack(&c->scratch, 0, &meaning.base);
    return XXH3_64bits(bytes.data, bytes.size);
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

static uint64_t digest_branch(const Tercet__V1__Branch *branch, uint32_t number, enum txn_mode mode,
                              enum digest_form form)
{
    uint32_t timeout_ms = branch->try_timeout_ms;
    if (form == DIGEST_MEANING)
        timeout_ms = unless_default(timeout_ms, TRY_TIMEOUT_MS_DEFAULT);
    uint64_t head[2] = {(uint64_t)number << 1 | digest_of_mode(mode), timeout_ms};
    uint64_t digest = XXH3_64bits(head, sizeof(head));
    const uint32_t timeouts[2] = {branch->call_timeout_ms, branch->end_timeout_ms};
    if (timeouts[0] != 0 || timeouts[1] != 0) /* digests of requests without them stay the same */
        digest = XXH3_64bits_withSeed(timeouts, sizeof(timeouts), digest);
    digest = XXH3_64bits_withSeed(branch->action, strlen(branch->action), digest);
    return XXH3_64bits_withSeed(branch->payload.data, branch->payload.len, digest);
}

/* Those of a run's branches, with room for one more. */
static uint64_t *digest_branches(const struct asked *asked, enum digest_form form)
{
    const Tercet__V1__RunRequest *run = asked->run;
    size_t count = run != NULL ? run->n_branches : 0;
    uint64_t *digests = arena_alloc(&asked->c->scratch, (count + 1) * sizeof(*digests));
    for (size_t i = 0; i < count; i++)
        digests[i] = digest_branch(run->branches[i], asked->numbers[i], TXN_MODE_ROUTED, form);
    return digests;
}

static uint64_t digest_asked(const struct asked *asked, enum digest_form form)
{
    uint64_t digest = digest_options(asked->c, asked->options, form);
    if (asked->run == NULL)
        return digest;
    size_t count = asked->run->n_branches;
    uint64_t *digests = digest_branches(asked, form);
    digests[count] = digest;
    return XXH3_64bits(digests, (count + 1) * sizeof(*digests));
}

/* -- Beginning --------------------------------------------------------------------------------- */

/* For a malformed request, what was found of its gid does not matter and is not told. */
static int malformed(const char *wrong, struct found *found, struct refusal *no)
{
    *found = (struct found){.error = TERCET_INVALID};
    return refusal_if(no, TERCET_INVALID, wrong);
}

static bool is_same(const struct found *found, const struct asked *asked)
{
    const struct entry *entry = found->entry;
    uint64_t known = entry != NULL ? entry->plan_digest : found->resolved->state->plan_digest;
    if (entry != NULL && entry->txn.options.decides_itself != (asked->run != NULL))
        return false;
    return known == asked->digest || known == digest_asked(asked, DIGEST_VERBATIM);
}

/* Whether the transaction that was found has the same plan. TERCET_NOT_FOUND, and no refusal: there
 * is none. */
static int check_same(const struct found *found, const struct asked *asked, struct refusal *no)
{
    if (found->error != 0)
        return found->error == TERCET_NOT_FOUND ? TERCET_NOT_FOUND : find_check(found, no);
    if (is_same(found, asked))
        return 0;
    return differ_refusal(found, asked, digest_branches(asked, DIGEST_MEANING), no);
}

/* Transactions that have ended count until they have left the table, when they are durable. */
static size_t unresolved(const struct table *table)
{
    return table->count - table->counts.in_state[TXN_CONFIRMED] -
           table->counts.in_state[TXN_CANCELLED];
}

const char *plan_refuses(const struct coordinator *c, const struct shard *shard)
{
    if (c->is_closing)
        return COORDINATOR_STOPPING;
    if (unresolved(&shard->table) >= c->options.open_max)
        return "too many transactions are unresolved (--open-max): see tercetctl ls";
    return shard->headroom.refuses;
}

static int may_add(struct coordinator *c, struct shard *shard, uint64_t room, struct refusal *no)
{
    const char *text = plan_refuses(c, shard);
    if (text != NULL)
        return refusal_set(no, c->is_closing ? TERCET_UNAVAILABLE : TERCET_EXHAUSTED, "%s", text);
    return headroom_take(&shard->headroom, room, no);
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

static struct entry *add(const struct asked *asked)
{
    struct coordinator *c = asked->c;
    const Tercet__V1__Options *options = asked->options;
    struct entry *entry = add_entry(c, asked->shard, asked->gid);
    int64_t deadline_ms =
        options->deadline_ms != 0 ? options->deadline_ms : TERCET_DEADLINE_MS_DEFAULT;
    entry->plan_digest = asked->digest;
    entry->begun_by = asked->begun_by[0] != '\0' ? must_strdup(asked->begun_by) : NULL;
    entry->txn.deadline_ms = c->clock.now_ms + deadline_ms;
    entry->deadline_wall_ms = c->clock.wall_ms + deadline_ms;
    apply_options(entry, options);
    table_set_wake(&entry->shard->table, entry, txn_wake_ms(&entry->txn));
    batch_force(entry);
    c->totals.begun++;
    return entry;
}

/* Who names no gid gets one. */
static void choose_gid(struct asked *asked, struct found *found, struct tercet_gid *made)
{
    if (asked->gid[0] == '\0') {
        find_make_gid(asked->c, made, found);
        asked->gid = made->text;
    }
    assert(found->shard != NULL || found->error != TERCET_NOT_FOUND);
    asked->shard = found->shard;
}

int plan_begin(struct coordinator *c, const Tercet__V1__BeginRequest *message, const char *gid,
               const char *begun_by, struct found *found, struct refusal *no)
{
    Tercet__V1__Options none = TERCET__V1__OPTIONS__INIT;
    struct asked asked = {.c = c,
                          .options = message->options != NULL ? message->options : &none,
                          .gid = gid,
                          .begun_by = begun_by};
    struct tercet_gid made;
    if (message->gid[0] != '\0' && strcmp(message->gid, gid) != 0)
        return malformed("the gid of the request and of its begin differ", found, no);
    choose_gid(&asked, found, &made);
    const char *wrong = check_options(asked.options);
    if (wrong != NULL)
        return malformed(wrong, found, no);
    asked.digest = digest_asked(&asked, DIGEST_MEANING);
    int rc = check_same(found, &asked, no);
    if (rc != TERCET_NOT_FOUND)
        return rc;
    rc = may_add(c, asked.shard, room_of_options(asked.shard, asked.options), no);
    if (rc == 0)
        *found = (struct found){.shard = asked.shard, .entry = add(&asked)};
    return rc;
}

/* -- Branches ---------------------------------------------------------------------------------- */

static const char *check_branch(const Tercet__V1__Branch *branch)
{
    const char *wrong = check_action(branch->action);
    if (wrong == NULL)
        wrong = check_payload_size(branch->payload.len);
    if (wrong == NULL && branch->try_timeout_ms > TERCET_TIMEOUT_MS_MAX)
        wrong = "try_timeout_ms is at most 2592000000 (30 days)";
    if (wrong == NULL)
        wrong = offer_check_timeouts(branch->call_timeout_ms, branch->end_timeout_ms);
    return wrong;
}

int plan_check_branch(const Tercet__V1__Branch *branch, struct refusal *no)
{
    if (branch == NULL)
        return refusal_set(no, TERCET_INVALID, "the branch is missing");
    const char *wrong = check_branch_number(branch->number);
    return refusal_if(no, TERCET_INVALID, wrong != NULL ? wrong : check_branch(branch));
}

/* What is known of the branch by an earlier version's digest is the same content. */
void plan_match(struct branch_plan *plan, const Tercet__V1__Branch *branch, uint64_t known)
{
    if (known == digest_branch(branch, plan->number, plan->mode, DIGEST_VERBATIM))
        plan->digest = known;
}

/* An own call's try is in a database that is not told here: its end would go to any. */
static int check_mode(const struct service *service, enum txn_mode mode, struct refusal *no)
{
    if (txn_mode_is_routed(mode) || !service_is_sharded(service))
        return 0;
    return refusal_set(no, TERCET_INVALID,
                       "service %s has several databases (sharded): its tries are called by the "
                       "coordinator (Try, Run), which keeps where they went",
                       service->name);
}

int plan_branch(struct coordinator *c, uint64_t initiator, const Tercet__V1__Branch *branch,
                uint32_t number, enum txn_mode mode, struct branch_plan *plan, struct refusal *no)
{
    const char *slash = strchr(branch->action, '/');
    plan->service = service_get_to_call(&c->services, initiator, branch->action,
                                        (size_t)(slash - branch->action), no);
    int rc = plan->service != NULL ? service_check_action(plan->service, slash + 1, no) : no->code;
    if (rc == 0)
        rc = check_mode(plan->service, mode, no);
    if (rc != 0) {
        service_sweep(&c->services); /* also those of branches before this one */
        return rc;
    }
    plan->number = number;
    plan->digest = digest_branch(branch, number, mode, DIGEST_MEANING);
    plan->action = slash + 1;
    plan->payload = (struct tercet_bytes){branch->payload.data, branch->payload.len};
    plan->try_timeout_ms =
        branch->try_timeout_ms != 0 ? branch->try_timeout_ms : TRY_TIMEOUT_MS_DEFAULT;
    plan->timeouts = (struct call_timeouts){branch->call_timeout_ms, branch->end_timeout_ms};
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
    if (message->n_branches == 0)
        return "the plan has no branches";
    if (message->n_branches > TERCET_BRANCHES_MAX)
        return "a transaction has at most 1024 branches";
    for (size_t i = 0; i < message->n_branches; i++) {
        const char *wrong = check_branch(message->branches[i]);
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

static int prepare_branches(const struct asked *asked, struct branch_plan *plans,
                            struct refusal *no)
{
    int rc = 0;
    for (size_t i = 0; i < asked->run->n_branches && rc == 0; i++)
        rc = plan_branch(asked->c, asked->initiator, asked->run->branches[i], asked->numbers[i],
                         TXN_MODE_ROUTED, &plans[i], no);
    return rc;
}

static uint64_t room_of(const struct asked *asked)
{
    uint64_t room = room_of_options(asked->shard, asked->options);
    for (size_t i = 0; i < asked->run->n_branches; i++)
        room += store_room_of(asked->shard->store, asked->run->branches[i]->payload.len);
    return room;
}

static int compare_plans(const void *left, const void *right)
{
    const struct branch_plan *a = left;
    const struct branch_plan *b = right;
    return a->number < b->number ? -1 : a->number > b->number;
}

static struct entry *begin_run(const struct asked *asked, struct branch_plan *plans)
{
    struct entry *entry = add(asked);
    entry->txn.options.decides_itself = true;
    entry->txn.options.keeps_on_refusal = false;
    /* The first enlisted is tried first, and an ordered plan is tried by number. */
    qsort(plans, asked->run->n_branches, sizeof(*plans), compare_plans);
    for (size_t i = 0; i < asked->run->n_branches; i++)
        step_enlist(asked->c, entry, &plans[i]);
    return entry;
}

/* Every branch is prepared before anything is made, so a plan that cannot be taken leaves
 * nothing. */
static int make_run(const struct asked *asked, struct found *found, struct refusal *no)
{
    size_t count = asked->run->n_branches;
    struct branch_plan *plans = arena_alloc(&asked->c->scratch, count * sizeof(*plans));
    int rc = may_add(asked->c, asked->shard, room_of(asked), no);
    if (rc == 0)
        rc = prepare_branches(asked, plans, no);
    if (rc == 0)
        *found = (struct found){.shard = asked->shard, .entry = begin_run(asked, plans)};
    return rc;
}

int plan_run(struct coordinator *c, uint64_t initiator, const Tercet__V1__RunRequest *message,
             const char *begun_by, struct found *found, struct refusal *no)
{
    Tercet__V1__Options none = TERCET__V1__OPTIONS__INIT;
    struct asked asked = {.c = c,
                          .initiator = initiator,
                          .run = message,
                          .options = message->options != NULL ? message->options : &none,
                          .gid = message->gid,
                          .begun_by = begun_by};
    struct tercet_gid own;
    choose_gid(&asked, found, &own);
    const char *wrong = check_run(message);
    if (wrong == NULL)
        wrong = check_options(asked.options);
    if (wrong == NULL) {
        asked.numbers = arena_alloc(&c->scratch, message->n_branches * sizeof(*asked.numbers));
        wrong = number_branches(message, asked.numbers);
    }
    if (wrong != NULL)
        return malformed(wrong, found, no);
    asked.digest = digest_asked(&asked, DIGEST_MEANING);
    int rc = check_same(found, &asked, no);
    return rc == TERCET_NOT_FOUND ? make_run(&asked, found, no) : rc;
}
