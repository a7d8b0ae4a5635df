/* SPDX-License-Identifier: Apache-2.0
 *
 * A refusal's code and text, and where a long text is cut.
 */
#include <criterion/criterion.h>
#include <refusal.h>
#include <string.h>

Test(refusal, has_code_and_text)
{
    struct refusal no;
    cr_assert_eq(refusal_set(&no, TERCET_EXHAUSTED, "at most %d", 7), TERCET_EXHAUSTED);
    cr_assert_eq(no.code, TERCET_EXHAUSTED);
    cr_assert_str_eq(no.text, "at most 7");
    cr_assert_eq(refusal_set_plain(&no, TERCET_NOT_FOUND), TERCET_NOT_FOUND);
    cr_assert_str_eq(no.text, tercet_strerror(TERCET_NOT_FOUND));
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
