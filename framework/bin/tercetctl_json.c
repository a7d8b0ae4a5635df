/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages as JSON, by their descriptors: a field that is added to the .proto shows without a line
 * here.
 */
#include "tercetctl.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* a double, which most readers make of a number, is exact below this */
#define EXACT_MAX (INT64_C(1) << 53)

static cJSON *check(cJSON *json)
{
    if (json == NULL)
        ctl_die("out of memory");
    return json;
}

/* -- Values ------------------------------------------------------------------------------------ */

static cJSON *of_raw(char *text)
{
    cJSON *json = check(cJSON_CreateRaw(text));
    free(text);
    return json;
}

static char *escape_char(char *to, uint32_t code)
{
    if (code < 0x10000)
        return to + sprintf(to, "\\u%04" PRIx32, code);
    code -= 0x10000;
    return to + sprintf(to, "\\u%04" PRIx32 "\\u%04" PRIx32, 0xd800 + (code >> 10),
                        0xdc00 + (code & 0x3ff));
}

/* A quoted text that does nothing to a terminal. */
static cJSON *of_text(const char *text)
{
    char *out = ctl_resize(NULL, 6 * strlen(text) + 3);
    char *to = out;
    *to++ = '"';
    for (struct term_char c = term_next(text); c.size != 0; text += c.size, c = term_next(text))
        if (c.is_printable && c.code != '"' && c.code != '\\')
            to = mempcpy(to, text, c.size);
        else
            to = escape_char(to, c.code);
    strcpy(to, "\"");
    return of_raw(out);
}

static cJSON *of_signed(int64_t value)
{
    bool is_exact = value > -EXACT_MAX && value < EXACT_MAX;
    return of_raw(ctl_format(is_exact ? "%" PRId64 : "\"%" PRId64 "\"", value));
}

static cJSON *of_unsigned(uint64_t value)
{
    return of_raw(ctl_format(value < (uint64_t)EXACT_MAX ? "%" PRIu64 : "\"%" PRIu64 "\"", value));
}

static cJSON *of_bytes(const ProtobufCBinaryData *bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = ctl_resize(NULL, (bytes->len + 2) / 3 * 4 + 1);
    char *to = out;
    for (size_t i = 0; i < bytes->len; i += 3) {
        size_t left = bytes->len - i;
        uint32_t group = (uint32_t)bytes->data[i] << 16 |
                         (left > 1 ? (uint32_t)bytes->data[i + 1] << 8 : 0) |
                         (left > 2 ? bytes->data[i + 2] : 0);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[group & 63] : '=';
    }
    *to = '\0';
    cJSON *json = check(cJSON_CreateString(out));
    free(out);
    return json;
}

static cJSON *of_enum(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(type, value);
    return known != NULL ? of_text(known->name) : of_signed(value);
}

/* -- Fields ------------------------------------------------------------------------------------ */

static size_t size_of_value(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(int);
    case PROTOBUF_C_TYPE_UINT32:
        return sizeof(uint32_t);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_INT64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return sizeof(void *);
    }
}

static cJSON *of_value(const ProtobufCFieldDescriptor *field, const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_ENUM:
        return of_enum(field->descriptor, *(const int *)value);
    case PROTOBUF_C_TYPE_UINT32:
        return of_unsigned(*(const uint32_t *)value);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return of_unsigned(*(const uint64_t *)value);
    case PROTOBUF_C_TYPE_INT64:
        return of_signed(*(const int64_t *)value);
    case PROTOBUF_C_TYPE_BOOL:
        return check(cJSON_CreateBool(*(const protobuf_c_boolean *)value));
    case PROTOBUF_C_TYPE_STRING:
        return of_text(*(const char *const *)value);
    case PROTOBUF_C_TYPE_BYTES:
        return of_bytes(value);
    default:
        assert(field->type == PROTOBUF_C_TYPE_MESSAGE); /* the .proto has no other types */
        return *(const void *const *)value != NULL
                   ? json_of_message(*(const ProtobufCMessage *const *)value)
                   : check(cJSON_CreateNull());
    }
}

static cJSON *of_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const uint8_t *base = (const uint8_t *)message;
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return of_value(field, base + field->offset);
    cJSON *array = check(cJSON_CreateArray());
    size_t count = *(const size_t *)(base + field->quantifier_offset);
    const uint8_t *values = *(const uint8_t *const *)(base + field->offset);
    for (size_t i = 0; i < count; i++)
        cJSON_AddItemToArray(array, of_value(field, values + i * size_of_value(field->type)));
    return array;
}

cJSON *json_of_message(const ProtobufCMessage *message)
{
    cJSON *object = check(cJSON_CreateObject());
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        cJSON *value = of_field(message, field);
        if (!cJSON_AddItemToObject(object, field->name, value))
            ctl_die("out of memory");
    }
    return object;
}

void json_print(cJSON *json, bool is_short)
{
    char *text = is_short ? cJSON_PrintUnformatted(json) : cJSON_Print(json);
    if (text == NULL)
        ctl_die("out of memory");
    fputs(text, stdout);
    cJSON_free(text);
    cJSON_Delete(json);
}

void json_print_message(const ProtobufCMessage *message)
{
    json_print(json_of_message(message), false);
    putchar('\n');
}
