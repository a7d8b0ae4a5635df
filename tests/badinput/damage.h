/* SPDX-License-Identifier: Apache-2.0
 *
 * Damage to a store that no process has open: LMDB finds nothing wrong with it, as it has no
 * checksums.
 */
#ifndef TERCET_TEST_DAMAGE_H
#define TERCET_TEST_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Changes one value of the named database of the store in `directory`: the value of `key`, or the
 * index-th with a NULL key. Byte `at` (from the end when negative) is flipped; or with `cut`, the
 * value ends there. false: there is no such value or byte. */
struct damage {
    const char *database;
    const char *key;
    size_t index;
    int at;
    bool cut;
};
bool damage_do(const char *directory, const struct damage *damage);

/* Removes the index-th value of a database. */
bool damage_remove(const char *directory, const char *database, size_t index);

/* The name of the first database with this prefix; false: there is none. */
bool damage_find_database(const char *directory, const char *prefix, char name[128]);

#endif
