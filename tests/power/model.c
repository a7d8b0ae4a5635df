/* SPDX-License-Identifier: Apache-2.0
 *
 * model.h
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_SIZE_MAX (64u << 20)
#define NAMES_STATES_MAX 256

static void *must_grow(void *memory, size_t size)
{
    void *grown = realloc(memory, size);
    if (grown == NULL) {
        perror("realloc");
        abort();
    }
    return grown;
}

void model_init(struct model *model)
{
    memset(model, 0, sizeof(*model));
    model->names = must_grow(NULL, NAMES_STATES_MAX * sizeof(*model->names));
    memset(model->names, 0, sizeof(*model->names));
    model->names_count = 1;
    model->trusts_data_sync = model->trusts_dsync = true;
}

void model_free(struct model *model)
{
    for (size_t i = 0; i < model->file_count; i++) {
        for (size_t k = 0; k < model->files[i].write_count; k++)
            free(model->files[i].writes[k].data);
        free(model->files[i].writes);
        free(model->files[i].cache);
        free(model->files[i].disk);
    }
    free(model->names);
}

/* -- Files ------------------------------------------------------------------------------------- */

/* The newest with this id: an inode may come back. */
static struct model_file *find_id(struct model *model, uint64_t id)
{
    for (size_t i = model->file_count; i > 0; i--)
        if (model->files[i - 1].id == id)
            return &model->files[i - 1];
    return NULL;
}

struct model_file *model_find(struct model *model, const char *name)
{
    const struct model_names *now = &model->names[model->names_count - 1];
    for (size_t i = 0; i < now->count; i++)
        if (strcmp(now->items[i].name, name) == 0)
            return &model->files[now->items[i].file];
    return NULL;
}

static void reserve(struct model_file *file, size_t size)
{
    size_t capacity = file->capacity;
    size_t wanted = (size / MODEL_SECTOR + 1) * MODEL_SECTOR;
    if (wanted <= capacity)
        return;
    while (capacity < wanted)
        capacity = capacity == 0 ? 1u << 16 : 2 * capacity;
    file->cache = must_grow(file->cache, capacity);
    file->disk = must_grow(file->disk, capacity);
    memset(file->cache + file->capacity, 0, capacity - file->capacity);
    memset(file->disk + file->capacity, 0, capacity - file->capacity);
    file->capacity = capacity;
}

static void set_size(unsigned char *data, size_t *size, size_t new_size)
{
    if (new_size < *size)
        memset(data + new_size, 0, *size - new_size);
    *size = new_size;
}

static struct model_write *add_write(struct model *model, struct model_file *file,
                                     const struct power_record *record)
{
    if (file->write_count == file->write_capacity) {
        file->write_capacity = file->write_capacity == 0 ? 64 : 2 * file->write_capacity;
        file->writes = must_grow(file->writes, file->write_capacity * sizeof(*file->writes));
    }
    struct model_write *write = &file->writes[file->write_count++];
    *write = (struct model_write){
        .call = record->call, .order = model->order, .file_size = file->cache_size};
    write->is_dsync = (record->flags & POWER_DSYNC) != 0;
    write->asked = record->size;
    return write;
}

/* The sectors that the bytes touch, as the page cache has them now. */
static void keep_sectors(const struct model_file *file, struct model_write *write, uint64_t offset,
                         size_t size)
{
    uint64_t end = (offset + size + MODEL_SECTOR - 1) / MODEL_SECTOR * MODEL_SECTOR;
    write->offset = offset / MODEL_SECTOR * MODEL_SECTOR;
    write->size = (size_t)(end - write->offset);
    write->data = must_grow(write->data, write->size + 1);
    memcpy(write->data, file->cache + write->offset, write->size);
}

static void put_bytes(struct model_file *file, const struct power_record *record, size_t new_size)
{
    reserve(file,
            record->offset + record->size > new_size ? record->offset + record->size : new_size);
    memcpy(file->cache + record->offset, power_log_bytes(record), record->size);
    set_size(file->cache, &file->cache_size, new_size);
}

