/* SPDX-License-Identifier: Apache-2.0
 *
 * One flipped bit in the index by gid, or one entry that stands for another: what was resolved is
 * found, or the store says that it is damaged; it is never somebody else's, and never "not found".
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

#define SUITE lmdb_index
#define COUNT 400
#define GID_SIZE 8 /* "gid-0001" */

struct image {
    int fd;
    unsigned char *bytes;
    size_t size;
};

static void name_gid(char *gid, int i)
{
    snprintf(gid, TERCET_STORE_GID_MAX, "gid-%04d", i * 7);
}

static void fill(struct fixture *fixture)
{
    for (int i = 1; i <= COUNT; i++) {
        char gid[TERCET_STORE_GID_MAX], value[16];
        name_gid(gid, i);
        snprintf(value, sizeof(value), "v%d", i);
        COMMIT_OK(fixture, op_resolve((uint64_t)i, gid, 1500, value));
    }
}

static void load(const struct fixture *fixture, struct image *image)
{
    char path[160];
    struct stat file;
    snprintf(path, sizeof(path), "%s/data.mdb", fixture->dir);
    image->fd = open(path, O_RDWR);
    cr_assert_eq(fstat(image->fd, &file), 0);
    image->size = (size_t)file.st_size;
    image->bytes = malloc(image->size);
    cr_assert_eq(pread(image->fd, image->bytes, image->size, 0), (ssize_t)image->size);
}

static int look_up(struct fixture *fixture, int i, bool is_known)
{
    char gid[TERCET_STORE_GID_MAX], expected[40];
    name_gid(gid, i);
    snprintf(expected, sizeof(expected), "%d=v%d", i, i);
    const char *found = fixture_find(fixture, gid);
    if (strcmp(found, tercet_store_strerror(TERCET_STORE_CORRUPT)) == 0)
        return 1;
    cr_assert_str_eq(found, is_known ? expected : "not found");
    return 0;
}

/* Flips the bit in the file, which LMDB maps, and back. */
static int with_flipped(struct fixture *fixture, const struct image *image, size_t at, int bit,
                        int i)
{
    unsigned char byte = image->bytes[at] ^ (unsigned char)(1 << bit);
    cr_assert_eq(pwrite(image->fd, &byte, 1, (off_t)at), 1);
    int refused = look_up(fixture, i, true);
    for (int near = i - 2; near <= i + 2; near++)
        if (near >= 1 && near <= COUNT)
            (void)look_up(fixture, near, true);
    cr_assert_eq(pwrite(image->fd, &image->bytes[at], 1, (off_t)at), 1);
    return refused;
}

Test(SUITE, a_flipped_bit_makes_no_gid_unknown, .timeout = 120)
{
    struct fixture fixture;
    struct image image;
    int refused = 0, flipped = 0;
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    fill(&fixture);
    load(&fixture, &image);
    for (size_t at = 0; at + GID_SIZE + 16 <= image.size; at++) {
        if (memcmp(&image.bytes[at], "gid-", 4) != 0)
            continue;
        char digits[5] = {0};
        memcpy(digits, &image.bytes[at + 4], 4);
        int i = atoi(digits) / 7;
        if (i < 1 || i > COUNT || atoi(digits) % 7 != 0)
            continue; /* what is left of another page */
        /* the key, the number and the check behind it */
        for (size_t byte = at; byte < at + GID_SIZE + 16; byte += 1 + (at / 24 + byte) % 4)
            for (int bit = 0; bit < 8; bit += 3, flipped++)
                refused += with_flipped(&fixture, &image, byte, bit, i);
    }
    cr_assert_gt(flipped, 5000);
    cr_assert_gt(refused, 1000, "the flips were in the index: %d of %d", refused, flipped);
    for (int i = 1; i <= COUNT; i++)
        cr_assert_eq(look_up(&fixture, i, true), 0);
    cr_assert_str_eq(fixture_find(&fixture, "gid-0001"), "not found");
    cr_assert_str_eq(fixture_find(&fixture, "gid-9999"), "not found");
    cr_assert_str_eq(fixture_find(&fixture, "a"), "not found");
    free(image.bytes);
    close(image.fd);
    fixture_close(&fixture);
}

/* -- One entry stands for another -------------------------------------------------------------- */

/* LMDB's page: its number (8), padding (2), flags (2), the end of the offsets of its entries (2),
 * the start of the entries (2), the offsets (2 each). */
