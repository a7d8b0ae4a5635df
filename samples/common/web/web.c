/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections and routes: from libmicrohttpd's callbacks to one handler a request.
 */
#include "web.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "parts.h"

#define CONNECTION_IDLE_SECONDS 60
#define STACK_BYTES (512u * 1024)
/* What more than so many bytes is announced is refused at once; less is read first, because
 * browsers show the answer only then. */
#define BODY_BYTES_DROPPED_MAX (64ull * 1024 * 1024)

static const char *header_of(const struct web_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *web_rest(const struct web_request *request)
{
    return request->rest;
}

const char *web_query(const struct web_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *web_url(const struct web *web)
{
    return web->url;
}

/* -- Routes ------------------------------------------------------------------------------------ */

static const struct web_file *find_file(const struct web *web, const char *path)
{
    const struct web_file *file = web->options.files;
    for (; file != NULL && file->path != NULL; file++)
        if (strcmp(file->path, path) == 0)
            return file;
    return NULL;
}

static bool is_below(const struct web_route *route, const char *path)
{
    size_t size = strlen(route->path);
    return strcmp(route->path, path) == 0 ||
           (route->path[size - 1] == '/' && strncmp(route->path, path, size) == 0);
}

/* The route of this method, else any of this path: the answer tells the two apart. */
static const struct web_route *find_route(const struct web *web, const char *method,
                                          const char *path)
{
    const struct web_route *other = NULL;
    for (size_t i = 0; i < web->options.route_count; i++) {
        const struct web_route *route = &web->options.routes[i];
        if (!is_below(route, path))
            continue;
        if (strcmp(route->method, method) == 0)
            return route;
        other = route;
    }
    return other;
}

/* A browser says where a POST comes from: our own page, or it is not served. */
static bool is_from_here(const struct web_request *request)
{
    const char *origin = header_of(request, "Origin"), *host = header_of(request, "Host");
    if (origin == NULL)
        return true; /* no browser: it has no cookies of others */
    const char *name = strstr(origin, "://");
    return name != NULL && host != NULL && strcmp(name + 3, host) == 0;
}

static bool is_ours(const struct web_request *request)
{
    const char *token = header_of(request, "X-CSRF-Token");
    if (!is_from_here(request))
        return false;
    return request->user == 0 || (token != NULL && strcmp(token, request->csrf) == 0);
}

/* Whether the request may go on to its handler; otherwise it is answered. */
static bool is_allowed(struct web_request *request, const char *method)
{
    const struct web_route *route = request->route;
    const bool is_post = strcmp(method, "POST") == 0;
    char text[WEB_TEXT_MAX];
    if (route == NULL)
        web_fail(request, MHD_HTTP_NOT_FOUND, "there is nothing here");
    else if (strcmp(route->method, method) != 0)
        web_fail(request, MHD_HTTP_METHOD_NOT_ALLOWED, "this wants %s", route->method);
    else if (request->is_too_large)
        web_fail(request, MHD_HTTP_CONTENT_TOO_LARGE,
                 "this is too large: %zu bytes are the limit, and nothing was done",
                 request->web->options.body_bytes_max);
    else if (request->user == 0 && (route->flags & WEB_OPEN) == 0)
        web_fail(request, MHD_HTTP_UNAUTHORIZED, "sign in first");
    else if (is_post && !is_ours(request))
        web_fail(request, MHD_HTTP_FORBIDDEN,
                 "this does not come from our own page, or the page is old: load it again");
    else if (is_post && (route->flags & WEB_RAW) == 0 && body_parse(request, text) != 0)
        web_fail(request, MHD_HTTP_BAD_REQUEST, "%s", text);
    else
        return true;
    return false;
}

static enum MHD_Result serve(struct web_request *request, const char *method)
{
    const struct web_file *file = find_file(request->web, request->path);
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    session_read(request);
    request->route = find_route(request->web, method, request->path);
    if (file != NULL && strcmp(method, "GET") == 0) {
        reply_send(
            request, MHD_HTTP_OK,
            reply_dress(MHD_create_response_from_buffer(file->size, (void *)(uintptr_t)file->data,
                                                        MHD_RESPMEM_PERSISTENT),
                        file->type));
    } else if (is_allowed(request, method)) {
        request->rest = request->path + strlen(request->route->path);
        request->route->serve(request, request->web->options.ctx);
    }
    if (!request->has_answered)
        web_fail(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "nothing was answered");
    return request->result;
}

/* -- libmicrohttpd's callbacks ----------------------------------------------------------------- */

static bool is_far_too_large(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    return length != NULL && strtoull(length, NULL, 10) > BODY_BYTES_DROPPED_MAX;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct web_request *request = *state;
    (void)version;
    if (request == NULL) {
        request = calloc(1, sizeof(*request));
        if (request == NULL)
            return MHD_NO;
        *request = (struct web_request){.web = ctx, .connection = connection, .result = MHD_NO};
        *state = request;
        request->path = path;
        if (!is_far_too_large(connection))
            return MHD_YES;
        request->is_too_large = true;
        return serve(request, method);
    }
    if (*size > 0) {
        int rc = body_append(request, data, *size);
        *size = 0;
        return rc == 0 ? MHD_YES : MHD_NO;
    }
    request->path = path;
    return serve(request, method);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct web_request *request = *state;
    (void)ctx;
    (void)connection;
    (void)code;
    if (request == NULL)
        return;
    cJSON_Delete(request->json);
    free(request->body);
    free(request);
    *state = NULL;
}

/* -- Opening ----------------------------------------------------------------------------------- */

static int resolve(struct sockaddr_storage *out, const char *listen)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *infos = NULL;
    char host[128];
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || colon == listen || (size_t)(colon - listen) >= sizeof(host))
        return -1;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - listen), listen);
    if (getaddrinfo(host, colon + 1, &hints, &infos) != 0)
        return -1;
    memcpy(out, infos->ai_addr, infos->ai_addrlen);
    freeaddrinfo(infos);
    return 0;
}

