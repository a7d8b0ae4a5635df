/* SPDX-License-Identifier: Apache-2.0
 *
 * What is on the disk, and what may be, at one place of the write log. The model is what Linux
 * promises on a local file system, and no more:
 *
 *  - A write reaches the disk at any time after it was issued, or never, until a sync makes sure
 *    of it. The unit is a sector of 512 bytes: it is old or new, never half; of one write some
 *    sectors may be there and others not. What one sector holds is what the page cache held after
 *    one of the writes to it, or what the disk had before.
 *  - fdatasync and fsync that returned 0: all writes to the file that had returned before it began
 *    are on the disk, and the length that is needed to read them. What was written while it ran is
 *    not promised.
 *  - A write through a descriptor with O_DSYNC, once it has returned: its own sectors, and the
 *    length that is needed; nothing of the file's other writes.
 *  - A file's length may be on the disk before what was written: then there are zeros. Never other
 *    files' old bytes.
 *  - Names (a file made, renamed, removed) reach the disk in the order in which they came about,
 *    as with a journal, at any time; an fsync of the folder that returned 0 makes sure of those
 *    before it began. A sync of the file does not.
 *  - A process that dies loses nothing of what its writes have put into the page cache; what had
 *    not been synced may still be lost with the power.
 *
 * Not modelled: disks that lie about a flush, or damage sectors that nobody writes to.
 */
#ifndef TERCET_POWER_MODEL_H
#define TERCET_POWER_MODEL_H

#include "log.h"

#include <stdbool.h>

#define MODEL_SECTOR 512
#define MODEL_FILES_MAX 64
#define MODEL_NAMES_MAX 8
#define MODEL_NAME_SIZE 64

/* What was written and is not surely on the disk: whole sectors, as the page cache had them; or a
 * length. */
struct model_write {
    uint64_t call;
    uint64_t order;
    uint64_t offset;
    size_t size;
    unsigned char *data; /* NULL: the file was made file_size long */
    size_t file_size;    /* after it */
    size_t asked;        /* what the call returns when all is done */
    bool is_dsync;
};

struct model_file {
    uint64_t id;
    unsigned char *cache; /* what a reader sees; zeros past the end */
    unsigned char *disk;
    size_t capacity; /* of both */
    size_t cache_size, disk_size;
    struct model_write *writes; /* in order */
    size_t write_count, write_capacity;
};

struct model_names {
    uint64_t order; /* of the change that led here */
    size_t count;
    struct {
        char name[MODEL_NAME_SIZE];
        size_t file; /* its index */
    } items[MODEL_NAMES_MAX];
};

struct model_sync {
    uint64_t call;
    uint64_t order;
};

struct model {
    struct model_file files[MODEL_FILES_MAX];
    size_t file_count;
    struct model_names *names; /* the first is on the disk, the last is what there is */
    size_t names_count;
    struct model_sync syncs[16]; /* that run */
    size_t sync_count;
    uint64_t order;
    bool trusts_data_sync; /* false: as if fdatasync and fsync of a file did nothing */
    bool trusts_dsync;     /* false: as if O_DSYNC did nothing */
    uint64_t checks;       /* that the log tells the files */
};

void model_init(struct model *model);
void model_free(struct model *model);

/* The next record. NULL, or what is wrong with the log. */
const char *model_apply(struct model *model, const struct power_record *record);

/* The file of this name as it is now; NULL: there is none. */
struct model_file *model_find(struct model *model, const char *name);

#endif
