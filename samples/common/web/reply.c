/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers, and streams of events. Each has the headers that keep a browser from doing more with it
 * than is meant.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "parts.h"

#define QUIET_MS_MAX 15000 /* then a comment is sent, which shows whether anybody is there */

static const char *const headers[][2] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
     "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-store"},
};

struct MHD_Response *reply_dress(struct MHD_Response *response, const char *type)
{
    if (response == NULL)
        return NULL;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        MHD_add_response_header(response, headers[i][0], headers[i][1]);
    MHD_add_response_header(response, "Content-Type", type);
    return response;
}

void reply_send(struct web_request *request, unsigned status, struct MHD_Response *response)
{
    request->has_answered = true;
    request->result = MHD_NO;
    if (response == NULL)
        return;
    if (request->cookie[0] != '\0')
        MHD_add_response_header(response, "Set-Cookie", request->cookie);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", "GET, HEAD, POST");
    request->result = MHD_queue_response(request->connection, status, response);
    MHD_destroy_response(response);
}

void web_reply(struct web_request *request, unsigned status, cJSON *answer)
{
    char *text = answer != NULL ? cJSON_PrintUnformatted(answer) : strdup("");
    cJSON_Delete(answer);
    size_t size = text != NULL ? strlen(text) : 0;
    reply_send(request, status,
               reply_dress(MHD_create_response_from_buffer(size, text, MHD_RESPMEM_MUST_FREE),
                           "application/json; charset=utf-8"));
}

void web_fail(struct web_request *request, unsigned status, const char *format, ...)
{
    char text[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddStringToObject(answer, "error", text);
    web_reply(request, status, answer);
}

void web_reply_bytes(struct web_request *request, const char *type, const char *filename,
                     const void *data, size_t size)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(size, (void *)(uintptr_t)data, MHD_RESPMEM_MUST_COPY);
    reply_dress(response, type);
    if (response != NULL && filename != NULL) {
        char disposition[256] = "attachment; filename=\"";
        size_t used = strlen(disposition);
        for (; *filename != '\0' && used < sizeof(disposition) - 2; filename++)
            if (*filename >= ' ' && *filename < 127 && strchr("\"\\/", *filename) == NULL)
                disposition[used++] = *filename;
        disposition[used] = '"';
        MHD_add_response_header(response, "Content-Disposition", disposition);
    }
    reply_send(request, MHD_HTTP_OK, response);
}

/* -- Events ------------------------------------------------------------------------------------ */

struct stream {
    struct web *web;
    struct web_stream source;
    char *pending; /* what of an event is not sent yet lies at `sent` */
    size_t size, sent;
    bool has_begun, is_last;
};

/* false: the gateway is closing. */
static bool wait_a_while(struct web *web, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&web->lock);
    while (!web->is_closing && pthread_cond_timedwait(&web->closing, &web->lock, &until) == 0)
        continue;
    bool goes_on = !web->is_closing;
    pthread_mutex_unlock(&web->lock);
    return goes_on;
}

static void take_event(struct stream *stream, cJSON *event)
{
    char *text = cJSON_PrintUnformatted(event);
    cJSON_Delete(event);
    int size = text != NULL ? asprintf(&stream->pending, "data: %s\n\n", text) : -1;
    cJSON_free(text);
    stream->size = size > 0 ? (size_t)size : 0;
    stream->sent = 0;
}

/* Waits for the next event, or for so long that something must be said. false: it is over. */
static bool find_event(struct stream *stream)
{
    unsigned quiet_ms = 0;
    free(stream->pending);
    stream->pending = NULL;
    stream->size = stream->sent = 0;
    while (stream->size == 0 && !stream->is_last) {
        cJSON *event = NULL;
        if (stream->has_begun && !wait_a_while(stream->web, stream->source.interval_ms))
            return false;
        stream->has_begun = true;
        stream->is_last = !stream->source.next(&event, stream->source.ctx);
        quiet_ms += stream->source.interval_ms;
        if (event != NULL)
            take_event(stream, event);
        else if (quiet_ms >= QUIET_MS_MAX && (stream->pending = strdup(": still here\n\n")) != NULL)
            stream->size = strlen(stream->pending);
    }
    return stream->size > 0;
}

static ssize_t read_stream(void *ctx, uint64_t position, char *out, size_t room)
{
    struct stream *stream = ctx;
    (void)position;
    if (stream->sent == stream->size && (stream->is_last || !find_event(stream)))
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t size = stream->size - stream->sent < room ? stream->size - stream->sent : room;
    memcpy(out, stream->pending + stream->sent, size);
    stream->sent += size;
    return (ssize_t)size;
}

static void free_stream(void *ctx)
{
    struct stream *stream = ctx;
    pthread_mutex_lock(&stream->web->lock);
    stream->web->stream_count--;
    pthread_mutex_unlock(&stream->web->lock);
    if (stream->source.release != NULL)
        stream->source.release(stream->source.ctx);
    free(stream->pending);
    free(stream);
}

void web_reply_stream(struct web_request *request, const struct web_stream *source)
{
    struct web *web = request->web;
    struct stream *stream = calloc(1, sizeof(*stream));
    pthread_mutex_lock(&web->lock);
    bool is_taken = stream != NULL && !web->is_closing && web->stream_count < WEB_STREAMS_MAX;
    web->stream_count += is_taken;
    pthread_mutex_unlock(&web->lock);
    if (!is_taken) {
        free(stream);
        if (source->release != NULL)
            source->release(source->ctx);
        web_fail(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                 "%d pages are watching already, which is the limit: try again later",
                 WEB_STREAMS_MAX);
        return;
    }
    *stream = (struct stream){.web = web, .source = *source};
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, read_stream, stream, free_stream);
    if (response == NULL)
        free_stream(stream);
    reply_dress(response, "text/event-stream");
    if (response != NULL) /* a proxy passes events on as they come */
        MHD_add_response_header(response, "X-Accel-Buffering", "no");
    reply_send(request, MHD_HTTP_OK, response);
}
