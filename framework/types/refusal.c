/* SPDX-License-Identifier: Apache-2.0
 *
 * refusal.h
 */
#include "refusal.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void copy_text(char out[TERCET_TEXT_MAX], const char *text)
{
    size_t size = strlen(text);
    if (size > TERCET_TEXT_MAX - 1) {
        size = TERCET_TEXT_MAX - 1;
        while (size > 0 && ((unsigned char)text[size] >> 6) == 2)
            size--;
    }
    memcpy(out, text, size);
    out[size] = '\0';
}

int text_whole(const char *text, int max)
{
    int size = (int)strnlen(text, (size_t)max);
    while (size > 0 && ((unsigned char)text[size] >> 6) == 2)
        size--;
    return size;
}

int refusal_set(struct refusal *out, int code, const char *format, ...)
{
    char whole[TERCET_TEXT_MAX + 8]; /* room for the end of a character that is cut */
    va_list arguments;
    assert(code < 0);
    va_start(arguments, format);
    vsnprintf(whole, sizeof(whole), format, arguments);
    va_end(arguments);
    out->code = code;
    out->branch = 0;
    out->field = NULL;
    copy_text(out->text, whole);
    assert(out->text[0] != '\0');
    return code;
}

int refusal_set_plain(struct refusal *out, int code)
{
    return refusal_set(out, code, "%s", tercet_strerror(code));
}

int refusal_if(struct refusal *out, int code, const char *wrong)
{
    return wrong == NULL ? 0 : refusal_set(out, code, "%s", wrong);
}

int refusal_tell(const struct refusal *refusal, char *text)
{
    if (text != NULL)
        memcpy(text, refusal->text, strlen(refusal->text) + 1);
    return refusal->code;
}
