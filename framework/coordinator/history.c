/* SPDX-License-Identifier: Apache-2.0
 *
 * history.h
 */
#include "history.h"

#include "arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { OUTCOME_DONE = 1 }; /* of tercet.v1.Outcome */

/* -- Texts ------------------------------------------------------------------------------------- */

const char *history_words(const struct history_text *text)
{
    return text != NULL ? text->text : "";
}

static size_t text_bytes(const struct history_text *text)
{
    return sizeof(*text) + strlen(text->text) + 1;
}

static struct history_text *text_share(struct history_text *text)
{
    if (text != NULL)
        text->references++;
    return text;
}

static void text_drop(struct history_text *text, size_t *bytes)
{
    assert(text == NULL || text->references > 0);
    if (text == NULL || --text->references > 0)
        return;
    assert(*bytes >= text_bytes(text));
    *bytes -= text_bytes(text);
    free(text);
}

/* The bytes of `words` that are kept: at most `max`, and no half of a character. */
static size_t cut(const char *words, size_t max)
{
    size_t size = strnlen(words, max + 1);
    if (size <= max)
        return size;
    for (size = max; size > 0 && ((unsigned char)words[size] & 0xc0) == 0x80;)
        size--;
    return size;
}

/* Replaces *text, by `like` when that says the same; *text may be `like`. */
static void text_set(struct history_text **text, struct history_text *like, const char *words,
                     size_t max, size_t *bytes)
{
    struct history_text *old = *text;
    size_t size = cut(words, max);
    if (size == 0) {
        *text = NULL;
    } else if (like != NULL && strlen(like->text) == size && memcmp(like->text, words, size) == 0) {
        *text = text_share(like);
    } else {
        *text = must_alloc(sizeof(**text) + size + 1);
        (*text)->references = 1;
        memcpy((*text)->text, words, size);
        *bytes += text_bytes(*text);
    }
    text_drop(old, bytes);
}

/* -- Phases ------------------------------------------------------------------------------------ */

static struct history *make(struct history **history, size_t *bytes)
{
    if (*history == NULL) {
        *history = must_alloc(sizeof(**history));
        *bytes += sizeof(**history);
    }
    return *history;
}

struct history_phase *history_phase(struct history *history, enum tercet_kind kind)
{
    return kind == TERCET_TRY ? &history->tries : &history->ends;
}

uint32_t history_failures(const struct history *history, enum tercet_kind kind)
{
    if (history == NULL)
        return 0;
    return kind == TERCET_TRY ? history->tries.failures : history->ends.failures;
}

const char *history_error(const struct history *history, enum tercet_kind kind)
{
    if (history == NULL)
        return "";
    return history_words(kind == TERCET_TRY ? history->tries.error : history->ends.error);
}

bool history_has_news(const struct history_phase *phase)
{
    return phase->failures != 0 || phase->error != NULL || phase->answered_by != NULL;
}

static void phase_note(struct history_phase *phase, size_t *bytes, const struct history_note *note)
{
    if (note->error[0] == '\0') {
        text_set(&phase->answered_by, phase->instance, note->instance, HISTORY_NAME_MAX, bytes);
        return;
    }
    phase->failures++;
    phase->last_ms = note->at_ms;
    text_set(&phase->error, phase->error, note->error, TERCET_TEXT_MAX - 1, bytes);
    text_set(&phase->instance, phase->instance, note->instance, HISTORY_NAME_MAX, bytes);
}

static void phase_drop(struct history_phase *phase, size_t *bytes)
{
    text_drop(phase->error, bytes);
    text_drop(phase->instance, bytes);
    text_drop(phase->answered_by, bytes);
}

void history_explain(struct history **history, size_t *bytes, int64_t now_ms, const char *text)
{
    struct history_phase *phase = &make(history, bytes)->tries;
    phase->last_ms = now_ms;
    text_set(&phase->error, NULL, text, TERCET_TEXT_MAX - 1, bytes);
}

