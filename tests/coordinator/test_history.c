/* SPDX-License-Identifier: Apache-2.0
 *
 * The history of a branch's calls: what is kept, in which order, and how much memory it takes.
 */
#include "history.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { DONE = 1, REFUSAL = 2, AGAIN = 3 };

struct bench {
    struct history *history;
    size_t bytes;
    int64_t now_ms;
};

static void add(struct bench *bench, enum tercet_kind kind, uint8_t outcome, const char *error)
{
    const struct history_note note = {.at_ms = ++bench->now_ms,
                                      .took_ms = 7,
                                      .kind = kind,
                                      .outcome = outcome,
                                      .error = error,
                                      .instance = "host 1"};
    history_add(&bench->history, &bench->bytes, &note);
}

static void add_failure(struct bench *bench, const char *error)
{
    add(bench, TERCET_TRY, AGAIN, error);
}

static void end(struct bench *bench)
{
    history_free(bench->history, &bench->bytes);
    cr_assert_eq(bench->bytes, 0, "every byte that was counted is given back");
}

Test(history, what_goes_well_at_once_takes_no_memory)
{
    struct bench bench = {0};
    add(&bench, TERCET_TRY, DONE, "");
    add(&bench, TERCET_CONFIRM, DONE, "");
    cr_assert_null(bench.history);
    cr_assert_eq(history_failures(bench.history, TERCET_TRY), 0);
    cr_assert_str_eq(history_error(bench.history, TERCET_TRY), "");
    end(&bench);
}

Test(history, a_refusal_is_known_by_who_gave_it)
{
    struct bench bench = {0};
    add(&bench, TERCET_TRY, REFUSAL, "");
    cr_assert_eq(history_failures(bench.history, TERCET_TRY), 0);
    cr_assert_str_eq(history_words(bench.history->tries.answered_by), "host 1");
    cr_assert_null(bench.history->tries.error);
    end(&bench);
}

Test(history, tries_and_ends_are_kept_apart)
{
    struct bench bench = {0};
    add_failure(&bench, "the disk said no");
    add_failure(&bench, "the disk said no");
    add(&bench, TERCET_CANCEL, AGAIN, "locked");
    add(&bench, TERCET_CANCEL, DONE, "");
    cr_assert_eq(history_failures(bench.history, TERCET_TRY), 2);
    cr_assert_eq(history_failures(bench.history, TERCET_CANCEL), 1);
    cr_assert_str_eq(history_error(bench.history, TERCET_TRY), "the disk said no");
    cr_assert_str_eq(history_error(bench.history, TERCET_CONFIRM), "locked");
    cr_assert_eq(bench.history->tries.last_ms, 2);
    cr_assert_eq(bench.history->ends.last_ms, 3);
    cr_assert_str_eq(history_words(bench.history->ends.answered_by), "host 1");
    cr_assert_eq(bench.history->count, 4);
    cr_assert_eq(history_at(bench.history, 3)->outcome, DONE);
    cr_assert_null(history_at(bench.history, 3)->error);
    end(&bench);
}

Test(history, the_last_sixteen_stay_in_order)
{
    struct bench bench = {0};
    char text[16];
    for (int i = 1; i <= 50; i++) {
        snprintf(text, sizeof(text), "failure %d", i);
        add_failure(&bench, text);
        cr_assert_eq(bench.history->count, i < HISTORY_ATTEMPTS_MAX ? i : HISTORY_ATTEMPTS_MAX);
    }
    cr_assert_eq(history_failures(bench.history, TERCET_TRY), 50);
    for (int i = 0; i < HISTORY_ATTEMPTS_MAX; i++) {
        const struct history_attempt *attempt = history_at(bench.history, (size_t)i);
        snprintf(text, sizeof(text), "failure %d", 50 - HISTORY_ATTEMPTS_MAX + 1 + i);
        cr_assert_str_eq(history_words(attempt->error), text);
        cr_assert_eq(attempt->at_ms, 50 - HISTORY_ATTEMPTS_MAX + 1 + i);
        cr_assert_eq(attempt->took_ms, 7);
        cr_assert_str_eq(history_words(attempt->instance), "host 1");
    }
    end(&bench);
}

/* A participant that says the same each time, as most do, costs its text once. */
Test(history, a_text_that_repeats_is_kept_once)
{
    struct bench bench = {0};
    for (int i = 0; i < 1000; i++)
        add_failure(&bench, "the disk said no");
    size_t most = sizeof(struct history) + HISTORY_ATTEMPTS_MAX * sizeof(struct history_attempt) +
                  2 * sizeof(struct history_text) + sizeof("the disk said no") + sizeof("host 1");
    cr_assert_eq(bench.bytes, most, "%zu bytes", bench.bytes);
    cr_assert_lt(most, 1024, "what docs/operations.md says of it");
    end(&bench);
}

Test(history, no_text_is_longer_than_its_limit)
{
    struct bench bench = {0};
    char text[2 * TERCET_TEXT_MAX];
    memset(text, 'x', sizeof(text));
    memcpy(text + TERCET_TEXT_MAX - 2, "\xc3\xa4", 2); /* the limit is in the middle of it */
    text[sizeof(text) - 1] = '\0';
    add_failure(&bench, text);
    cr_assert_eq(strlen(history_error(bench.history, TERCET_TRY)), TERCET_TEXT_MAX - 2);
    for (int i = 0; i < 100; i++) {
        text[0] = (char)('a' + i % 26);
        add_failure(&bench, text);
    }
    cr_assert_lt(bench.bytes, 6 * 1024, "the most that a branch's history takes");
    end(&bench);
}

/* When others have taken all the memory, the last error is kept, and the count. */
Test(history, past_the_limit_only_the_last_error_stays)
{
    struct bench bench = {.bytes = HISTORY_BYTES_MAX};
    add_failure(&bench, "one");
    add_failure(&bench, "two");
    cr_assert_eq(bench.history->count, 0);
    cr_assert_eq(history_failures(bench.history, TERCET_TRY), 2);
    cr_assert_str_eq(history_error(bench.history, TERCET_TRY), "two");
    bench.bytes -= HISTORY_BYTES_MAX;
    add_failure(&bench, "three");
    cr_assert_eq(bench.history->count, 1, "there is room again");
    bench.bytes += HISTORY_BYTES_MAX;
    for (int i = 0; i < 5; i++)
        add_failure(&bench, i % 2 == 0 ? "four" : "five");
    cr_assert_eq(bench.history->count, 2);
    cr_assert_null(history_at(bench.history, 1)->error, "nobody else has its text");
    bench.bytes -= HISTORY_BYTES_MAX;
    end(&bench);
}
