/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages as JSON that does nothing to a terminal.
 */
#include "tercetctl.h"

#include <inttypes.h>
#include <json.h>
#include <stdlib.h>
#include <string.h>

static cJSON *check(cJSON *json)
{
    if (json == NULL)
        ctl_die("out of memory");
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
    cJSON *json = cJSON_CreateRaw(out);
    free(out);
    return json;
}

cJSON *ctl_json(const ProtobufCMessage *message)
{
    return check(json_of_message(message, of_text));
}

void ctl_print_json(cJSON *json, bool is_short)
{
    char *text = is_short ? cJSON_PrintUnformatted(json) : cJSON_Print(json);
    if (text == NULL)
        ctl_die("out of memory");
    fputs(text, stdout);
    cJSON_free(text);
    cJSON_Delete(json);
}

void ctl_print_message(const ProtobufCMessage *message)
{
    ctl_print_json(ctl_json(message), false);
    putchar('\n');
}