static const char *apply_write(struct model *model, const struct power_record *record)
{
    struct model_file *file = find_id(model, record->file);
    if (file == NULL || record->offset + record->size > FILE_SIZE_MAX)
        return "a write to a file that is not known, or is too large for this";
    size_t end = record->offset + record->size;
    put_bytes(file, record, end > file->cache_size ? end : file->cache_size);
    struct model_write *write = add_write(model, file, record);
    keep_sectors(file, write, record->offset, record->size);
    return NULL;
}

static const char *apply_size(struct model *model, const struct power_record *record)
{
    struct model_file *file = find_id(model, record->file);
    if (file == NULL || record->offset > FILE_SIZE_MAX)
        return "a length of a file that is not known, or is too large for this";
    reserve(file, record->offset);
    set_size(file->cache, &file->cache_size, record->offset);
    add_write(model, file, record);
    return NULL;
}

/* -- Syncs ------------------------------------------------------------------------------------- */

static void remove_write(struct model_file *file, size_t i)
{
    free(file->writes[i].data);
    file->write_count--;
    memmove(&file->writes[i], &file->writes[i + 1],
            (file->write_count - i) * sizeof(*file->writes));
}

/* Onto the disk, for good. */
static void settle(struct model_file *file, const struct model_write *write)
{
    if (write->data == NULL) {
        set_size(file->disk, &file->disk_size, write->file_size);
        return;
    }
    memcpy(file->disk + write->offset, write->data, write->size);
    size_t end = write->offset + write->size < write->file_size ? write->offset + write->size
                                                                : write->file_size;
    if (end > file->disk_size)
        file->disk_size = end;
}

/* What older writes had in these sectors can come to the disk no more. */
static void overwrite(struct model_write *older, const struct model_write *write)
{
    uint64_t begin = older->offset > write->offset ? older->offset : write->offset;
    uint64_t older_end = older->offset + older->size, write_end = write->offset + write->size;
    uint64_t end = older_end < write_end ? older_end : write_end;
    if (older->data != NULL && begin < end)
        memcpy(older->data + (begin - older->offset), write->data + (begin - write->offset),
               (size_t)(end - begin));
}

static void settle_one(struct model_file *file, size_t i)
{
    for (size_t k = 0; k < i; k++)
        overwrite(&file->writes[k], &file->writes[i]);
    settle(file, &file->writes[i]);
    remove_write(file, i);
}

static void settle_before(struct model_file *file, uint64_t order)
{
    size_t count = 0;
    while (count < file->write_count && file->writes[count].order < order) {
        settle(file, &file->writes[count]);
        free(file->writes[count++].data);
    }
    file->write_count -= count;
    memmove(file->writes, file->writes + count, file->write_count * sizeof(*file->writes));
}

/* A write that was cut short or failed leaves what it should not: such a log is of no use here. */
static const char *apply_done(struct model *model, const struct power_record *record)
{
    struct model_file *file = find_id(model, record->file);
    for (size_t i = 0; file != NULL && i < file->write_count; i++) {
        const struct model_write *write = &file->writes[i];
        if (write->call != record->call)
            continue;
        if (record->value != (int64_t)write->asked)
            return "a write has failed, or was cut short";
        if (write->is_dsync && model->trusts_dsync)
            settle_one(file, i);
        return NULL;
    }
    return "the end of a write that is not known";
}

static const char *begin_sync(struct model *model, const struct power_record *record)
{
    /* of processes that died within them */
    if (model->sync_count == sizeof(model->syncs) / sizeof(model->syncs[0]))
        memmove(model->syncs, model->syncs + 1, --model->sync_count * sizeof(model->syncs[0]));
    model->syncs[model->sync_count++] = (struct model_sync){record->call, model->order};
    return NULL;
}

static void settle_names(struct model *model, uint64_t order)
{
    size_t first = 0;
    while (first + 1 < model->names_count && model->names[first + 1].order < order)
        first++;
    model->names_count -= first;
    memmove(model->names, model->names + first, model->names_count * sizeof(*model->names));
}

