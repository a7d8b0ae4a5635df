/* SPDX-License-Identifier: Apache-2.0
 *
 * W3C Trace Context, the header "traceparent" (https://www.w3.org/TR/trace-context/):
 * 00-<trace id, 32 digits>-<span id, 16 digits>-<flags, 2 digits>, in lower-case hexadecimal.
 */
#ifndef TERCET_TRACEPARENT_H
#define TERCET_TRACEPARENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACE_ID_SIZE 16
#define SPAN_ID_SIZE 8
#define TRACEPARENT_MAX 55 /* characters */

#define TRACE_SAMPLED 0x01 /* whoever called records its spans */
#define TRACE_RANDOM 0x02  /* the trace id is random */

struct trace_context {
    uint8_t trace_id[TRACE_ID_SIZE];
    uint8_t span_id[SPAN_ID_SIZE];
    uint8_t flags;
};

/* Returns false when the text is none; then it counts as if there were none. Later versions are
 * read as far as this one goes, and flags that are not known are cleared. */
bool traceparent_parse(struct trace_context *out, const char *text);

void traceparent_format(char out[TRACEPARENT_MAX + 1], const struct trace_context *context);

/* Lower-case digits, two for each byte, and a NUL. */
void traceparent_hex(char *out, const uint8_t *bytes, size_t size);

#endif
