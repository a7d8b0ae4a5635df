/* SPDX-License-Identifier: Apache-2.0
 *
 * Carries out a story's commands and writes down what the core says.
 */
#include "story.h"

#include "transcript.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define STORY_BRANCHES 8
#define STORY_WORDS 8

struct story {
    struct txn txn;
    struct txn_branch branches[STORY_BRANCHES];
    struct txn durable; /* as of the last PERSIST */
    struct txn_branch durable_branches[STORY_BRANCHES];
    int64_t now_ms;
    bool queues;                    /* tries leave when the story says so, not at once */
    const char *words[STORY_WORDS]; /* of the command at hand */
    size_t word_count;
    struct transcript told;
};

static bool has_word(const struct story *story, const char *word)
{
    for (size_t i = 1; i < story->word_count; i++)
        if (strcmp(story->words[i], word) == 0)
            return true;
    return false;
}

/* The value of "key=value", or `otherwise`. */
static int64_t value_of(const struct story *story, const char *key, int64_t otherwise)
{
    size_t length = strlen(key);
    for (size_t i = 1; i < story->word_count; i++)
        if (strncmp(story->words[i], key, length) == 0 && story->words[i][length] == '=')
            return strtoll(story->words[i] + length + 1, NULL, 10);
    return otherwise;
}

static void keep_durable(struct story *story)
{
    story->durable = story->txn;
    memcpy(story->durable_branches, story->branches, sizeof(story->branches));
}

static void step(struct story *story, const struct txn_event *event)
{
    struct txn_action items[2 * (STORY_BRANCHES + 1) + 8];
    struct txn_actions actions = {.items = items, .capacity = sizeof(items) / sizeof(items[0])};
    int result = txn_step(&story->txn, event, &actions);
    if (actions.count > 0 && items[0].kind == TXN_PERSIST)
        keep_durable(story);
    for (size_t i = 0; i < actions.count && !story->queues; i++)
        if (items[i].kind == TXN_CALL_TRY)
            txn_try_leaves(&story->txn, items[i].number);
    transcript_add_actions(&story->told, &actions);
    if (result != 0)
        transcript_add(&story->told, "%s", transcript_result(result));
    else if (actions.count == 0)
        transcript_add(&story->told, "-");
}

static void begin(struct story *story)
{
    struct txn_options options;
    txn_options_default(&options);
    options.retry_base_ms = options.retry_cap_ms = options.parked_retry_ms = 1;
    options.park_attempts = (uint32_t)value_of(story, "park_attempts", options.park_attempts);
    options.park_after_ms = value_of(story, "park_after", options.park_after_ms);
    options.is_ordered = has_word(story, "ordered");
    options.decides_itself = has_word(story, "itself");
    options.keeps_on_refusal = has_word(story, "keeps");
    int64_t deadline_ms = value_of(story, "deadline", 1000);
    txn_init(&story->txn, story->branches, STORY_BRANCHES, &options, deadline_ms, 1);
    story->queues = has_word(story, "queues");
    keep_durable(story);
    transcript_add(&story->told, "-");
}

static void leave(struct story *story)
{
    txn_try_leaves(&story->txn, (uint32_t)strtoul(story->words[1], NULL, 10));
    transcript_add(&story->told, "-");
}

static void load(struct story *story, bool is_crash)
{
    if (is_crash) {
        story->txn = story->durable;
        memcpy(story->branches, story->durable_branches, sizeof(story->branches));
    }
    cr_assert(txn_restore(&story->txn, story->now_ms));
    step(story, &(struct txn_event){.kind = TXN_WAKE, .now_ms = story->now_ms});
}

static void show(struct story *story)
{
    transcript_add(&story->told, "%s %s", transcript_state(story->txn.state),
                   transcript_cause(story->txn.cause));
    for (size_t i = 0; i < story->txn.branch_count; i++) {
        const struct txn_branch *branch = &story->branches[i];
        transcript_add(&story->told, "; %u %s %s%s%s%s%s", branch->number,
                       transcript_try(branch->try_state), transcript_end(branch->end_state),
                       branch->is_parked ? " parked" : "", branch->is_broken ? " broken" : "",
                       branch->is_settled ? " settled" : "",
                       txn_owed(&story->txn, branch) == TXN_OWED_NOTHING ? " unsent" : "");
    }
}

