/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of the store: what an entry is as bytes (tercet.store.v1), and back. Each record is
 *
 *   byte 0      format version, 1 to RECORD_VERSION_MAX
 *   byte 1      record type, 'S' State, 'B' Branch, 'R' Resolved, 'P' Participant, 'C' Clock,
 *               'A' Audit
 *   bytes 2-3   zero
 *   bytes 4-11  XXH3-64 of bytes 0-3 and the body, little-endian (LMDB has no page checksums)
 *   bytes 12-   the message
 *
 * A record has the lowest version that says what it means, so that only those are refused by older
 * programs which these would misread:
 *
 *   1  all else
 *   2  a State with RECORD_FLAG_PARTIAL, with a branch that is RECORD_BRANCH_UNSENT or belongs to a
 *      database; a Participant with further targets. Some early programs wrote such as version 1
 *
 * A record that cannot be decoded is damage: the coordinator stops instead of guessing (S15).
 */
#ifndef TERCET_RECORD_H
#define TERCET_RECORD_H

#include "arena.h"
#include "table.h"

#include <crpc/crpc.h>
#include <tercet/store/v1/store.pb-c.h>

#define RECORD_VERSION_MAX 2
#define RECORD_HEAD_SIZE 12

enum record_type {
    RECORD_STATE = 'S',
    RECORD_BRANCH = 'B',
    RECORD_RESOLVED = 'R',
    RECORD_PARTICIPANT = 'P',
    RECORD_CLOCK = 'C',
    RECORD_AUDIT = 'A'
};

/* Of State.flags. */
enum {
    RECORD_FLAG_ORDERED = 1,
    RECORD_FLAG_DECIDES_ITSELF = 2,
    RECORD_FLAG_KEEPS_ON_REFUSAL = 4,
    RECORD_FLAG_PARTIAL = 8,
    RECORD_FLAGS_ALL = 15
};
/* Of BranchState.flags. */
enum {
    RECORD_BRANCH_PARKED = 1,
    RECORD_BRANCH_BROKEN = 2,
    RECORD_BRANCH_SETTLED = 4,
    RECORD_BRANCH_UNSENT = 8,
    RECORD_BRANCH_ALL = 15
};

/* The message as a record, in the arena. */
struct crpc_bytes record_encode(struct arena *arena, enum record_type type,
                                const ProtobufCMessage *message);

/* The message in a record, the caller's (crpc_message_free); NULL when it is damaged, of another
 * type or newer. */
ProtobufCMessage *record_decode(enum record_type type, const void *data, size_t size);

/* Whether the record is whole, but of a version that only newer programs know. */
bool record_is_newer(const void *data, size_t size);

/* Whether the record is whole and of the type, as far as its head and checksum say. */
bool record_is_whole(enum record_type type, const void *data, size_t size);

/* The gid and state of a whole State record, without decoding the rest. They come first, since
 * whatever writes records writes their fields in order. `gid` has TERCET_GID_MAX + 1 bytes. false:
 * they are not there. */
bool record_peek_state(char *gid, uint8_t *state, const void *data, size_t size);

/* An entry's State; `wall_offset_ms` turns the core's clock into the wall clock. */
struct crpc_bytes record_of_state(struct arena *arena, const struct entry *entry,
                                  int64_t wall_offset_ms);
struct crpc_bytes record_of_branch(struct arena *arena, const struct entry *entry,
                                   const struct txn_branch *branch);
struct crpc_bytes record_of_resolved(struct arena *arena, const struct entry *entry,
                                     int64_t wall_offset_ms);

/* Fills an entry's own fields and its branches' states from a State. false: the record contradicts
 * itself. Modes, actions and digests come with the Branch records. Times are made the core's by
 * `wall_offset_ms`; *history_bytes is the table's. */
bool record_load_state(struct entry *entry, const Tercet__Store__V1__State *state,
                       int64_t wall_offset_ms, size_t *history_bytes);

/* Copies metadata into one block of the entry's. */
void entry_set_metadata(struct entry *entry, const struct tercet_metadata *metadata, size_t count);

#endif
