/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies: what comes is collected up to the limit, and read as JSON or as a form; and fields, held
 * to what they may be.
 */
#include <crpc/crpc.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parts.h"

int body_append(struct web_request *request, const char *data, size_t size)
{
    if (size > request->web->options.body_bytes_max - request->body_size)
        request->is_too_large = true;
    if (request->is_too_large)
        return 0; /* the rest is read and dropped, so that the answer is read */
    if (request->body_size + size + 1 > request->body_room) {
        size_t room = 2 * (request->body_size + size + 1);
        char *grown = realloc(request->body, room);
        if (grown == NULL)
            return -1;
        request->body = grown;
        request->body_room = room;
    }
    memcpy(request->body + request->body_size, data, size);
    request->body_size += size;
    request->body[request->body_size] = '\0';
    return 0;
}

/* "a=1&b=x+y%21": the text is decoded in place. */
static cJSON *parse_form(char *text)
{
    cJSON *fields = cJSON_CreateObject();
    char *rest = NULL;
    for (char *part = strtok_r(text, "&", &rest); part != NULL; part = strtok_r(NULL, "&", &rest)) {
        char *value = strchr(part, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        for (char *plus = strchr(value, '+'); plus != NULL; plus = strchr(plus, '+'))
            *plus = ' ';
        MHD_http_unescape(part);
        MHD_http_unescape(value);
        cJSON_AddStringToObject(fields, part, value);
    }
    return fields;
}

int body_parse(struct web_request *request, char *text)
{
    const char *type =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Content-Type");
    if (type == NULL)
        type = "";
    if (request->body_size == 0)
        request->json = cJSON_CreateObject();
    else if (strlen(request->body) != request->body_size)
        request->json = NULL; /* a NUL: text has none */
    else if (strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0)
        request->json = parse_form(request->body);
    else if (strncasecmp(type, "application/json", 16) == 0)
        request->json = cJSON_ParseWithOpts(request->body, NULL, true);
    if (cJSON_IsObject(request->json))
        return 0;
    snprintf(text, WEB_TEXT_MAX, "the request's body is neither a JSON object nor a form");
    return -1;
}

const cJSON *web_json(const struct web_request *request)
{
    return request->json;
}

const char *web_body(const struct web_request *request, size_t *size)
{
    *size = request->body_size;
    return request->body != NULL ? request->body : "";
}

const char *web_field(const struct web_request *request, const char *name, size_t bytes_max)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(request->json, name));
    if (text == NULL || text[0] == '\0' || strlen(text) > bytes_max)
        return NULL;
    return crpc_is_text(text, strlen(text)) ? text : NULL;
}

bool web_parse_number(const char *text, int64_t min, int64_t max, int64_t *out)
{
    char *end;
    if (text == NULL || text[0] == '\0' || strspn(text, "-0123456789") != strlen(text))
        return false;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < min || number > max)
        return false;
    *out = number;
    return true;
}

bool web_number(const struct web_request *request, const char *name, int64_t min, int64_t max,
                int64_t *out)
{
    const cJSON *field = cJSON_GetObjectItemCaseSensitive(request->json, name);
    if (cJSON_IsString(field))
        return web_parse_number(field->valuestring, min, max, out);
    if (!cJSON_IsNumber(field) || floor(field->valuedouble) != field->valuedouble ||
        field->valuedouble < (double)min || field->valuedouble > (double)max)
        return false;
    *out = (int64_t)field->valuedouble;
    return true;
}
