/* SPDX-License-Identifier: Apache-2.0
 *
 * A refusal's code and text, and where a long text is cut.
 */
#include <criterion/criterion.h>
#include <refusal.h>
#include <string.h>
#include <tercet/sys/store.h>

Test(refusal, has_code_and_text)
{
    struct refusal no;
    cr_assert_eq(refusal_set(&no, TERCET_EXHAUSTED, "at most %d", 7), TERCET_EXHAUSTED);
    cr_assert_eq(no.code, TERCET_EXHAUSTED);
    cr_assert_str_eq(no.text, "at most 7");
    cr_assert_eq(refusal_set_plain(&no, TERCET_NOT_FOUND), TERCET_NOT_FOUND);
    cr_assert_str_eq(no.text, tercet_strerror(TERCET_NOT_FOUND));
}

Test(refusal, is_told_to_a_caller_with_or_without_room_for_the_text)
{
    struct refusal no;
    char text[TERCET_TEXT_MAX] = "";
    refusal_set(&no, TERCET_STORE, "the disk said no");
    cr_assert_eq(refusal_tell(&no, text), TERCET_STORE);
    cr_assert_str_eq(text, "the disk said no");
    cr_assert_eq(refusal_tell(&no, NULL), TERCET_STORE);
}

Test(refusal, each_result_of_a_store_has_a_text_of_its_own)
{
    for (int i = 0; i > TERCET_STORE_INVALID; i--)
        for (int k = i - 1; k >= TERCET_STORE_INVALID; k--) {
            bool are_results =
                (i == 0 || i <= TERCET_STORE_NOT_FOUND) && k <= TERCET_STORE_NOT_FOUND;
            const char *text = tercet_store_strerror(i), *other = tercet_store_strerror(k);
            cr_assert(!are_results || strcmp(text, other) != 0, "%d and %d: %s", i, k, text);
        }
    cr_assert_str_eq(tercet_store_strerror(-1), "not a result of the store");
}

Test(refusal, takes_words_around_its_text)
{
    struct refusal no;
    refusal_set(&no, TERCET_INVALID, "a role is missing");
    refusal_set(&no, no.code, "line %d: %s", 3, no.text);
    cr_assert_str_eq(no.text, "line 3: a role is missing");
    cr_assert_eq(no.code, TERCET_INVALID);
}

/* A text of `size` bytes, of which the last character begins at `last`. */
static const char *text_of(size_t size, size_t last, const char *character)
{
    static char text[2 * TERCET_TEXT_MAX];
    memset(text, 't', size);
    strcpy(text + last, character);
    return text;
}

Test(refusal, a_long_text_is_cut_at_a_character)
{
    struct refusal no;
    refusal_set(&no, TERCET_INVALID, "%s", text_of(300, 299, "t"));
    cr_assert_eq(strlen(no.text), TERCET_TEXT_MAX - 1);
    for (size_t last = TERCET_TEXT_MAX - 5; last < TERCET_TEXT_MAX + 5; last++) {
        refusal_set(&no, TERCET_INVALID, "%s", text_of(last, last, "\xf0\x9f\x90\x87"));
        bool fits = last + 4 < TERCET_TEXT_MAX;
        size_t size = fits ? last + 4 : last < TERCET_TEXT_MAX ? last : TERCET_TEXT_MAX - 1;
        cr_assert_eq(strlen(no.text), size, "the character begins at %zu: %zu", last,
                     strlen(no.text));
    }
}

Test(refusal, no_half_of_a_character_is_counted)
{
    cr_expect_eq(text_whole("", 4), 0);
    cr_expect_eq(text_whole("abc", 4), 3);
    cr_expect_eq(text_whole("abcdef", 4), 4);
    cr_expect_eq(text_whole("ab\u20ac", 5), 5);
    cr_expect_eq(text_whole("ab\u20ac", 4), 2);
    cr_expect_eq(text_whole("ab\u20ac", 3), 2);
    cr_expect_eq(text_whole("ab\u20ac", 2), 2);
    cr_expect_eq(text_whole("\u20ac", 1), 0);
    cr_expect_eq(text_whole("\x80\x80", 1), 0);
}
