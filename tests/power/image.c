/* SPDX-License-Identifier: Apache-2.0
 *
 * image.h
 */
#include "image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#define NEAR_PLACES 70 /* of a hundred images are cut at a place of interest */
#define READERS_SIZE 8192

__attribute__((noreturn)) static void fail(const char *what)
{
    perror(what);
    abort();
}

uint64_t image_draw(uint64_t *state, uint64_t limit)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % limit;
}

/* -- The plan ---------------------------------------------------------------------------------- */

/* Behind these there are, as a rule, writes that are not sure. */
static bool is_of_interest(const struct power_record *record)
{
    return record->kind == POWER_WRITE || record->kind == POWER_SYNC ||
           record->kind == POWER_AMEND || record->kind == POWER_SIZE;
}

void image_places_find(struct image_places *places, const struct power_log *log)
{
    places->count = 0;
    places->items = calloc(log->count + 1, sizeof(*places->items));
    if (places->items == NULL)
        fail("calloc");
    for (size_t i = 0; i < log->count; i++)
        if (is_of_interest(power_log_at(log, i)))
            places->items[places->count++] = i;
}

struct image_plan image_plan(const struct power_log *log, const struct image_places *places,
                             uint64_t seed, uint64_t index)
{
    struct image_plan plan = {.index = index, .state = seed * 0x100000001b3u + index};
    bool is_near = image_draw(&plan.state, 100) < NEAR_PLACES && places->count > 0;
    if (is_near) /* behind the record, or one more */
        plan.cut =
            places->items[image_draw(&plan.state, places->count)] + 1 + image_draw(&plan.state, 2);
    else
        plan.cut = image_draw(&plan.state, log->count + 1);
    plan.cut = plan.cut < log->count ? plan.cut : log->count;
    plan.way = (enum image_way)image_draw(&plan.state, WAY_COUNT);
    return plan;
}

/* -- One file ---------------------------------------------------------------------------------- */

struct making {
    struct image *image;
    const struct model_file *file;
    uint64_t state;
    enum image_way way;
    size_t chosen; /* the one write that is treated in another way */
    size_t size;   /* of the file so far */
};

enum fate { GONE, KEPT, TORN };

static enum fate fate_of(struct making *making, size_t i)
{
    switch (making->way) {
    case WAY_NONE:
        return GONE;
    case WAY_SOME:
        return image_draw(&making->state, 2) == 0 ? GONE : KEPT;
    case WAY_ALL_BUT_ONE:
        return i == making->chosen ? GONE : KEPT;
    case WAY_LAST:
        return i + 1 == making->file->write_count ? KEPT : GONE;
    case WAY_SECTORS:
        return TORN;
    case WAY_ONE_TORN:
        return i == making->chosen ? TORN : KEPT;
    case WAY_ALL:
    case WAY_COUNT:
        break;
    }
    return KEPT;
}

static void grow(struct making *making, size_t size)
{
    making->size = size > making->size ? size : making->size;
}

static void put_sectors(struct making *making, const struct model_write *write, size_t at,
                        size_t size)
{
    size_t end = write->offset + at + size;
    memcpy(making->image->data + write->offset + at, write->data + at, size);
    grow(making, end < write->file_size ? end : write->file_size);
}

/* Some sectors, and if it has several, not all of them. */
static size_t tear(struct making *making, const struct model_write *write)
{
    size_t count = write->size / MODEL_SECTOR, kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_there = image_draw(&making->state, 2) == 0 && (kept < i || i + 1 < count);
        if (is_there)
            put_sectors(making, write, i * MODEL_SECTOR, MODEL_SECTOR);
        kept += is_there;
    }
    return kept;
}

