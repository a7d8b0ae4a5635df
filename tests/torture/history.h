/* SPDX-License-Identifier: Apache-2.0
 *
 * What clients asked and what they were told, a line each, written at once and whole:
 *
 *   asks GID OP TIME                       before the request leaves
 *   told GID OP CODE STATE ASKED TIME      CODE: TERCET_OK, TERCET_REFUSED, ...; STATE: TRYING,
 * ..., or "-"
 *
 * OP: run, try, confirm, cancel, get; at the proxy, call. Times are microseconds of
 * CLOCK_MONOTONIC, so that logs of several processes of one machine fit together. "told ...
 * TERCET_UNKNOWN" says that nothing is known; a question without an answer says the same.
 */
#ifndef TERCET_TORTURE_HISTORY_H
#define TERCET_TORTURE_HISTORY_H

#include <tercet/tercet.h>

int64_t history_now_us(void);

/* Returns the time that history_told wants. */
int64_t history_asks(int log, const char *gid, const char *op);
void history_told(int log, const char *gid, const char *op, int code, enum tercet_state state,
                  int64_t asked_us);

#endif
