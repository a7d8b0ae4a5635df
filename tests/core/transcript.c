/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and texts for what the core said.
 */
#include "transcript.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define LOOK_UP(names, index)                                                                      \
    ((index) < sizeof(names) / sizeof((names)[0]) && (names)[index] ? (names)[index] : "?")

const char *transcript_state(unsigned state)
{
    static const char *const names[] = {NULL,         "TRYING",    "CONFIRMING",
                                        "CANCELLING", "CONFIRMED", "CANCELLED"};
    return LOOK_UP(names, state);
}

const char *transcript_cause(unsigned cause)
{
    static const char *const names[] = {"NONE",        "INITIATOR", "ALL_TRIED", "REFUSED",
                                        "TRY_UNKNOWN", "DEADLINE",  "OPERATOR"};
    return LOOK_UP(names, cause);
}

const char *transcript_try(unsigned try_state)
{
    static const char *const names[] = {NULL,   "OWN",     "WAITING", "CALLING",
                                        "DONE", "REFUSED", "UNKNOWN"};
    return LOOK_UP(names, try_state);
}

const char *transcript_end(unsigned end_state)
{
    static const char *const names[] = {"NONE", "WAITING", "CALLING", "DONE"};
    return LOOK_UP(names, end_state);
}

const char *transcript_result(int result)
{
    switch (result) {
    case 0:
        return "OK";
#define RESULT_NAME(name, value, text)                                                             \
    case name:                                                                                     \
        return &#name[4];
        TXN_RESULT_MAP(RESULT_NAME)
#undef RESULT_NAME
    default:
        return "?";
    }
}

void transcript_add(struct transcript *transcript, const char *format, ...)
{
    size_t room = sizeof(transcript->text) - transcript->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(transcript->text + transcript->length, room, format, arguments);
    va_end(arguments);
    assert(length >= 0 && (size_t)length < room);
    transcript->length += (size_t)length;
}

static void add_action(struct transcript *transcript, const struct txn_action *action)
{
    static const char *const names[] = {NULL,     "PERSIST", "MARK",    "TRY",    "CONFIRM",
                                        "CANCEL", "TRIED",   "DECIDED", "PARKED", "RESOLVED"};
    transcript_add(transcript, "%s", LOOK_UP(names, (size_t)action->kind));
    if (action->number != 0)
        transcript_add(transcript, " %u", action->number);
    if (action->attempt != 0)
        transcript_add(transcript, "#%u", action->attempt);
}

void transcript_add_actions(struct transcript *transcript, const struct txn_actions *actions)
{
    for (size_t i = 0; i < actions->count; i++) {
        transcript_add(transcript, "%s", i > 0 ? ", " : "");
        add_action(transcript, &actions->items[i]);
    }
}
