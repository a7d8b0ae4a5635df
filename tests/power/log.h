/* SPDX-License-Identifier: Apache-2.0
 *
 * The write log: what a program did to the files of one folder, and what was told to others, in the
 * order in which it happened. The shim appends what the program does, the traffic appends marks;
 * each record is one append, so the file's order is the order of events: a call's record is written
 * before the call, its end after it, and a mark after what it says has been heard.
 *
 * A record is a struct power_record and `size` bytes, then as many as make it a multiple of eight:
 *   POWER_CREATE  a file `file` came to be under a name (the bytes)
 *   POWER_RENAME  from "old\0new"; POWER_UNLINK: a name
 *   POWER_WRITE   the bytes go to `offset` of `file`; with POWER_DSYNC they are on the disk when
 * the call has returned POWER_SIZE    `file` is made `offset` bytes long POWER_DONE    the write or
 * size with this `call` has returned `value` POWER_SYNC    a sync of `file` begins (POWER_FOLDER:
 * of the names); POWER_SYNCED: it has returned `value` POWER_AMEND   the process died within the
 * write with this `call`: the bytes are what the file really has at `offset`, `value` is its length
 *   POWER_CHECK   all writes applied, the file of this name (the bytes) has the length `offset` and
 * the hash `value` POWER_MARK    a struct power_mark
 */
#ifndef TERCET_POWER_LOG_H
#define TERCET_POWER_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define POWER_MAGIC 0x7265776fu
#define POWER_FOLDER 1 /* the id of the folder; files have their inode's number and one */
#define POWER_DSYNC 1u
#define POWER_GID_SIZE 72

/* The shim's environment: the folder, the log; the write, counted from the process's start, in
 * which it is to die, half of it done; and, to see that a broken store is found, further flags for
 * LMDB. */
#define POWER_ENV_FOLDER "TERCET_POWER_FOLDER"
#define POWER_ENV_LOG "TERCET_POWER_LOG"
#define POWER_ENV_DEATH "TERCET_POWER_DEATH"
#define POWER_ENV_LMDB "TERCET_POWER_LMDB"

enum power_kind {
    POWER_CREATE = 1,
    POWER_RENAME,
    POWER_UNLINK,
    POWER_WRITE,
    POWER_SIZE,
    POWER_DONE,
    POWER_SYNC,
    POWER_SYNCED,
    POWER_AMEND,
    POWER_CHECK,
    POWER_MARK,
};

struct power_record {
    uint32_t magic;
    uint16_t kind;
    uint16_t flags;
    uint64_t file;
    uint64_t offset;
    uint64_t call; /* the process's id and a counter */
    int64_t value;
    int64_t time_ms; /* monotonic */
    uint64_t size;
};

enum power_told {
    TOLD_NOTHING = 1, /* the initiator is about to ask for it for the first time */
    TOLD_KNOWN,       /* the transaction is durable; `number` when it was told */
    TOLD_BRANCH,      /* this branch is, too */
    TOLD_CONFIRM,     /* the decision is durable */
    TOLD_CANCEL,
    HOOK_TRY, /* a participant was called: the branch is durable */
    HOOK_REFUSED,
    HOOK_CONFIRM, /* the decision is */
    HOOK_CANCEL,
};

struct power_mark {
    uint64_t number;
    uint32_t branch;
    uint32_t told; /* enum power_told */
    char gid[POWER_GID_SIZE];
};

/* -- Writing ----------------------------------------------------------------------------------- */

/* The descriptor of the log, which is made when missing; ends the process when there can be
 * none. */
int power_log_open(const char *path);

/* Appends one record; magic, time and size are filled in. At most 1000 parts. Ends the process on a
 * failure: a log with a gap proves nothing. */
void power_log_append(int log, struct power_record record, const struct iovec *parts, size_t count);

/* -- Reading ----------------------------------------------------------------------------------- */

struct power_log {
    const unsigned char *data;
    size_t size;
    size_t *starts; /* of each record */
    size_t count;
};

/* Reads the log that is there now; ends the process when it is none. */
void power_log_read(struct power_log *log, const char *path);
void power_log_free(struct power_log *log);

const struct power_record *power_log_at(const struct power_log *log, size_t i);
/* The bytes of a record. */
const unsigned char *power_log_bytes(const struct power_record *record);

/* FNV-1a, 64 bits. */
uint64_t power_hash(const void *data, size_t size);

#endif
