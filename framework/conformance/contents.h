/* SPDX-License-Identifier: Apache-2.0
 *
 * What is in a store, as text, and writes in short, so that tests read as stories. What cannot be
 * read is the text of its error.
 */
#ifndef TERCET_CONFORMANCE_CONTENTS_H
#define TERCET_CONFORMANCE_CONTENTS_H

#include <store.h>

#define CONTENTS_MAX 8192

/* Shard 0's, in `text` (CONTENTS_MAX bytes), which they return. */

/* "1.0=a 1.1=b": number, part, value. */
const char *contents_live(struct store *store, char *text);
/* "2=b 1=a": the resolved ones as they are paged, `limit` a page; the pages are parted by "|". */
const char *contents_resolved(struct store *store, size_t limit, char *text);
/* "name=value", by name */
const char *contents_meta(struct store *store, char *text);
/* "2=b": by gid, or by number when that is NULL. */
const char *contents_find(struct store *store, const char *gid, uint64_t number, char *text);

struct tercet_store_op op_put(uint64_t number, uint32_t part, const char *value);
struct tercet_store_op op_delete(uint64_t number, uint32_t part);
struct tercet_store_op op_resolve(uint64_t number, const char *gid, int64_t time_ms,
                                  const char *value);
struct tercet_store_op op_meta(const char *name, const char *value);
struct tercet_store_op op_meta_delete(const char *name);
struct tercet_store_op op_drop(int64_t time_ms);

#endif
