/* SPDX-License-Identifier: Apache-2.0
 *
 * A record of the store around any body: the head is right (coordinator/record.h), so that a fuzzer
 * need not find checksums.
 */
#ifndef TERCET_FUZZ_FRAME_H
#define TERCET_FUZZ_FRAME_H

#include "record.h"

/* RECORD_HEAD_SIZE + size bytes, malloc'ed. */
uint8_t *frame_record(enum record_type type, const uint8_t *body, size_t size);

#endif