static void due(struct story *story)
{
    int64_t wake_ms = txn_wake_ms(&story->txn);
    if (wake_ms == TXN_NEVER)
        transcript_add(&story->told, "never");
    else
        transcript_add(&story->told, "%" PRId64, wake_ms);
}

/* The commands that are one event. */
static bool find_event(struct txn_event *event, const char *word)
{
    static const struct {
        const char *word;
        enum txn_event_kind kind;
        bool is_confirm;
    } commands[] = {
        {"enlist", TXN_ENLIST, false},
        {"confirm", TXN_CONFIRM, false},
        {"cancel", TXN_CANCEL, false},
        {"may-go", TXN_TRY_MAY_GO, false},
        {"tried", TXN_TRY_IS_DONE, false},
        {"refused", TXN_TRY_IS_REFUSED, false},
        {"failed", TXN_TRY_HAS_FAILED, false},
        {"confirmed", TXN_END_IS_DONE, true},
        {"confirm-failed", TXN_END_HAS_FAILED, true},
        {"confirm-broken", TXN_END_IS_BROKEN, true},
        {"cancelled", TXN_END_IS_DONE, false},
        {"cancel-failed", TXN_END_HAS_FAILED, false},
        {"cancel-broken", TXN_END_IS_BROKEN, false},
        {"retry", TXN_RETRY, false},
        {"settle", TXN_SETTLE, false},
        {"wake", TXN_WAKE, false},
    };
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(word, commands[i].word) == 0) {
            event->kind = commands[i].kind;
            event->is_confirm = commands[i].is_confirm;
            return true;
        }
    }
    return false;
}

static void step_command(struct story *story)
{
    struct txn_event event = {
        .now_ms = story->now_ms,
        .number = story->word_count > 1 ? (uint32_t)strtoul(story->words[1], NULL, 10) : 0,
        .digest = (uint64_t)value_of(story, "digest", 0),
        .try_timeout_ms = value_of(story, "timeout", 1000000),
        .mode = has_word(story, "own") ? TXN_MODE_OWN : TXN_MODE_ROUTED,
        .is_held = has_word(story, "held"),
        .is_forced = has_word(story, "forced"),
        .cause = has_word(story, "operator") ? TXN_CAUSE_OPERATOR : TXN_CAUSE_INITIATOR,
    };
    cr_assert(find_event(&event, story->words[0]), "no such command: %s", story->words[0]);
    step(story, &event);
}

static void carry_out(struct story *story)
{
    const char *word = story->words[0];
    if (strcmp(word, "begin") == 0)
        begin(story);
    else if (strcmp(word, "restart") == 0 || strcmp(word, "crash") == 0)
        load(story, strcmp(word, "crash") == 0);
    else if (strcmp(word, "leaves") == 0)
        leave(story);
    else if (strcmp(word, "show") == 0)
        show(story);
    else if (strcmp(word, "due") == 0)
        due(story);
    else
        step_command(story);
}

/* "<ms> <command>", split in place. */
static void read_command(struct story *story, char *command)
{
    char *rest = NULL;
    const char *now = strtok_r(command, " ", &rest);
    cr_assert(now != NULL, "a story's line begins with the time");
    story->now_ms = strtoll(now, NULL, 10);
    story->word_count = 0;
    for (char *word = strtok_r(NULL, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        cr_assert(story->word_count < STORY_WORDS);
        story->words[story->word_count++] = word;
    }
    cr_assert(story->word_count > 0, "a story's line has a command");
}

void story_expect(const char *expected)
{
    struct story story = {.told = {.length = 0}};
    for (const char *line = expected; *line != '\0';) {
        const char *colon = strstr(line, " : ");
        const char *end = strchr(line, '\n');
        cr_assert(colon != NULL && end != NULL && colon < end, "not a line of a story: %s", line);
        char command[128];
        cr_assert((size_t)(colon - line) < sizeof(command));
        memcpy(command, line, (size_t)(colon - line));
        command[colon - line] = '\0';
        transcript_add(&story.told, "%s : ", command);
        read_command(&story, command);
        carry_out(&story);
        transcript_add(&story.told, "\n");
        line = end + 1;
    }
    cr_assert_str_eq(story.told.text, expected, "\nthe core told:\n%s\ninstead of:\n%s",
                     story.told.text, expected);
}
