/* SPDX-License-Identifier: Apache-2.0
 *
 * Which answer a path gets, and who gets none.
 */
#include "parts.h"

#include "pages.h"

#include <string.h>
#include <strings.h>

struct route {
    const char *path;
    enum MHD_Result (*serve)(const struct request *request);
    bool is_post;
};

static const struct route routes[] = {
    {"/metrics", serve_metrics, false},
    {"/healthz", serve_health, false},
    {"/readyz", serve_ready, false},
    {"/api/", serve_api, true}, /* and what follows it */
};

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_bearer(const struct request *request)
{
    static const char scheme[] = "Bearer ";
    const char *value = request_header(request, "Authorization");
    if (value == NULL || strncasecmp(value, scheme, sizeof(scheme) - 1) != 0)
        return NULL;
    value += sizeof(scheme) - 1;
    return value[0] != '\0' ? value : NULL;
}

/* The name alone, of "name:port" or "[name]:port". */
static size_t host_size(const char *host)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : strrchr(host, ':');
    return end == NULL ? strlen(host) : (size_t)(end - host) + (host[0] == '[');
}

/* Where nobody needs a token, a page from elsewhere whose name was made to mean this machine (DNS
 * rebinding) must not speak for who looks at it: the name that the browser uses tells. */
static bool is_host_ours(const struct request *request)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    const char *host = request_header(request, "Host");
    if (request->console->has_access)
        return true;
    for (size_t i = 0; host != NULL && i < sizeof(names) / sizeof(names[0]); i++)
        if (host_size(host) == strlen(names[i]) &&
            strncasecmp(host, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static bool is_reading(const struct request *request)
{
    return strcmp(request->method, MHD_HTTP_METHOD_GET) == 0 ||
           strcmp(request->method, MHD_HTTP_METHOD_HEAD) == 0;
}

/* A route that ends with a slash takes all that begins with it. */
static bool is_below(const char *path, const char *route)
{
    const size_t size = strlen(route);
    return route[size - 1] == '/' && strncmp(path, route, size) == 0;
}

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (strcmp(routes[i].path, path) == 0 || is_below(path, routes[i].path))
            return &routes[i];
    return NULL;
}

static const struct page *find_page(const char *path)
{
    for (const struct page *page = pages; page->path != NULL; page++)
        if (strcmp(page->path, path) == 0)
            return page;
    return NULL;
}

enum MHD_Result route(const struct request *request)
{
    const struct route *route = find_route(request->path);
    const struct page *page = find_page(request->path);
    const bool is_posting = strcmp(request->method, MHD_HTTP_METHOD_POST) == 0;
    if (!is_host_ours(request))
        return reply_text(request, 421,
                          "this host is not known here: use localhost or 127.0.0.1, or start "
                          "tercetd with --access, so that tokens tell who asks");
    if (!is_reading(request) && !is_posting)
        return reply_text(request, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and POST are known here");
    if (page != NULL && !is_posting)
        return reply_static(request, page->type, page->data, page->size);
    if (route == NULL)
        return reply_text(request, MHD_HTTP_NOT_FOUND, "there is nothing here");
    if (is_posting != route->is_post)
        return reply_text(request, MHD_HTTP_METHOD_NOT_ALLOWED, "another method is wanted: %s",
                          route->is_post ? "POST" : "GET");
    if (request->is_too_large)
        return reply_text(request, MHD_HTTP_CONTENT_TOO_LARGE, "a request has at most %d bytes",
                          BODY_BYTES_MAX);
    return route->serve(request);
}
