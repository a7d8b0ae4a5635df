/* SPDX-License-Identifier: Apache-2.0
 *
 * What has become of a branch's calls: of each phase how many failed and why the last one did,
 * which is durable (record.h), and the last attempts one by one, which are in memory only. A branch
 * whose first attempts succeed has none of it, and costs nothing. It reads no clock: time is an
 * argument.
 */
#ifndef TERCET_HISTORY_H
#define TERCET_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tercet/types.h>

#define HISTORY_ATTEMPTS_MAX 16 /* of a branch that are kept one by one */
#define HISTORY_NAME_MAX 64     /* bytes of an instance's name that are kept */
/* past it, in all, further attempts are counted and not kept one by one */
#define HISTORY_BYTES_MAX (64u * 1024 * 1024)

/* A text that several attempts share. */
struct history_text {
    uint32_t references;
    char text[];
};

/* One phase of a branch: its try, or its confirm or cancel. Texts may be NULL: none. */
struct history_phase {
    uint32_t failures;
    int64_t last_ms; /* wall clock: when the last one failed */
    struct history_text *error;
    struct history_text *instance;    /* who was called then */
    struct history_text *answered_by; /* whose answer counts: a refusal, or done after failures */
};

struct history_attempt {
    int64_t at_ms; /* wall clock: when it ended */
    uint32_t took_ms;
    uint8_t kind;               /* enum tercet_kind */
    uint8_t outcome;            /* as on the wire; 0: no answer */
    struct history_text *error; /* NULL: it did not fail, or there was no room for the text */
    struct history_text *instance;
};

struct history {
    struct history_phase tries;
    struct history_phase ends;
    struct history_attempt *attempts; /* the oldest at `first`, the others behind it, cyclic */
    uint8_t capacity;
    uint8_t count;
    uint8_t first;
};

/* A call that is over. Views; error "": it did not fail. */
struct history_note {
    int64_t at_ms;
    int64_t took_ms; /* since it was sent; 0: it was not */
    enum tercet_kind kind;
    uint8_t outcome;
    const char *error;
    const char *instance;
};

/* Notes it; *history is made when it is NULL and there is something to keep: a failure, or a
 * refusal. *bytes counts what all histories take. */
void history_add(struct history **history, size_t *bytes, const struct history_note *note);
/* What is to be said of the try in place of its last error. */
void history_explain(struct history **history, size_t *bytes, int64_t now_ms, const char *text);
/* One phase, as it was written down. Views. */
void history_restore(struct history **history, size_t *bytes, enum tercet_kind kind,
                     uint32_t failures, int64_t last_ms, const char *const texts[3]);
/* NULL is fine. */
void history_free(struct history *history, size_t *bytes);

/* The phase that calls of this kind belong to. */
struct history_phase *history_phase(struct history *history, enum tercet_kind kind);
/* The i-th of `count` attempts, the oldest first. */
const struct history_attempt *history_at(const struct history *history, size_t i);
/* Its characters; "" for NULL. */
const char *history_words(const struct history_text *text);
/* Whether there is anything to tell of the phase. */
bool history_has_news(const struct history_phase *phase);
/* Tells it in a `Failures` of the wire or of the store, whose fields have the same names. Views. */
#define HISTORY_FILL(out, phase)                                                                   \
    do {                                                                                           \
        (out)->count = (phase)->failures;                                                          \
        (out)->last_error = (char *)history_words((phase)->error);                                 \
        (out)->last_instance = (char *)history_words((phase)->instance);                           \
        (out)->last_ms = (phase)->last_ms;                                                         \
        (out)->answered_by = (char *)history_words((phase)->answered_by);                          \
    } while (0)
/* How many calls of this kind's phase have failed, and why the last one did ("": none has). NULL is
 * fine. */
uint32_t history_failures(const struct history *history, enum tercet_kind kind);
const char *history_error(const struct history *history, enum tercet_kind kind);

#endif
