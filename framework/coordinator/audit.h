/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log: what operators have done, or asked for in vain. It is in the store, so that it
 * outlives the process, and the newest entries are kept in memory, to be shown. An entry is written
 * with the batch that is being filled: with what was done, where that is written, too.
 */
#ifndef TERCET_AUDIT_H
#define TERCET_AUDIT_H

#include "caller.h"

#include <tercet/store/v1/store.pb-c.h>

#define AUDIT_ENTRIES_MAX 4096   /* the oldest makes room */
#define AUDIT_ENTRIES_MIN 16     /* in the smallest store: */
#define AUDIT_STORE_SHARE 65536u /* bytes of store-size for each entry, which has up to 2 KiB */
#define AUDIT_PREFIX "audit/"    /* of the meta records' names */

struct coordinator;

/* The owner's. */
struct audit {
    Tercet__Store__V1__Audit **entries; /* the oldest first */
    size_t count, capacity;
    uint64_t last_number;
};

/* What somebody has asked for, in the words of tercetctl. Views; NULL: none. */
struct audit_act {
    const char *action, *gid, *service, *reason;
    uint32_t branch; /* 0: all, or none */
};

/* Writes down what the caller has asked for, and what came of it (`no` NULL: it was done). */
void audit_note(struct coordinator *c, struct caller *caller, const struct audit_act *act,
                const struct refusal *no);
/* Whether the caller says who acts, as tercetctl and the console do. */
bool audit_is_person(struct caller *caller);

/* A record of the store, at the start; false: it is damaged. */
bool audit_restore(struct audit *audit, const void *value, size_t size);
/* All of them have come. */
void audit_restored(struct coordinator *c);

/* Whether the entry is to be listed: below the number `before` (0: any), of this transaction (""
 * any). */
bool audit_is_wanted(const Tercet__Store__V1__Audit *entry, uint64_t before, const char *gid);
void audit_free(struct audit *audit);

#endif
