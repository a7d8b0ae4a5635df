/* SPDX-License-Identifier: Apache-2.0
 *
 * What the store holds, into memory. At the start every record's checksum is looked at, and each
 * transaction becomes an entry that is cold: its gid, number and state are known, and it is due at
 * once. The rest is loaded when the entry is touched, at the latest when it is woken, so that new
 * work does not wait for a million old ones; for the first ones (restore_warm_max) at the start, so
 * that what contradicts itself is most likely found before anything is served. Everything else is
 * an ordinary wake-up.
 */
#ifndef TERCET_RESTORE_H
#define TERCET_RESTORE_H

#include "table.h"

#include <refusal.h>

/* an undecided transaction gets at least this after a restart */
#define RESTART_GRACE_MS 5000
/* cold ones that are loaded with one that is woken: one look into the store for all */
#define WARM_AHEAD 63

struct coordinator;

/* Reads everything the stores hold. 0 or the refusal's code. */
int restore_all(struct coordinator *c, struct refusal *no);

/* The entry with everything that belongs to it, loaded when it is cold, and with it up to `ahead`
 * cold ones that follow it by number. false: the store cannot give them (the coordinator fails). */
bool restore_warm(struct coordinator *c, struct entry *entry, size_t ahead);

#endif