static struct MHD_Daemon *start(struct web *web, const struct sockaddr_storage *address)
{
    const unsigned ipv6 = address->ss_family == AF_INET6 ? MHD_USE_IPv6 : 0;
    return MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC | ipv6, 0,
        NULL, NULL, on_request, web, MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, NULL, MHD_OPTION_CONNECTION_LIMIT, WEB_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_IDLE_SECONDS, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_END);
}

static void describe(struct web *web, const char *listen)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(web->daemon, MHD_DAEMON_INFO_BIND_PORT);
    snprintf(web->url, sizeof(web->url), "http://%.*s:%d", (int)(strrchr(listen, ':') - listen),
             listen, info != NULL ? info->port : 0);
}

int web_open(struct web **out, const struct web_options *options, char *text)
{
    struct sockaddr_storage address = {0};
    pthread_condattr_t monotonic;
    if (resolve(&address, options->listen) != 0) {
        snprintf(text, WEB_TEXT_MAX, "%.150s is no address: host:port is wanted", options->listen);
        return -1;
    }
    struct web *web = calloc(1, sizeof(*web));
    if (web == NULL)
        return -1;
    web->options = *options;
    if (web->options.body_bytes_max == 0)
        web->options.body_bytes_max = WEB_BODY_BYTES_MAX;
    pthread_mutex_init(&web->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&web->closing, &monotonic);
    pthread_condattr_destroy(&monotonic);
    web->daemon = start(web, &address);
    if (web->daemon == NULL) {
        snprintf(text, WEB_TEXT_MAX, "cannot listen at %.150s: is another program there?",
                 options->listen);
        web_close(web);
        return -1;
    }
    describe(web, options->listen);
    *out = web;
    return 0;
}

void web_close(struct web *web)
{
    if (web == NULL)
        return;
    pthread_mutex_lock(&web->lock);
    web->is_closing = true;
    pthread_cond_broadcast(&web->closing);
    pthread_mutex_unlock(&web->lock);
    if (web->daemon != NULL)
        MHD_stop_daemon(web->daemon);
    pthread_cond_destroy(&web->closing);
    pthread_mutex_destroy(&web->lock);
    free(web);
}
