/* SPDX-License-Identifier: Apache-2.0
 *
 * Text as protobuf has it, and deep copies of messages.
 */
#include "crpc_test.pb-c.h"

#include <criterion/criterion.h>
#include <crpc/crpc.h>
#include <stdlib.h>
#include <string.h>

/* RFC 3629: the first and the last of every length, and what lies just beside. */
Test(text, is_utf8_without_nul)
{
    static const char *const good[] = {"",
                                       "\x01",
                                       "\x7f",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xff",
                                      "\xc2",
                                      "\xe0\xa0",
                                      "\xc2x",
                                      "\xe0\xa0x",
                                      "\xf0\x90\x80x"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_assert(crpc_is_text(good[i], strlen(good[i])), "%zu", i);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_not(crpc_is_text(bad[i], strlen(bad[i])), "%zu", i);
    cr_assert_not(crpc_is_text("a\0b", 3), "a C string would end there");
    cr_assert_not(crpc_is_text("\xc2\x80", 1), "a character cut in half");
}

static struct crpc_bytes packed(const ProtobufCMessage *message, uint8_t *room)
{
    return (struct crpc_bytes){room, protobuf_c_message_pack(message, room)};
}

Test(copy, is_the_same_and_lives_on_its_own)
{
    char first[] = "first", second[] = "\xc3\xbc";
    uint8_t data[] = {0, 1, 2}, before[256], after[256];
    char *texts[] = {first, second};
    ProtobufCBinaryData bytes = {sizeof(data), data};
    Crpc__Test__One one = CRPC__TEST__ONE__INIT, *ones[] = {&one};
    Crpc__Test__Many many = CRPC__TEST__MANY__INIT;
    one.value_case = CRPC__TEST__ONE__VALUE_TEXT;
    one.text = second;
    many.texts = texts, many.n_texts = 2;
    many.data = &bytes, many.n_data = 1;
    many.ones = ones, many.n_ones = 1;
    struct crpc_bytes original = packed(&many.base, before);

    ProtobufCMessage *copy = NULL;
    cr_assert_eq(crpc_message_copy(&copy, &many.base), 0);
    memset(first, 'x', sizeof(first) - 1);
    memset(data, 'x', sizeof(data));
    second[0] = 'x';
    struct crpc_bytes copied = packed(copy, after);
    cr_assert_eq(copied.size, original.size);
    cr_assert_arr_eq(copied.data, original.data, original.size);
    cr_assert_eq(copy->descriptor, many.base.descriptor);
    crpc_message_free(copy);
}

Test(copy, of_nothing)
{
    Crpc__Test__Nothing nothing = CRPC__TEST__NOTHING__INIT;
    ProtobufCMessage *copy = NULL;
    cr_assert_eq(crpc_message_copy(&copy, &nothing.base), 0);
    cr_assert_eq(copy->descriptor, nothing.base.descriptor);
    crpc_message_free(copy);
}

/* More memory than the decoder gives to bytes from a stranger. */
Test(copy, has_no_budget)
{
    enum { COUNT = 20000 };
    Crpc__Test__One one = CRPC__TEST__ONE__INIT;
    Crpc__Test__Many many = CRPC__TEST__MANY__INIT;
    Crpc__Test__One **ones = malloc(COUNT * sizeof(Crpc__Test__One *));
    for (size_t i = 0; i < COUNT; i++)
        ones[i] = &one;
    many.ones = ones, many.n_ones = COUNT;
    ProtobufCMessage *copy = NULL;
    cr_assert_eq(crpc_message_copy(&copy, &many.base), 0);
    cr_assert_eq(((Crpc__Test__Many *)copy)->n_ones, COUNT);
    crpc_message_free(copy);
    free(ones);
}
