/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts for a terminal: escaping what peers wrote, wrapping, times and sizes as people read them.
 */
#include "tercetctl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

/* -- Characters -------------------------------------------------------------------------------- */

/* Marks that turn the writing direction have no width but could make one text look like another. */
static bool turns_direction(wchar_t code)
{
    return code == 0x061c || code == 0x200e || code == 0x200f ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

struct term_char term_next(const char *text)
{
    mbstate_t state = {0};
    wchar_t code = 0;
    size_t size = mbrtowc(&code, text, strlen(text) + 1, &state);
    if (size == 0)
        return (struct term_char){0};
    if (size == (size_t)-1 || size == (size_t)-2)
        return (struct term_char){.code = 0xfffd, .size = 1};
    int width = wcwidth(code);
    bool is_printable = width >= 0 && !turns_direction(code);
    return (struct term_char){(uint32_t)code, size, is_printable ? width : 0, is_printable};
}

char *term_escape(const char *text)
{
    char *out = ctl_resize(NULL, 4 * strlen(text) + 1);
    char *to = out;
    for (struct term_char c = term_next(text); c.size != 0; text += c.size, c = term_next(text)) {
        if (c.is_printable)
            to = mempcpy(to, text, c.size);
        for (size_t i = 0; !c.is_printable && i < c.size; i++)
            to += sprintf(to, "\\x%02x", (unsigned char)text[i]);
    }
    *to = '\0';
    return out;
}

/* Bytes of the longest beginning that takes at most `width` columns. */
static size_t fitting(const char *text, size_t width)
{
    const char *end = text;
    for (struct term_char c = term_next(end); c.size != 0 && (size_t)c.width <= width;
         c = term_next(end)) {
        width -= (size_t)c.width;
        end += c.size;
    }
    return (size_t)(end - text);
}

size_t term_width(const char *text)
{
    size_t width = 0;
    for (struct term_char c = term_next(text); c.size != 0; text += c.size, c = term_next(text))
        width += (size_t)c.width;
    return width;
}

void term_cut(char *text, size_t width)
{
    size_t size = strlen(text);
    if (fitting(text, width) == size)
        return;
    size_t kept = fitting(text, width - 3);
    strcpy(text + kept, size - kept >= 3 ? "..." : "");
}

void term_print_wrapped(size_t indent, const char *text)
{
    do {
        size_t size = fitting(text, SCREEN_COLUMNS - indent);
        size_t end = size;
        while (text[size] != '\0' && end > 0 && text[end] != ' ')
            end--;
        size = end > 0 ? end : size;
        printf("%*s%.*s\n", (int)indent, "", (int)size, text);
        text += size;
        text += strspn(text, " ");
    } while (*text != '\0');
}

void term_complain(const char *format, ...)
{
    va_list values;
    char *plain = NULL;
    va_start(values, format);
    int size = vasprintf(&plain, format, values);
    va_end(values);
    if (size < 0)
        ctl_die("out of memory");
    char *escaped = term_escape(plain);
    fprintf(stderr, "tercetctl: %s\n", escaped);
    free(escaped);
    free(plain);
}

/* -- Figures ----------------------------------------------------------------------------------- */

struct figure figure_duration(int64_t ms)
{
    struct figure out;
    int64_t s = ms / 1000;
    if (ms < 0)
        strcpy(out.text, "0ms"); /* two machines' clocks */
    else if (ms < 1000)
        sprintf(out.text, "%" PRId64 "ms", ms);
    else if (s < 10)
        sprintf(out.text, "%" PRId64 ".%03" PRId64 "s", s, ms % 1000);
    else if (s < 60)
        sprintf(out.text, "%" PRId64 ".%" PRId64 "s", s, ms % 1000 / 100);
    else if (s < 3600)
        sprintf(out.text, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    else if (s < 86400)
        sprintf(out.text, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    else if (s < 100 * 86400)
        sprintf(out.text, "%" PRId64 "d%02" PRId64 "h", s / 86400, s / 3600 % 24);
    else
        sprintf(out.text, "%" PRId64 "d", s / 86400);
    return out;
}

struct figure figure_time(int64_t time_ms)
{
    struct figure out;
    struct tm utc;
    time_t seconds = (time_t)(time_ms / 1000);
    if (time_ms < 0 || gmtime_r(&seconds, &utc) == NULL) {
        snprintf(out.text, sizeof(out.text), "%" PRId64 " ms", time_ms);
        return out;
    }
    size_t size = strftime(out.text, sizeof(out.text), "%Y-%m-%d %H:%M:%S", &utc);
    snprintf(out.text + size, sizeof(out.text) - size, ".%03dZ", (int)(time_ms % 1000));
    return out;
}

struct figure figure_size(uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    struct figure out;
    double amount = (double)bytes;
    size_t unit = 0;
    for (; amount >= 1024; amount /= 1024)
        unit++;
    snprintf(out.text, sizeof(out.text), "%.*f %s", unit == 0 ? 0 : 1, amount, units[unit]);
    return out;
}

void ctl_misuse(const char *format, ...)
{
    va_list values;
    char *text = NULL;
    va_start(values, format);
    if (vasprintf(&text, format, values) < 0)
        ctl_die("out of memory");
    va_end(values);
    term_complain("%s", text);
    free(text);
    exit(EXIT_MISUSE);
}

bool term_cuts(const struct ctl *ctl)
{
    return !ctl->is_wide && isatty(STDOUT_FILENO) != 0;
}

struct figure figure_disk_free(uint64_t bytes)
{
    return bytes != UINT64_MAX ? figure_size(bytes) : (struct figure){"- (store in memory)"};
}
