/* SPDX-License-Identifier: Apache-2.0
 *
 * contents.h
 */
#include "contents.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int append(char *text, const char *key, const void *value, size_t size)
{
    size_t used = strlen(text);
    int added = snprintf(text + used, CONTENTS_MAX - used, "%s%s=%.*s", used > 0 ? " " : "", key,
                         (int)size, (const char *)value);
    return (size_t)added < CONTENTS_MAX - used ? 0 : TERCET_STORE_NOMEM;
}

static const char *end(char *text, int rc)
{
    return rc == 0 ? text : tercet_store_strerror(rc);
}

static int append_live(uint64_t number, uint32_t part, const void *value, size_t size, void *ctx)
{
    char key[40];
    snprintf(key, sizeof(key), "%" PRIu64 ".%" PRIu32, number, part);
    return append(ctx, key, value, size);
}

const char *contents_live(struct store *store, char *text)
{
    text[0] = '\0';
    return end(text, store_scan(store, 0, 1, UINT64_MAX, append_live, text));
}

static int append_resolved(uint64_t number, const void *value, size_t size, void *ctx)
{
    char key[24];
    snprintf(key, sizeof(key), "%" PRIu64, number);
    return append(ctx, key, value, size);
}

const char *contents_resolved(struct store *store, size_t limit, char *text)
{
    struct tercet_store_cursor cursor = {0};
    int count;
    text[0] = '\0';
    while ((count = store_page(store, 0, &cursor, limit, append_resolved, text)) > 0) {
        if ((size_t)count > limit)
            return "a page with more than was asked for";
        if ((size_t)count == limit)
            strcat(text, "|");
    }
    return end(text, count);
}

/* Sorted in by name: a driver may give them in any order. */
static int append_meta(const char *name, const void *value, size_t size, void *ctx)
{
    char *text = ctx;
    char old[CONTENTS_MAX], word[CONTENTS_MAX] = "", *rest;
    int rc = append(word, name, value, size);
    snprintf(old, sizeof(old), "%s", text);
    text[0] = '\0';
    for (char *known = strtok_r(old, " ", &rest); known != NULL;
         known = strtok_r(NULL, " ", &rest)) {
        if (word[0] != '\0' && strcmp(known, word) > 0) {
            strcat(strcat(text, text[0] != '\0' ? " " : ""), word);
            word[0] = '\0';
        }
        strcat(strcat(text, text[0] != '\0' ? " " : ""), known);
    }
    if (word[0] != '\0')
        strcat(strcat(text, text[0] != '\0' ? " " : ""), word);
    return rc;
}

const char *contents_meta(struct store *store, char *text)
{
    text[0] = '\0';
    return end(text, store_meta_scan(store, 0, append_meta, text));
}

const char *contents_find(struct store *store, const char *gid, uint64_t number, char *text)
{
    struct store_value value;
    int rc = store_find_wait(store, 0, gid, &number, &value);
    text[0] = '\0';
    if (rc != 0)
        return end(text, rc);
    rc = append_resolved(number, value.data, value.size, text);
    store_value_free(&value);
    return end(text, rc);
}

/* -- Operations -------------------------------------------------------------------------------- */

struct tercet_store_op op_put(uint64_t number, uint32_t part, const char *value)
{
    return (struct tercet_store_op){.kind = TERCET_STORE_PUT,
                                    .number = number,
                                    .part = part,
                                    .value = value,
                                    .size = strlen(value)};
}

struct tercet_store_op op_delete(uint64_t number, uint32_t part)
{
    return (struct tercet_store_op){.kind = TERCET_STORE_DELETE, .number = number, .part = part};
}

struct tercet_store_op op_resolve(uint64_t number, const char *gid, int64_t time_ms,
                                  const char *value)
{
    return (struct tercet_store_op){.kind = TERCET_STORE_RESOLVE,
                                    .number = number,
                                    .gid = gid,
                                    .time_ms = time_ms,
                                    .value = value,
                                    .size = strlen(value)};
}

struct tercet_store_op op_meta(const char *name, const char *value)
{
    return (struct tercet_store_op){
        .kind = TERCET_STORE_META_PUT, .name = name, .value = value, .size = strlen(value)};
}

struct tercet_store_op op_meta_delete(const char *name)
{
    return (struct tercet_store_op){.kind = TERCET_STORE_META_DELETE, .name = name};
}

struct tercet_store_op op_drop(int64_t time_ms)
{
    return (struct tercet_store_op){.kind = TERCET_STORE_DROP, .time_ms = time_ms};
}