static void put_write(struct making *making, size_t i)
{
    const struct model_write *write = &making->file->writes[i];
    enum fate fate = fate_of(making, i);
    size_t sectors = 0;
    if (fate != GONE && write->data == NULL) {
        if (write->file_size < making->size)
            memset(making->image->data + write->file_size, 0, making->size - write->file_size);
        making->size = write->file_size;
        sectors = 1;
    } else if (fate == KEPT) {
        put_sectors(making, write, 0, write->size);
        sectors = write->size;
    } else if (fate == TORN) {
        sectors = tear(making, write);
        making->image->torn += sectors > 0 && sectors < write->size / MODEL_SECTOR;
    }
    making->image->kept += sectors > 0;
}

static void reserve(struct image *image, size_t capacity)
{
    if (capacity <= image->capacity)
        return;
    image->capacity = 2 * capacity;
    free(image->data);
    image->data = malloc(image->capacity);
    if (image->data == NULL)
        fail("malloc");
}

static size_t compose(struct making *making)
{
    const struct model_file *file = making->file;
    size_t most = file->cache_size > file->disk_size ? file->cache_size : file->disk_size;
    for (size_t i = 0; i < file->write_count; i++)
        most = file->writes[i].file_size > most ? file->writes[i].file_size : most;
    most += MODEL_SECTOR;
    reserve(making->image, most);
    memcpy(making->image->data, file->disk, file->disk_size);
    memset(making->image->data + file->disk_size, 0, most - file->disk_size);
    making->size = file->disk_size;
    making->chosen = file->write_count > 0 ? image_draw(&making->state, file->write_count) : 0;
    for (size_t i = 0; i < file->write_count; i++)
        put_write(making, i);
    making->image->unsure += file->write_count;
    /* The length may be there before what was written. */
    if (file->write_count > 0 && making->way != WAY_NONE && image_draw(&making->state, 2) == 0)
        grow(making, file->cache_size);
    return making->size;
}

/* -- The folder -------------------------------------------------------------------------------- */

static void path_of(char path[PATH_MAX], const char *folder, const char *name)
{
    int size = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    if (size < 0 || size >= PATH_MAX)
        abort();
}

static void write_file(const char *folder, const char *name, const void *data, size_t size)
{
    char path[PATH_MAX];
    path_of(path, folder, name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, data, size, 0) != (ssize_t)size || ftruncate(fd, (off_t)size) != 0)
        fail(path);
    close(fd);
}

static bool has_name(const struct model_names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i].name, name) == 0)
            return true;
    return false;
}

/* The files of an earlier image that this one does not have. */
static void remove_others(const char *folder, const struct model_names *names)
{
    char path[PATH_MAX];
    const struct dirent *item;
    DIR *items = opendir(folder);
    if (items == NULL)
        fail(folder);
    while ((item = readdir(items)) != NULL) {
        path_of(path, folder, item->d_name);
        if (item->d_type == DT_REG && !has_name(names, item->d_name) && unlink(path) != 0)
            fail(path);
    }
    closedir(items);
}

/* LMDB's table of readers is memory that was mapped: after a loss of power it may hold anything. */
static void write_readers(const char *folder, uint64_t *state)
{
    unsigned char data[READERS_SIZE];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)image_draw(state, 256);
    write_file(folder, "lock.mdb", data, sizeof(data));
}

void image_make(struct image *image, const struct model *model, const struct image_plan *plan,
                const char *folder)
{
    uint64_t state = plan->state;
    const struct model_names *names = &model->names[image_draw(&state, model->names_count)];
    image->unsure = image->kept = image->torn = 0;
    image->hash = 1;
    remove_others(folder, names);
    for (size_t i = 0; i < names->count; i++) {
        struct making making = {
            .image = image, .file = &model->files[names->items[i].file], .way = plan->way};
        making.state = state + i;
        size_t size = compose(&making);
        write_file(folder, names->items[i].name, image->data, size);
        uint64_t hash = XXH3_64bits(names->items[i].name, strlen(names->items[i].name)) ^ size;
        image->hash += XXH3_64bits_withSeed(image->data, size, hash);
    }
    if (has_name(names, "data.mdb") && image_draw(&state, 4) == 0)
        write_readers(folder, &state);
}

void image_free(struct image *image)
{
    free(image->data);
}
