/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: keys and bytes.
 */
#include "etcd_store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 2, 3))) static void print(struct etcd_key *key, const char *format,
                                                        ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(key->bytes, sizeof(key->bytes), format, args);
    va_end(args);
    assert(size > 0 && (size_t)size < sizeof(key->bytes));
    key->size = (size_t)size;
}

void etcd_key_format(struct etcd_key *key, const struct etcd_store *store)
{
    print(key, "%s/format", store->name.prefix);
}

void etcd_key_member(struct etcd_key *key, const struct etcd_store *store, uint64_t id)
{
    print(key, "%s/member/%016" PRIx64, store->name.prefix, id);
}

void etcd_key_shard(struct etcd_key *key, const struct etcd_store *store, const char *what)
{
    print(key, "%s/%04x/%s", store->name.prefix, ETCD_SHARD, what);
}

void etcd_key_live(struct etcd_key *key, const struct etcd_store *store, uint64_t number,
                   uint64_t slot)
{
    print(key, "%s/%04x/live/%016" PRIx64 "/%016" PRIx64, store->name.prefix, ETCD_SHARD, number,
          slot);
}

void etcd_key_bucket(struct etcd_key *key, const struct etcd_store *store, uint64_t id)
{
    print(key, "%s/%04x/bucket/%016" PRIx64, store->name.prefix, ETCD_SHARD, id);
}

void etcd_key_gone(struct etcd_key *key, const struct etcd_store *store, uint64_t bucket)
{
    print(key, "%s/%04x/gone/%016" PRIx64, store->name.prefix, ETCD_SHARD, bucket);
}

/* Complemented, so that the largest number comes first: etcd reads downwards only by reading all.
 */
void etcd_key_done(struct etcd_key *key, const struct etcd_store *store, uint64_t bucket,
                   uint64_t number)
{
    print(key, "%s/%04x/done/%016" PRIx64 "/%016" PRIx64, store->name.prefix, ETCD_SHARD, bucket,
          ~number);
}

void etcd_key_gid(struct etcd_key *key, const struct etcd_store *store, uint64_t bucket,
                  const char *gid)
{
    print(key, "%s/%04x/gid/%016" PRIx64 "/%s", store->name.prefix, ETCD_SHARD, bucket, gid);
}

void etcd_key_meta(struct etcd_key *key, const struct etcd_store *store, const char *name)
{
    print(key, "%s/%04x/meta/%s", store->name.prefix, ETCD_SHARD, name);
}

void etcd_key_of_bucket(struct etcd_key *key, const struct etcd_store *store, const char *kind,
                        uint64_t id)
{
    print(key, "%s/%04x/%s/%016" PRIx64 "/", store->name.prefix, ETCD_SHARD, kind, id);
}

void etcd_key_chunk(struct etcd_key *key, const struct etcd_key *of, uint64_t batch, uint32_t i)
{
    char tail[40];
    int size = snprintf(tail, sizeof(tail), "%016" PRIx64 "/%08" PRIx32, batch, i);
    assert(of->size + 1 + (size_t)size <= sizeof(key->bytes));
    memmove(key->bytes, of->bytes, of->size);
    key->bytes[of->size] = '\0';
    memcpy(key->bytes + of->size + 1, tail, (size_t)size);
    key->size = of->size + 1 + (size_t)size;
}

/* No key of ours has a byte 255 at its end: gids and names may, so it is looked for. */
void etcd_key_past(struct etcd_key *end, const struct etcd_key *key)
{
    *end = *key;
    while (end->size > 1 && (unsigned char)end->bytes[end->size - 1] == 0xff)
        end->size--;
    end->bytes[end->size - 1]++;
}

void etcd_key_past_chunks(struct etcd_key *end, const struct etcd_key *key)
{
    *end = *key;
    assert(end->size < sizeof(end->bytes));
    end->bytes[end->size++] = '\1';
}

bool etcd_key_read(uint64_t *out, const void *key, size_t size, size_t skip)
{
    char digits[17];
    char *end;
    if (size < skip + 16)
        return false;
    memcpy(digits, (const char *)key + skip, 16);
    digits[16] = '\0';
    *out = strtoull(digits, &end, 16);
    return end == digits + 16;
}

ProtobufCBinaryData etcd_bytes(const struct etcd_key *key)
{
    return (ProtobufCBinaryData){.len = key->size, .data = (uint8_t *)(uintptr_t)key->bytes};
}

/* -- Bytes ------------------------------------------------------------------------------------- */

void *etcd_alloc(size_t size)
{
    void *data = calloc(1, size > 0 ? size : 1);
    if (data == NULL)
        abort();
    return data;
}

void etcd_buf_add(struct etcd_buf *buf, const void *data, size_t size)
{
    if (buf->size + size > buf->capacity) {
        buf->capacity = buf->size + size + buf->capacity;
        buf->data = realloc(buf->data, buf->capacity);
        if (buf->data == NULL)
            abort();
    }
    if (size > 0)
        memcpy(buf->data + buf->size, data, size);
    buf->size += size;
}

void etcd_buf_add_number(struct etcd_buf *buf, uint64_t value, size_t size)
{
    unsigned char bytes[8];
    assert(size <= sizeof(bytes));
    for (size_t i = size; i-- > 0; value >>= 8)
        bytes[i] = (unsigned char)value;
    etcd_buf_add(buf, bytes, size);
}

void etcd_buf_free(struct etcd_buf *buf)
{
    free(buf->data);
    *buf = (struct etcd_buf){.data = NULL};
}
