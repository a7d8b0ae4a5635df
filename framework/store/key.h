/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys as bytes: integers are big-endian, so that byte order is number order. Both drivers use the
 * same keys. live record      number (8), part (4) resolved record  number (8)
 */
#ifndef TERCET_STORE_KEY_H
#define TERCET_STORE_KEY_H

#include <stddef.h>
#include <stdint.h>

#define KEY_NUMBER_SIZE 8u
#define KEY_LIVE_SIZE 12u

static inline void key_encode(unsigned char *out, uint64_t value, size_t size)
{
    for (size_t i = size; i-- > 0; value >>= 8)
        out[i] = (unsigned char)value;
}

static inline uint64_t key_decode(const void *key, size_t size)
{
    const unsigned char *bytes = key;
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

static inline void key_encode_live(unsigned char *out, uint64_t number, uint32_t part)
{
    key_encode(out, number, KEY_NUMBER_SIZE);
    key_encode(out + KEY_NUMBER_SIZE, part, KEY_LIVE_SIZE - KEY_NUMBER_SIZE);
}

static inline uint32_t key_decode_part(const void *key)
{
    return (uint32_t)key_decode((const unsigned char *)key + KEY_NUMBER_SIZE,
                                KEY_LIVE_SIZE - KEY_NUMBER_SIZE);
}

#endif
