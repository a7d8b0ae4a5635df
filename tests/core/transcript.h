/* SPDX-License-Identifier: Apache-2.0
 *
 * What the core said, as text that a test can compare and a person can read.
 */
#ifndef TERCET_TESTS_CORE_TRANSCRIPT_H
#define TERCET_TESTS_CORE_TRANSCRIPT_H

#include "txn.h"

struct transcript {
    char text[8192];
    size_t length;
};

/* Appends; asserts that there is room. */
void transcript_add(struct transcript *transcript, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends "PERSIST, DECIDED, CONFIRM 1#1": calls with branch and attempt, the rest with the branch
 * if there is one. */
void transcript_add_actions(struct transcript *transcript, const struct txn_actions *actions);

/* Names without their prefix, such as "CONFIRMING"; "?" for what is none. */
const char *transcript_state(unsigned state);
const char *transcript_cause(unsigned cause);
const char *transcript_try(unsigned try_state);
const char *transcript_end(unsigned end_state);
const char *transcript_result(int result);

#endif
