/* SPDX-License-Identifier: Apache-2.0
 *
 * location.h.
 */
#include "location.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/types.h>

void barrier_text(char *text, const char *format, ...)
{
    va_list arguments;
    if (text == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(text, TERCET_TEXT_MAX, format, arguments);
    va_end(arguments);
}

/* -- Parsing ----------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes `size` characters; NULL without memory, or when they are badly encoded. */
static char *decode(const char *text, size_t size)
{
    char *out = malloc(size + 1);
    size_t n = 0;
    bool ok = out != NULL;
    for (size_t i = 0; ok && i < size; i++) {
        int high = text[i] == '%' && i + 2 < size ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (text[i] != '%') {
            out[n++] = text[i];
        } else if (low >= 0 && (high | low) != 0) {
            out[n++] = (char)(high << 4 | low);
            i += 2;
        } else {
            ok = false;
        }
    }
    if (!ok) {
        free(out);
        return NULL;
    }
    out[n] = '\0';
    return out;
}

static bool parse_port(uint16_t *out, const char *text, size_t size)
{
    uint32_t port = 0;
    if (size == 0 || size > 5)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    *out = (uint16_t)port;
    return port > 0 && port <= UINT16_MAX;
}

/* host, host:port, [v6]:port */
static const char *parse_host(struct location *out, const char *text, size_t size)
{
    const char *colon = memrchr(text, ':', size);
    const char *bracket = memchr(text, ']', size);
    size_t host_size = size;
    if (colon != NULL && colon > bracket) {
        host_size = (size_t)(colon - text);
        if (!parse_port(&out->port, colon + 1, size - host_size - 1))
            return "the port is not a number from 1 to 65535";
    }
    if (host_size > 1 && text[0] == '[' && text[host_size - 1] == ']') {
        text++;
        host_size -= 2;
    }
    out->host = decode(text, host_size);
    return out->host != NULL ? NULL : "the host is badly encoded";
}

static const char *parse_user(struct location *out, const char *text, size_t size)
{
    const char *colon = memchr(text, ':', size);
    size_t user_size = colon != NULL ? (size_t)(colon - text) : size;
    out->user = decode(text, user_size);
    out->password = colon != NULL ? decode(colon + 1, size - user_size - 1) : strdup("");
    return out->user != NULL && out->password != NULL
               ? NULL
               : "user or password is badly encoded: a percent sign is written as %25";
}

const char *location_parse(struct location *out, const char *url)
{
    const char *start = strstr(url, "://");
    *out = (struct location){.url = strdup(url)};
    if (start == NULL)
        return "a URL begins with scheme://";
    start += 3;
    size_t size = strcspn(start, "/?#");
    const char *at = memrchr(start, '@', size), *rest = start + size;
    const char *why = at != NULL ? parse_user(out, start, (size_t)(at - start)) : NULL;
    const char *host = at != NULL ? at + 1 : start;
    if (at == NULL) {
        out->user = strdup("");
        out->password = strdup("");
    }
    if (why == NULL)
        why = parse_host(out, host, (size_t)(rest - host));
    size_t path_size = rest[0] == '/' ? strcspn(rest + 1, "?#") : 0;
    out->path = decode(rest + (rest[0] == '/'), path_size);
    rest += path_size + (rest[0] == '/');
    out->query = strdup(rest[0] == '?' ? rest + 1 : "");
    if (why == NULL && (out->url == NULL || out->path == NULL || out->query == NULL ||
                        out->user == NULL || out->password == NULL))
        why = "the database's name is badly encoded";
    return why;
}

void location_free(struct location *location)
{
    if (location->password != NULL)
        explicit_bzero(location->password, strlen(location->password));
    if (location->url != NULL)
        explicit_bzero(location->url, strlen(location->url));
    free(location->url);
    free(location->user);
    free(location->password);
    free(location->host);
    free(location->path);
    free(location->query);
}

/* -- The query --------------------------------------------------------------------------------- */

static const char *next_option(const char *option)
{
    const char *end = strchr(option, '&');
    return end != NULL ? end + 1 : NULL;
}

bool location_option(const struct location *location, const char *key, char *value, int size)
{
    size_t key_size = strlen(key);
    for (const char *p = location->query; p != NULL; p = next_option(p)) {
        if (strncmp(p, key, key_size) != 0 || p[key_size] != '=')
            continue;
        const char *text = p + key_size + 1;
        char *decoded = decode(text, strcspn(text, "&"));
        bool fits = decoded != NULL && strlen(decoded) < (size_t)size;
        if (fits)
            strcpy(value, decoded);
        free(decoded);
        return fits;
    }
    return false;
}

const char *location_unknown_option(const struct location *location, const char *const *known,
                                    char *name, int size)
{
    for (const char *p = location->query; p != NULL; p = next_option(p)) {
        size_t key_size = strcspn(p, "=&");
        bool is_known = key_size == 0;
        for (size_t i = 0; known[i] != NULL; i++)
            is_known =
                is_known || (strlen(known[i]) == key_size && strncmp(known[i], p, key_size) == 0);
        if (!is_known) {
            snprintf(name, (size_t)size, "%.*s", (int)key_size, p);
            return name;
        }
    }
    return NULL;
}

/* -- Secrets ----------------------------------------------------------------------------------- */

bool location_has_bare(const char *url)
{
    const char *start = strstr(url, "://");
    if (start == NULL)
        return false;
    start += 3;
    size_t authority = strcspn(start, "/?#");
    const char *at = memchr(start, '@', authority);
    if (at != NULL)
        return memchr(at + 1, '@', authority - (size_t)(at + 1 - start)) != NULL;
    size_t to_option = strcspn(start, "=");
    return memchr(start, '@', to_option) != NULL;
}

void location_hide(char *text, const char *secret)
{
    size_t size = secret != NULL ? strlen(secret) : 0;
    for (char *found = text; size > 0 && (found = strstr(found, secret)) != NULL;)
        memset(found, '*', size);
}
