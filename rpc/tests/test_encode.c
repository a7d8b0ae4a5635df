/* SPDX-License-Identifier: Apache-2.0
 *
 * A buffer of crpc_message_size_max is large enough for every kind of field by itself, with the
 * value that is longest, and not much too large.
 */
#include "crpc_test.pb-c.h"

#include <criterion/criterion.h>
#include <crpc/crpc.h>
#include <float.h>
#include <stdint.h>
#include <string.h>

/* a tag of five bytes and a length of ten; a message that is not there needs neither */
#define SLACK_A_FIELD 15

static void check(const ProtobufCMessage *message, size_t fields, const char *what)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    size_t size_max = crpc_message_size_max(message);
    cr_expect_geq(size_max, size, "%s: %zu bytes are packed into %zu", what, size, size_max);
    cr_expect_leq(size_max, size + SLACK_A_FIELD * fields, "%s: %zu bytes for %zu", what, size_max,
                  size);
}

#define ONE(kind, member, value)                                                                   \
    do {                                                                                           \
        Crpc__Test__One one = CRPC__TEST__ONE__INIT;                                               \
        one.value_case = CRPC__TEST__ONE__VALUE_##kind;                                            \
        one.member = value;                                                                        \
        check(&one.base, 1, #member);                                                              \
    } while (0)

Test(size_max, of_every_kind_of_number)
{
    ONE(DOUBLE_VALUE, double_value, -DBL_MAX);
    ONE(FLOAT_VALUE, float_value, -FLT_MAX);
    ONE(INT32_VALUE, int32_value, INT32_MIN);
    ONE(INT64_VALUE, int64_value, INT64_MIN);
    ONE(UINT32_VALUE, uint32_value, UINT32_MAX);
    ONE(UINT64_VALUE, uint64_value, UINT64_MAX);
    ONE(SINT32_VALUE, sint32_value, INT32_MIN);
    ONE(SINT64_VALUE, sint64_value, INT64_MIN);
    ONE(FIXED32_VALUE, fixed32_value, UINT32_MAX);
    ONE(FIXED64_VALUE, fixed64_value, UINT64_MAX);
    ONE(SFIXED32_VALUE, sfixed32_value, -1);
    ONE(SFIXED64_VALUE, sfixed64_value, -1);
    ONE(BOOL_VALUE, bool_value, 1);
    ONE(FAR, far, UINT64_MAX);
    ONE(FARTHEST, farthest, UINT64_MAX);
    ONE(COLOR, color, (Crpc__Test__Item__Color)-1);
}

Test(size_max, of_what_has_a_length)
{
    static char text[70000];
    memset(text, 'x', sizeof(text) - 1);
    ONE(TEXT, text, text);
    ONE(TEXT, text, (char *)"");
    ONE(TEXT, text, NULL);
    ONE(DATA, data, ((ProtobufCBinaryData){sizeof(text), (uint8_t *)text}));
    ONE(DATA, data, ((ProtobufCBinaryData){0, NULL}));
    Crpc__Test__One inner = CRPC__TEST__ONE__INIT;
    inner.value_case = CRPC__TEST__ONE__VALUE_INT32_VALUE;
    inner.int32_value = -1;
    ONE(ONE, one, &inner);
    ONE(ONE, one, NULL);
}

Test(size_max, of_nothing)
{
    Crpc__Test__One one = CRPC__TEST__ONE__INIT;
    one.text = (char *)1; /* not the value: no case is set */
    Crpc__Test__Many many = CRPC__TEST__MANY__INIT;
    Crpc__Test__Nothing nothing = CRPC__TEST__NOTHING__INIT; /* a type without fields */
    cr_expect_eq(crpc_message_size_max(&nothing.base), 0);
    cr_expect_eq(crpc_message_size_max(&one.base), 0);
    cr_expect_eq(crpc_message_size_max(&many.base), 0);
}

#define COUNT 100

Test(size_max, of_arrays)
{
    int32_t packed[COUNT];
    int64_t unpacked[COUNT];
    protobuf_c_boolean flags[COUNT];
    char *texts[COUNT];
    ProtobufCBinaryData data[COUNT];
    Crpc__Test__One one = CRPC__TEST__ONE__INIT;
    Crpc__Test__One *ones[COUNT];
    one.value_case = CRPC__TEST__ONE__VALUE_UINT64_VALUE;
    one.uint64_value = UINT64_MAX;
    for (int i = 0; i < COUNT; i++) {
        packed[i] = -1;
        unpacked[i] = INT64_MIN;
        flags[i] = 1;
        texts[i] = (char *)"a text";
        data[i] = (ProtobufCBinaryData){i, (uint8_t *)texts[i]};
        ones[i] = &one;
    }
    Crpc__Test__Many many[6];
    for (int i = 0; i < 6; i++)
        crpc__test__many__init(&many[i]);
    many[0].packed = packed;
    many[0].n_packed = COUNT;
    many[1].unpacked = unpacked;
    many[1].n_unpacked = COUNT;
    many[2].flags = flags;
    many[2].n_flags = COUNT;
    many[3].texts = texts;
    many[3].n_texts = COUNT;
    many[4].data = data;
    many[4].n_data = COUNT;
    many[5].ones = ones;
    many[5].n_ones = COUNT;
    static const char *const what[] = {"packed", "unpacked", "flags", "texts", "data", "ones"};
    for (int i = 0; i < 6; i++)
        check(&many[i].base, i == 5 ? 2 * COUNT : COUNT + 1, what[i]);
}

/* Fields that this version does not know are kept, and packed again. */
Test(size_max, of_what_is_not_known)
{
    /* 100: "abc", 101: 128 */
    static const uint8_t bytes[] = {0xa2, 0x06, 3, 'a', 'b', 'c', 0xa8, 0x06, 0x80, 0x01};
    ProtobufCMessage *message = NULL;
    cr_assert_eq(crpc_message_decode(&message, &crpc__test__one__descriptor,
                                     (struct crpc_bytes){bytes, sizeof(bytes)}, 0),
                 0);
    cr_assert_eq(message->n_unknown_fields, 2);
    cr_expect_eq(protobuf_c_message_get_packed_size(message), sizeof(bytes));
    check(message, 2, "unknown");
    crpc_message_free(message);
}