#define PAGE_SIZE 4096
#define PAGE_IS_LEAF 2
#define PAGE_HEAD 16

static uint16_t *offsets_of(unsigned char *page, size_t *count)
{
    uint16_t flags, lower;
    memcpy(&flags, page + 10, sizeof(flags));
    memcpy(&lower, page + 12, sizeof(lower));
    *count = flags == PAGE_IS_LEAF && lower > PAGE_HEAD && lower < PAGE_SIZE
                 ? (size_t)(lower - PAGE_HEAD) / 2
                 : 0;
    return (uint16_t *)(void *)(page + PAGE_HEAD);
}

/* Whether the first entry's key begins so: behind 8 bytes of sizes and flags. */
static bool is_page_of(unsigned char *page, const char *prefix)
{
    size_t count;
    const uint16_t *offsets = offsets_of(page, &count);
    return count > 1 && offsets[0] + 8 + strlen(prefix) < PAGE_SIZE &&
           memcmp(page + offsets[0] + 8, prefix, strlen(prefix)) == 0;
}

static void write_page(const struct image *image, const unsigned char *page)
{
    off_t at = page - image->bytes;
    cr_assert_eq(pwrite(image->fd, page, PAGE_SIZE, at), PAGE_SIZE);
}

static int look_up_all(struct fixture *fixture)
{
    int refused = 0;
    for (int i = 1; i <= COUNT; i++)
        refused += look_up(fixture, i, true);
    return refused;
}

Test(SUITE, an_entry_that_stands_for_another_makes_no_gid_unknown, .timeout = 120)
{
    struct fixture fixture;
    struct image image;
    int refused = 0, pages = 0;
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    fill(&fixture);
    load(&fixture, &image);
    for (unsigned char *page = image.bytes; page < image.bytes + image.size; page += PAGE_SIZE) {
        size_t count;
        uint16_t *offsets = offsets_of(page, &count);
        if (!is_page_of(page, "gid-"))
            continue;
        pages++;
        for (size_t i = 0; i < count; i += 1 + count / 8) {
            for (size_t j = 0; j < count; j += 1 + count / 8) {
                uint16_t right = offsets[i];
                offsets[i] = offsets[j];
                write_page(&image, page);
                refused += look_up_all(&fixture);
                offsets[i] = right;
            }
        }
        write_page(&image, page);
    }
    cr_assert_gt(pages, 3);
    cr_assert_gt(refused, 300, "%d", refused);
    cr_assert_eq(look_up_all(&fixture), 0);
    free(image.bytes);
    close(image.fd);
    fixture_close(&fixture);
}

/* Returns 1 if it is refused, or tells that it is damaged. Opening writes: the file is as before it
 * behind this. */
static int try_open(struct fixture *fixture, const struct image *image)
{
    struct tercet_store_lease lease;
    int refused = 1;
    fixture->store = NULL;
    if (store_open(&fixture->store, fixture->dir, NULL, &fixture->options, NULL) == 0) {
        if (store_acquire(fixture->store, 0, &lease) == 0)
            refused = look_up_all(fixture) != 0;
        store_close(fixture->store);
    }
    cr_assert_eq(pwrite(image->fd, image->bytes, image->size, 0), (ssize_t)image->size);
    return refused;
}

Test(SUITE, a_name_that_stands_for_another_makes_no_gid_unknown, .timeout = 120)
{
    struct fixture fixture;
    struct image image;
    int refused = 0, pages = 0;
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    fill(&fixture);
    store_close(fixture.store);
    load(&fixture, &image);
    for (unsigned char *page = image.bytes; page < image.bytes + image.size; page += PAGE_SIZE) {
        size_t count;
        uint16_t *offsets = offsets_of(page, &count);
        if (!is_page_of(page, "gids/"))
            continue;
        pages++;
        for (size_t at = 0; at < count * count; at++) {
            uint16_t right = offsets[at / count];
            offsets[at / count] = offsets[at % count];
            write_page(&image, page);
            offsets[at / count] = right;
            refused += try_open(&fixture, &image);
        }
    }
    cr_assert_gt(pages, 0);
    cr_assert_gt(refused, 10);
    fixture.store = NULL;
    fixture_reopen(&fixture);
    cr_assert_eq(look_up_all(&fixture), 0);
    free(image.bytes);
    close(image.fd);
    fixture_close(&fixture);
}