void history_restore(struct history **history, size_t *bytes, enum tercet_kind kind,
                     uint32_t failures, int64_t last_ms, const char *const texts[3])
{
    struct history_phase *phase = history_phase(make(history, bytes), kind);
    phase->failures = failures;
    phase->last_ms = last_ms;
    text_set(&phase->error, NULL, texts[0], TERCET_TEXT_MAX - 1, bytes);
    text_set(&phase->instance, NULL, texts[1], HISTORY_NAME_MAX, bytes);
    text_set(&phase->answered_by, NULL, texts[2], HISTORY_NAME_MAX, bytes);
}

/* -- Attempts ---------------------------------------------------------------------------------- */

static struct history_attempt *slot(const struct history *history, size_t i)
{
    assert(i < history->capacity);
    return &history->attempts[(history->first + i) % history->capacity];
}

const struct history_attempt *history_at(const struct history *history, size_t i)
{
    assert(i < history->count);
    return slot(history, i);
}

/* Twice as many fit, unless there are enough, or others have taken all the memory. The ring is full
 * and begins at its first place, as one that was never full before does. */
static void grow(struct history *history, size_t *bytes)
{
    size_t capacity = history->capacity == 0 ? 2 : 2u * history->capacity;
    size_t more = (capacity - history->capacity) * sizeof(*history->attempts);
    if (history->first != 0 || capacity > HISTORY_ATTEMPTS_MAX || *bytes + more > HISTORY_BYTES_MAX)
        return;
    history->attempts = must_realloc(history->attempts, capacity * sizeof(*history->attempts));
    history->capacity = (uint8_t)capacity;
    *bytes += more;
}

static void attempt_drop(struct history_attempt *attempt, size_t *bytes)
{
    text_drop(attempt->error, bytes);
    text_drop(attempt->instance, bytes);
}

/* The place for one more attempt, if need be that of the oldest; NULL: there is no memory for any.
 */
static struct history_attempt *next_slot(struct history *history, size_t *bytes)
{
    if (history->count == history->capacity)
        grow(history, bytes);
    if (history->capacity == 0)
        return NULL;
    if (history->count == history->capacity) {
        attempt_drop(slot(history, 0), bytes);
        history->first = (uint8_t)((history->first + 1) % history->capacity);
        history->count--;
    }
    assert(history->count < history->capacity && history->first < history->capacity);
    return slot(history, history->count++);
}

/* Past the limit no history is made only for single attempts. */
static struct history_text *keep_text(struct history_text *text, const size_t *bytes)
{
    bool is_free = text != NULL && (text->references > 1 || *bytes <= HISTORY_BYTES_MAX);
    return is_free ? text_share(text) : NULL;
}

static uint32_t clamp(int64_t ms)
{
    if (ms <= 0)
        return 0;
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

/* The phase has the note already, and shares its texts with the attempt. */
static void keep_attempt(struct history *history, size_t *bytes, const struct history_note *note)
{
    const struct history_phase *phase = history_phase(history, note->kind);
    bool has_failed = note->error[0] != '\0';
    struct history_attempt *attempt = next_slot(history, bytes);
    if (attempt == NULL)
        return;
    *attempt = (struct history_attempt){
        .at_ms = note->at_ms,
        .took_ms = clamp(note->took_ms),
        .kind = (uint8_t)note->kind,
        .outcome = note->outcome,
        .error = keep_text(has_failed ? phase->error : NULL, bytes),
        .instance = keep_text(has_failed ? phase->instance : phase->answered_by, bytes),
    };
}

void history_add(struct history **history, size_t *bytes, const struct history_note *note)
{
    bool is_plain = note->outcome == OUTCOME_DONE && note->error[0] == '\0';
    if (*history == NULL && is_plain)
        return;
    make(history, bytes);
    phase_note(history_phase(*history, note->kind), bytes, note);
    keep_attempt(*history, bytes, note);
}

void history_free(struct history *history, size_t *bytes)
{
    if (history == NULL)
        return;
    for (size_t i = 0; i < history->count; i++)
        attempt_drop(slot(history, i), bytes);
    assert(*bytes >= history->capacity * sizeof(*history->attempts));
    *bytes -= history->capacity * sizeof(*history->attempts);
    free(history->attempts);
    phase_drop(&history->tries, bytes);
    phase_drop(&history->ends, bytes);
    assert(*bytes >= sizeof(*history));
    *bytes -= sizeof(*history);
    free(history);
}
