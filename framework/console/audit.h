/* SPDX-License-Identifier: Apache-2.0
 *
 * What was done from this console: each action is a line of tercetd's log, and the last ones are
 * kept to be shown. In memory only; what is for ever is the log, and the reason that stays with a
 * transaction. Any thread.
 */
#ifndef CONSOLE_AUDIT_H
#define CONSOLE_AUDIT_H

#include <cjson/cJSON.h>
#include <stdint.h>
#include <tercet/types.h>

#define AUDIT_MAX 500

struct audit_entry {
    int64_t at_ms; /* wall clock */
    char who[48];  /* the name given at the sign-in */
    char peer[48];
    char action[16];
    char object[96]; /* a gid with its branch, or a service */
    char reason[TERCET_TEXT_MAX];
    char result[96]; /* "OK", or why not */
};

struct audit;

struct audit *audit_new(tercet_log_fn on_log);
void audit_free(struct audit *audit);
void audit_add(struct audit *audit, const struct audit_entry *entry);
/* The newest first; NULL without memory. */
cJSON *audit_list(struct audit *audit);

#endif