static const char *end_sync(struct model *model, const struct power_record *record)
{
    size_t i = 0;
    while (i < model->sync_count && model->syncs[i].call != record->call)
        i++;
    if (i == model->sync_count || record->value != 0)
        return "the end of a sync that is not known, or a sync that failed";
    uint64_t order = model->syncs[i].order;
    memmove(model->syncs + i, model->syncs + i + 1,
            (--model->sync_count - i) * sizeof(model->syncs[0]));
    struct model_file *file = find_id(model, record->file);
    if (record->file == POWER_FOLDER)
        settle_names(model, order);
    else if (file != NULL && model->trusts_data_sync)
        settle_before(file, order);
    return NULL;
}

/* -- Names ------------------------------------------------------------------------------------- */

static struct model_names *change_names(struct model *model)
{
    if (model->names_count == NAMES_STATES_MAX)
        abort();
    struct model_names *next = &model->names[model->names_count];
    *next = next[-1];
    next->order = model->order;
    model->names_count++;
    return next;
}

static void drop_name(struct model_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].name, name) == 0) {
            names->items[i] = names->items[--names->count];
            return;
        }
}

static const char *put_name(struct model_names *names, const char *name, size_t file)
{
    drop_name(names, name);
    if (names->count == MODEL_NAMES_MAX)
        return "too many names";
    snprintf(names->items[names->count].name, MODEL_NAME_SIZE, "%s", name);
    names->items[names->count++].file = file;
    return NULL;
}

static const char *apply_create(struct model *model, const struct power_record *record,
                                const char *name)
{
    if (model->file_count == MODEL_FILES_MAX)
        return "too many files";
    struct model_file *file = &model->files[model->file_count++];
    *file = (struct model_file){.id = record->file};
    reserve(file, 0);
    return put_name(change_names(model), name, model->file_count - 1);
}

static const char *apply_rename(struct model *model, const char *from, const char *to)
{
    const struct model_file *file = model_find(model, from);
    if (file == NULL)
        return "a name that is not known";
    struct model_names *names = change_names(model);
    drop_name(names, from);
    return put_name(names, to, (size_t)(file - model->files));
}

/* -- Records ----------------------------------------------------------------------------------- */

/* The file as it really is takes the place of what the dead process was about to write. */
static const char *apply_amend(struct model *model, const struct power_record *record)
{
    struct model_file *file = find_id(model, record->file);
    for (size_t i = 0; file != NULL && i < file->write_count; i++) {
        struct model_write *write = &file->writes[i];
        if (write->call != record->call)
            continue;
        uint64_t offset = write->offset;
        size_t size = write->size;
        put_bytes(file, record, (size_t)record->value);
        write->file_size = file->cache_size;
        if (write->data != NULL)
            keep_sectors(file, write, offset, size);
        return NULL;
    }
    return "an amended write that is not known";
}

static const char *apply_check(struct model *model, const struct power_record *record,
                               const char *name)
{
    const struct model_file *file = model_find(model, name);
    model->checks++;
    if (file == NULL || file->cache_size != record->offset ||
        power_hash(file->cache, file->cache_size) != (uint64_t)record->value)
        return "the file is not what the log says: something has written past the recorder";
    return NULL;
}

static const char *apply_named(struct model *model, const struct power_record *record)
{
    char names[2 * MODEL_NAME_SIZE] = "";
    if (record->size >= sizeof(names))
        return "a name that is too long";
    memcpy(names, power_log_bytes(record), record->size);
    if (record->kind == POWER_CREATE)
        return apply_create(model, record, names);
    if (record->kind == POWER_RENAME)
        return apply_rename(model, names, names + strlen(names) + 1);
    if (record->kind == POWER_CHECK)
        return apply_check(model, record, names);
    drop_name(change_names(model), names);
    return NULL;
}

const char *model_apply(struct model *model, const struct power_record *record)
{
    model->order++;
    switch ((enum power_kind)record->kind) {
    case POWER_WRITE:
        return apply_write(model, record);
    case POWER_SIZE:
        return apply_size(model, record);
    case POWER_DONE:
        return apply_done(model, record);
    case POWER_SYNC:
        return begin_sync(model, record);
    case POWER_SYNCED:
        return end_sync(model, record);
    case POWER_AMEND:
        return apply_amend(model, record);
    case POWER_CREATE:
    case POWER_RENAME:
    case POWER_UNLINK:
    case POWER_CHECK:
        return apply_named(model, record);
    case POWER_MARK:
        return NULL;
    }
    return "a record of a kind that is not known";
}
