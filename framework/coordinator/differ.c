/* SPDX-License-Identifier: Apache-2.0
 *
 * differ.h
 */
#include "differ.h"

#include "coordinator.h"
#include "record.h"
#include "step.h"

#include <string.h>

#define WHAT_TO_DO                                                                                 \
    "to learn its outcome send what was sent first; another gid makes another transaction"

/* -- Options ----------------------------------------------------------------------------------- */

/* What is known of a transaction's options, whether it is over or not. */
struct known {
    bool is_run;
    bool is_ordered;
    bool keeps_on_refusal;
    int64_t deadline_ms;
    uint32_t retry_base_ms;
    uint32_t retry_cap_ms;
    uint32_t park_attempts;
    int64_t park_after_ms;
};

static struct known known_of_entry(const struct entry *entry)
{
    const struct txn_options *options = &entry->txn.options;
    return (struct known){options->decides_itself,   options->is_ordered,
                          options->keeps_on_refusal, entry->deadline_wall_ms - entry->created_ms,
                          options->retry_base_ms,    options->retry_cap_ms,
                          options->park_attempts,    options->park_after_ms};
}

static struct known known_of_resolved(const Tercet__Store__V1__State *state)
{
    return (struct known){(state->flags & RECORD_FLAG_DECIDES_ITSELF) != 0,
                          (state->flags & RECORD_FLAG_ORDERED) != 0,
                          (state->flags & RECORD_FLAG_KEEPS_ON_REFUSAL) != 0,
                          state->deadline_ms - state->created_ms,
                          state->retry_base_ms,
                          state->retry_cap_ms,
                          state->park_attempts,
                          state->park_after_ms};
}

static bool is_other(int64_t known, uint32_t asked, int64_t default_value)
{
    return known != (asked != 0 ? (int64_t)asked : default_value);
}

/* The first option that is another one; NULL: none but, perhaps, the metadata. */
static const char *other_option(const struct known *known, const struct asked *asked)
{
    const struct tercet_coordinator_options *defaults = &asked->c->options;
    const Tercet__V1__Options *options = asked->options;
    if (is_other(known->deadline_ms, options->deadline_ms, TERCET_DEADLINE_MS_DEFAULT))
        return "options.deadline_ms";
    if (known->is_ordered != options->ordered)
        return "options.ordered";
    if (!known->is_run && known->keeps_on_refusal != options->keep_on_refusal)
        return "options.keep_on_refusal";
    if (is_other(known->retry_base_ms, options->retry_base_ms, defaults->retry_base_ms))
        return "options.retry_base_ms";
    if (is_other(known->retry_cap_ms, options->retry_cap_ms, defaults->retry_cap_ms))
        return "options.retry_cap_ms";
    if (is_other(known->park_attempts, options->park_after_failures, defaults->park_after_failures))
        return "options.park_after_failures";
    if (is_other(known->park_after_ms, options->park_after_ms, defaults->park_after_ms))
        return "options.park_after_ms";
    return NULL;
}

/* -- Branches ---------------------------------------------------------------------------------- */

/* What is known of one branch. */
struct known_branch {
    int mode; /* an enum txn_mode; -1: not known any more */
    const char *service;
    const char *action;     /* NULL: the service's text has both, "service/name" */
    int64_t try_timeout_ms; /* 0: not known any more, nor are */
    struct call_timeouts timeouts;
    uint64_t digest;
};

/* What is asked of one. */
struct asked_branch {
    const char *action; /* "service/name" */
    uint32_t number;
    int64_t try_timeout_ms;
    struct call_timeouts timeouts;
};

static bool find_branch(const struct found *found, uint32_t number, struct known_branch *out)
{
    if (found->entry != NULL) {
        const struct txn_branch *branch = txn_find(&found->entry->txn, number);
        if (branch == NULL)
            return false;
        const struct branch_info *info = entry_info(found->entry, branch);
        *out = (struct known_branch){branch->mode,         info->service->name, info->action,
                                     info->try_timeout_ms, info->timeouts,      branch->digest};
        return true;
    }
    int index = find_resolved_branch(found->resolved, number);
    if (index >= 0)
        *out = (struct known_branch){.mode = -1,
                                     .service = found->resolved->actions[index],
                                     .digest = found->resolved->digests[index]};
    return index >= 0;
}

static bool is_action(const struct known_branch *known, const char *action)
{
    size_t size = strlen(known->service);
    if (known->action == NULL)
        return strcmp(known->service, action) == 0;
    return strncmp(known->service, action, size) == 0 && action[size] == '/' &&
           strcmp(known->action, action + size + 1) == 0;
}

