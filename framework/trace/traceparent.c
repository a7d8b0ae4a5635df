/* SPDX-License-Identifier: Apache-2.0
 *
 * traceparent.h
 */
#include "traceparent.h"

#include <string.h>

/* Where the parts are in the text. */
#define AT_TRACE_ID 3
#define AT_SPAN_ID 36
#define AT_FLAGS 53

/* -1: it is no digit, as capital letters are none. */
static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(uint8_t *out, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        int high = digit(text[2 * i]), low = high >= 0 ? digit(text[2 * i + 1]) : -1;
        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* A later version may go on behind the flags. */
static bool has_form(const char *text, uint8_t version)
{
    const char end = text[TRACEPARENT_MAX];
    return version != 0xff && (end == '\0' || (version != 0 && end == '-')) && text[2] == '-' &&
           text[AT_SPAN_ID - 1] == '-' && text[AT_FLAGS - 1] == '-';
}

bool traceparent_parse(struct trace_context *out, const char *text)
{
    struct trace_context context;
    uint8_t version;
    if (strnlen(text, TRACEPARENT_MAX) < TRACEPARENT_MAX || !read_hex(&version, text, 1) ||
        !has_form(text, version) ||
        !read_hex(context.trace_id, text + AT_TRACE_ID, TRACE_ID_SIZE) ||
        !read_hex(context.span_id, text + AT_SPAN_ID, SPAN_ID_SIZE) ||
        !read_hex(&context.flags, text + AT_FLAGS, 1) || is_zero(context.trace_id, TRACE_ID_SIZE) ||
        is_zero(context.span_id, SPAN_ID_SIZE))
        return false;
    context.flags &= TRACE_SAMPLED | TRACE_RANDOM;
    *out = context;
    return true;
}

void traceparent_hex(char *out, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    *out = '\0';
}

void traceparent_format(char out[TRACEPARENT_MAX + 1], const struct trace_context *context)
{
    memcpy(out, "00-", AT_TRACE_ID);
    traceparent_hex(out + AT_TRACE_ID, context->trace_id, TRACE_ID_SIZE);
    out[AT_SPAN_ID - 1] = '-';
    traceparent_hex(out + AT_SPAN_ID, context->span_id, SPAN_ID_SIZE);
    out[AT_FLAGS - 1] = '-';
    traceparent_hex(out + AT_FLAGS, &context->flags, 1);
}
