/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.h
 */
#include "frame.h"

#include "fuzz.h"

#include <xxhash.h>

uint8_t *frame_record(enum record_type type, const uint8_t *body, size_t size)
{
    uint8_t *record = calloc(1, RECORD_HEAD_SIZE + size);
    MUST(record != NULL);
    record[0] = 1;
    record[1] = (uint8_t)type;
    memcpy(record + RECORD_HEAD_SIZE, body, size);
    uint64_t sum =
        XXH3_64bits_withSeed(record + RECORD_HEAD_SIZE, size, (uint64_t)record[0] << 8 | record[1]);
    for (int i = 0; i < 8; i++)
        record[4 + i] = (uint8_t)(sum >> (8 * i));
    return record;
}
