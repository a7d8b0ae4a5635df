/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h
 */
#include "json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXACT_MAX (INT64_C(1) << 53) /* a double is exact below it */
#define REPEATED_MAX 64              /* elements of a field that is taken */

/* -- To JSON ----------------------------------------------------------------------------------- */

/* Numbers are raw: cJSON would print some as 1e+15. */
static cJSON *of_signed(int64_t value)
{
    char text[24];
    bool is_exact = value > -EXACT_MAX && value < EXACT_MAX;
    snprintf(text, sizeof(text), is_exact ? "%" PRId64 : "\"%" PRId64 "\"", value);
    return cJSON_CreateRaw(text);
}

static cJSON *of_unsigned(uint64_t value)
{
    char text[24];
    bool is_exact = value < (uint64_t)EXACT_MAX;
    snprintf(text, sizeof(text), is_exact ? "%" PRIu64 : "\"%" PRIu64 "\"", value);
    return cJSON_CreateRaw(text);
}

static cJSON *of_bytes(const ProtobufCBinaryData *bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc((bytes->len + 2) / 3 * 4 + 1), *to = text;
    for (size_t i = 0; text != NULL && i < bytes->len; i += 3) {
        const size_t left = bytes->len - i;
        const uint32_t group = (uint32_t)bytes->data[i] << 16 |
                               (left > 1 ? (uint32_t)bytes->data[i + 1] << 8 : 0) |
                               (left > 2 ? bytes->data[i + 2] : 0);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[group & 63] : '=';
    }
    if (text == NULL)
        return NULL;
    *to = '\0';
    cJSON *json = cJSON_CreateString(text);
    free(text);
    return json;
}

static cJSON *of_message(const ProtobufCMessage *message, json_text_fn *of_text);

static cJSON *of_enum(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(type, value);
    return known != NULL ? cJSON_CreateString(known->name) : of_signed(value);
}

static size_t size_of(ProtobufCType type)
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

static cJSON *of_value(const ProtobufCFieldDescriptor *field, const void *value,
                       json_text_fn *of_text)
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
        return cJSON_CreateBool(*(const protobuf_c_boolean *)value);
    case PROTOBUF_C_TYPE_STRING:
        return of_text(*(const char *const *)value);
    case PROTOBUF_C_TYPE_BYTES:
        return of_bytes(value);
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(const void *const *)value != NULL
                   ? of_message(*(const ProtobufCMessage *const *)value, of_text)
                   : cJSON_CreateNull();
    default:
        return cJSON_CreateNull(); /* the .proto has no other types */
    }
}

static cJSON *of_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       json_text_fn *of_text)
{
    const uint8_t *base = (const uint8_t *)message;
    if (field->label != PROTOBUF_C_LABEL_REPEATED)
        return of_value(field, base + field->offset, of_text);
    cJSON *array = cJSON_CreateArray();
    const size_t count = *(const size_t *)(base + field->quantifier_offset);
    const uint8_t *values = *(const uint8_t *const *)(base + field->offset);
    for (size_t i = 0; array != NULL && i < count; i++) {
        cJSON *value = of_value(field, values + i * size_of(field->type), of_text);
        if (value == NULL) {
            cJSON_Delete(array);
            return NULL;
        }
        cJSON_AddItemToArray(array, value);
    }
    return array;
}

