/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers, each with the headers that keep a browser from doing more with it than is meant: nothing
 * foreign is loaded, nothing inline runs, no other page may frame it.
 */
#include "parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const headers[][2] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
     "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
    {"Cache-Control", "no-store"},
};

static struct MHD_Response *dress(struct MHD_Response *response, const char *type)
{
    if (response == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    MHD_add_response_header(response, "Content-Type", type);
    return response;
}

struct MHD_Response *reply_new(const char *type, const void *data, size_t size)
{
    return dress(MHD_create_response_from_buffer(size, (void *)data, MHD_RESPMEM_MUST_COPY), type);
}

enum MHD_Result reply_send(const struct request *request, unsigned status,
                           struct MHD_Response *response)
{
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result rc = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
    return rc;
}

enum MHD_Result reply_copy(const struct request *request, unsigned status, const char *type,
                           const void *data, size_t size)
{
    return reply_send(request, status, reply_new(type, data, size));
}

enum MHD_Result reply_static(const struct request *request, const char *type, const void *data,
                             size_t size)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, (void *)data, MHD_RESPMEM_PERSISTENT);
    return reply_send(request, MHD_HTTP_OK, dress(response, type));
}

enum MHD_Result reply_text(const struct request *request, unsigned status, const char *format, ...)
{
    char text[CRPC_STATUS_TEXT_MAX + 256];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text) - 1, format, values);
    va_end(values);
    strcat(text, "\n");
    struct MHD_Response *response = reply_new("text/plain; charset=utf-8", text, strlen(text));
    if (response != NULL && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD, POST");
    if (response != NULL && status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"tercetd\"");
    return reply_send(request, status, response);
}