static int refuse_branch(struct refusal *no, uint32_t number, const char *field, const char *what)
{
    refusal_set(no, TERCET_EXISTS, "this gid exists with another plan: branch %u has %s; %s",
                number, what, WHAT_TO_DO);
    no->branch = number;
    no->field = field;
    return no->code;
}

/* The branch is there, and its content is another one. */
static int refuse_content(const struct known_branch *known, const struct asked_branch *asked,
                          struct refusal *no)
{
    uint32_t number = asked->number;
    bool has_timeouts = known->try_timeout_ms != 0;
    if (!is_action(known, asked->action))
        return refuse_branch(no, number, "branch.action", "another action");
    if (has_timeouts && known->try_timeout_ms != asked->try_timeout_ms)
        return refuse_branch(no, number, "branch.try_timeout_ms", "another try_timeout_ms");
    if (has_timeouts && known->timeouts.call_ms != asked->timeouts.call_ms)
        return refuse_branch(no, number, "branch.call_timeout_ms", "another call_timeout_ms");
    if (has_timeouts && known->timeouts.end_ms != asked->timeouts.end_ms)
        return refuse_branch(no, number, "branch.end_timeout_ms", "another end_timeout_ms");
    return refuse_branch(no, number, "branch.payload", "another payload");
}

int differ_branch(const struct found *found, const struct branch_plan *plan, struct refusal *no)
{
    struct known_branch known = {.mode = -1};
    char action[TERCET_ACTION_MAX + 1];
    stpcpy(stpcpy(stpcpy(action, plan->service->name), "/"), plan->action);
    if (!find_branch(found, plan->number, &known))
        return refuse_branch(no, plan->number, "branch.number", "another number");
    if (known.mode >= 0 && known.mode != (int)plan->mode)
        return refuse_branch(no, plan->number, "method",
                             "another way to be tried (Enlist and Try are not the same)");
    const struct asked_branch asked = {action, plan->number, plan->try_timeout_ms, plan->timeouts};
    return refuse_content(&known, &asked, no);
}

/* 0: every branch that is asked for is there. Their digests are compared as a whole plan's; which
 * branch it is, its own content tells. */
static int other_branch(const struct found *found, const struct asked *asked,
                        const uint64_t *digests, struct refusal *no)
{
    const Tercet__V1__RunRequest *run = asked->run;
    for (size_t i = 0; i < run->n_branches; i++) {
        const Tercet__V1__Branch *branch = run->branches[i];
        const struct asked_branch content = {
            .action = branch->action,
            .number = asked->numbers[i],
            .try_timeout_ms =
                branch->try_timeout_ms != 0 ? branch->try_timeout_ms : TRY_TIMEOUT_MS_DEFAULT,
            .timeouts = {branch->call_timeout_ms, branch->end_timeout_ms}};
        struct known_branch known;
        if (!find_branch(found, asked->numbers[i], &known))
            return refuse_branch(no, asked->numbers[i], "branches", "no part in it");
        if (known.digest != digests[i])
            return refuse_content(&known, &content, no);
    }
    return 0;
}

/* -- The whole --------------------------------------------------------------------------------- */

static int refuse_field(struct refusal *no, const char *field)
{
    refusal_set(no, TERCET_EXISTS, "this gid exists with another plan: %s is another one; %s",
                field, WHAT_TO_DO);
    no->field = field;
    return no->code;
}

int differ_refusal(const struct found *found, const struct asked *asked, const uint64_t *digests,
                   struct refusal *no)
{
    struct known known = found->entry != NULL ? known_of_entry(found->entry)
                                              : known_of_resolved(found->resolved->state);
    size_t count =
        found->entry != NULL ? found->entry->txn.branch_count : found->resolved->state->n_branches;
    if (known.is_run != (asked->run != NULL))
        return refuse_field(no, known.is_run ? "run (it was begun by Run)"
                                             : "run (it was begun by Begin)");
    const char *field = other_option(&known, asked);
    if (field != NULL)
        return refuse_field(no, field);
    if (asked->run != NULL) {
        int rc = other_branch(found, asked, digests, no);
        if (rc != 0 || count != asked->run->n_branches)
            return rc != 0 ? rc : refuse_field(no, "branches");
    }
    /* A default that can be configured may have been spelt out, and is not now. */
    refusal_set(no, TERCET_EXISTS,
                "this gid exists with another plan: its metadata, or which options are given, are "
                "others; %s",
                WHAT_TO_DO);
    no->field = "options";
    return no->code;
}