static cJSON *of_message(const ProtobufCMessage *message, json_text_fn *of_text)
{
    cJSON *object = cJSON_CreateObject();
    for (unsigned i = 0; object != NULL && i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        cJSON *value = of_field(message, field, of_text);
        if (value != NULL && cJSON_AddItemToObject(object, field->name, value))
            continue;
        cJSON_Delete(value);
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}

cJSON *json_of_message(const ProtobufCMessage *message, json_text_fn *of_text)
{
    return of_message(message, of_text != NULL ? of_text : cJSON_CreateString);
}

/* -- From JSON --------------------------------------------------------------------------------- */

static void *block(struct json_request *request, size_t size)
{
    void *memory = NULL;
    if (request->block_count < sizeof(request->blocks) / sizeof(request->blocks[0]))
        memory = calloc(1, size);
    if (memory != NULL)
        request->blocks[request->block_count++] = memory;
    return memory;
}

static const char *take_object(struct json_request *request, ProtobufCMessage *to,
                               const cJSON *json);

static const char *take_message(struct json_request *request, void *to,
                                const ProtobufCMessageDescriptor *type, const cJSON *json)
{
    ProtobufCMessage *message = block(request, type->sizeof_message);
    if (message == NULL)
        return "too much of it, or out of memory";
    protobuf_c_message_init(type, message);
    *(ProtobufCMessage **)to = message;
    return take_object(request, message, json);
}

static const char *take_enum(int *to, const ProtobufCEnumDescriptor *type, const cJSON *json)
{
    const ProtobufCEnumValue *known =
        cJSON_IsString(json) ? protobuf_c_enum_descriptor_get_value_by_name(type, json->valuestring)
                             : NULL;
    if (known == NULL)
        return "an enum's name is not known";
    *to = known->value;
    return NULL;
}

static const char *take_value(struct json_request *request, void *to,
                              const ProtobufCFieldDescriptor *field, const cJSON *json)
{
    const bool is_whole = cJSON_IsNumber(json) && json->valuedouble >= 0 &&
                          json->valuedouble <= UINT32_MAX &&
                          json->valuedouble == (double)(uint32_t)json->valuedouble;
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        if (!cJSON_IsBool(json))
            return "true or false is wanted";
        *(protobuf_c_boolean *)to = cJSON_IsTrue(json);
        return NULL;
    case PROTOBUF_C_TYPE_UINT32:
        if (!is_whole)
            return "a whole number is wanted";
        *(uint32_t *)to = (uint32_t)json->valuedouble;
        return NULL;
    case PROTOBUF_C_TYPE_STRING:
        if (!cJSON_IsString(json))
            return "a text is wanted";
        *(char **)to = json->valuestring;
        return NULL;
    case PROTOBUF_C_TYPE_ENUM:
        return take_enum(to, field->descriptor, json);
    case PROTOBUF_C_TYPE_MESSAGE:
        return take_message(request, to, field->descriptor, json);
    default:
        return "a field of this kind is not taken";
    }
}

static const char *take_repeated(struct json_request *request, uint8_t *base,
                                 const ProtobufCFieldDescriptor *field, const cJSON *json)
{
    const int count = cJSON_IsArray(json) ? cJSON_GetArraySize(json) : -1;
    if (count < 0 || count > REPEATED_MAX)
        return "an array of at most 64 is wanted";
    uint8_t *values = block(request, (size_t)count * size_of(field->type) + 1);
    if (values == NULL)
        return "too much of it, or out of memory";
    *(size_t *)(base + field->quantifier_offset) = (size_t)count;
    *(uint8_t **)(base + field->offset) = values;
    const char *wrong = NULL;
    for (const cJSON *item = json->child; item != NULL && wrong == NULL; item = item->next) {
        wrong = take_value(request, values, field, item);
        values += size_of(field->type);
    }
    return wrong;
}

static const char *take_object(struct json_request *request, ProtobufCMessage *to,
                               const cJSON *json)
{
    const char *wrong = cJSON_IsObject(json) ? NULL : "an object is wanted";
    uint64_t given = 0; /* a bit for each field: who reads the first of two is not to be misled */
    assert(to->descriptor->n_fields <= 64);
    for (const cJSON *item = wrong == NULL ? json->child : NULL; item != NULL && wrong == NULL;
         item = item->next) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(to->descriptor, item->string);
        uint8_t *base = (uint8_t *)to;
        if (field == NULL)
            return "a field's name is not known";
        const uint64_t bit = UINT64_C(1) << (field - to->descriptor->fields);
        if ((given & bit) != 0)
            return "a field is given twice";
        given |= bit;
        wrong = field->label == PROTOBUF_C_LABEL_REPEATED
                    ? take_repeated(request, base, field, item)
                    : take_value(request, base + field->offset, field, item);
    }
    return wrong;
}

const char *json_take(struct json_request *out, const ProtobufCMessageDescriptor *type,
                      const cJSON *json)
{
    memset(out, 0, sizeof(*out));
    const char *wrong = take_message(out, &out->message, type, json);
    if (wrong != NULL)
        return wrong;
    return protobuf_c_message_check(out->message) ? NULL : "something is missing";
}

void json_clear(struct json_request *request)
{
    while (request->block_count > 0)
        free(request->blocks[--request->block_count]);
}
