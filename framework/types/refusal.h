/* SPDX-License-Identifier: Apache-2.0
 *
 * Why something is not done: a code for programs and a text for people. One form for every layer,
 * from the checks at the door to the store.
 */
#ifndef TERCET_REFUSAL_H
#define TERCET_REFUSAL_H

#include <tercet/types.h>

/* A function that may refuse returns 0 or the code, and fills its `struct refusal *` only when it
 * refuses: nobody has to clear one before, and what succeeds pays nothing. Owns its text. */
struct refusal {
    int code;                   /* negative, TERCET_ */
    uint32_t branch;            /* number of the branch that is in the way; 0: none in particular */
    const char *field;          /* constant: which field of the request is at fault; NULL: none */
    char text[TERCET_TEXT_MAX]; /* what is wrong and what to do; UTF-8, never empty */
};

/* Fills *out with the code and a printf text, cut at a character when it is too long, and returns
 * the code. The arguments may be parts of *out: a caller can put words around a text. */
int refusal_set(struct refusal *out, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with the code's own text (tercet_strerror). */
int refusal_set_plain(struct refusal *out, int code);

/* For a check whose answer is NULL or a constant text: 0, or the text's refusal. */
int refusal_if(struct refusal *out, int code, const char *wrong);

/* For a public function that says why in `text` (may be NULL, TERCET_TEXT_MAX bytes): copies the
 * text there, and returns the code. */
int refusal_tell(const struct refusal *refusal, char *text);

/* Copies at most TERCET_TEXT_MAX - 1 bytes, cut at a character, and ends with NUL. */
void copy_text(char out[TERCET_TEXT_MAX], const char *text);

/* How many of the text's first `max` bytes are whole characters, for "%.*s". What is cut within a
 * character is no UTF-8: no message and no record that has it can be read again. */
int text_whole(const char *text, int max);

#endif
