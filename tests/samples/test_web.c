/* SPDX-License-Identifier: Apache-2.0
 *
 * The samples' HTTP layer: what a handler is given, and what is refused before it.
 */
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <tercet/tercet.h>

#include "accounts.h"
#include "parts.h"

#define ANSWER_SIZE 16384

static struct web *web;
static struct accounts *accounts;
static int served;

static void serve_echo(struct web_request *request, void *ctx)
{
    int64_t number = -1;
    const char *text = web_field(request, "text", 8);
    (void)ctx;
    served++;
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddBoolToObject(answer, "is_number", web_number(request, "number", 1, 100, &number));
    cJSON_AddNumberToObject(answer, "number", (double)number);
    cJSON_AddStringToObject(answer, "text", text != NULL ? text : "none");
    web_reply(request, 200, answer);
}

static void serve_rest(struct web_request *request, void *ctx)
{
    const char *query = web_query(request, "q");
    (void)ctx;
    web_fail(request, 418, "%s and %s", web_rest(request), query != NULL ? query : "none");
}

static void serve_register(struct web_request *request, void *ctx)
{
    (void)ctx;
    accounts_serve_register(request, accounts, 2);
}

static void serve_sign_in(struct web_request *request, void *ctx)
{
    (void)ctx;
    accounts_serve_sign_in(request, accounts);
}

static void serve_me(struct web_request *request, void *ctx)
{
    (void)ctx;
    accounts_serve_me(request, accounts);
}

static bool next_event(cJSON **event, void *ctx)
{
    int *count = ctx;
    *event = cJSON_CreateNumber(++*count);
    return *count < 3;
}

static void release_events(void *ctx)
{
    *(int *)ctx += 100;
}

static int event_count;

static void serve_events(struct web_request *request, void *ctx)
{
    const struct web_stream stream = {next_event, release_events, &event_count, 1};
    (void)ctx;
    event_count = 0;
    web_reply_stream(request, &stream);
}

static const struct web_route routes[] = {
    {"POST", "/api/echo", serve_echo, WEB_OPEN},
    {"GET", "/api/rest/", serve_rest, WEB_OPEN},
    {"POST", "/api/change", serve_echo, 0},
    {"GET", "/api/me", serve_me, WEB_OPEN},
    {"POST", "/api/register", serve_register, WEB_OPEN},
    {"POST", "/api/sign-in", serve_sign_in, WEB_OPEN},
    {"GET", "/api/events", serve_events, WEB_OPEN},
};

static void open_web(void)
{
    struct web_options options = {.size = sizeof(options),
                                  .listen = "127.0.0.1:0",
                                  .routes = routes,
                                  .route_count = sizeof(routes) / sizeof(routes[0]),
                                  .body_bytes_max = 1000};
    char text[TERCET_TEXT_MAX] = "", path[] = "/tmp/tercet-web-XXXXXX", url[64];
    cr_assert(mkdtemp(path) != NULL);
    snprintf(url, sizeof(url), "sqlite:%s/accounts.db", path);
    memset(options.secret, 7, sizeof(options.secret));
    cr_assert_eq(accounts_open(&accounts, url, text), 0, "%s", text);
    cr_assert_eq(web_open(&web, &options, text), 0, "%s", text);
    served = 0;
    for (const char *end = ""; end != NULL; end = strcmp(end, "") == 0       ? "-wal"
                                                  : strcmp(end, "-wal") == 0 ? "-shm"
                                                                             : NULL) {
        char file[80];
        snprintf(file, sizeof(file), "%s/accounts.db%s", path, end);
        unlink(file); /* it lives on until it is closed */
    }
    rmdir(path);
}

static void close_web(void)
{
    web_close(web);
    accounts_close(accounts);
}

TestSuite(web, .init = open_web, .fini = close_web, .timeout = 60);

/* Sends what is given, and reads to the end. */
static const char *ask(const char *request)
{
    static char answer[ANSWER_SIZE];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t size = 0;
    ssize_t got;
    to.sin_port = htons((uint16_t)atoi(strrchr(web_url(web), ':') + 1));
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    send(fd, request, strlen(request), MSG_NOSIGNAL);
    while ((got = read(fd, answer + size, ANSWER_SIZE - 1 - size)) > 0)
        size += (size_t)got;
    answer[size] = '\0';
    close(fd);
    return answer;
}

static const char *post(const char *path, const char *headers, const char *body)
{
    static char request[ANSWER_SIZE];
    snprintf(
        request, sizeof(request),
        "POST %s HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s",
        path, strlen(body), headers, body);
    return ask(request);
}

static const char *get(const char *path, const char *headers)
{
    static char request[ANSWER_SIZE];
    snprintf(request, sizeof(request),
             "GET %s HTTP/1.1\r\nHost: here\r\nConnection: close\r\n%s\r\n", path, headers);
    return ask(request);
}

#define JSON "Content-Type: application/json\r\n"
#define expect(answer, words)                                                                      \
    do {                                                                                           \
        const char *said = answer;                                                                 \
        cr_assert(strstr(said, words) != NULL, "no %s in %s", words, said);                        \
    } while (0)

Test(web, json_and_forms_are_read_alike)
{
    expect(post("/api/echo", JSON, "{\"number\": 7, \"text\": \"x y\"}"),
           "{\"is_number\":true,\"number\":7,\"text\":\"x y\"}");
    expect(post("/api/echo", "Content-Type: application/x-www-form-urlencoded\r\n",
                "number=8&text=x+y%21"),
           "{\"is_number\":true,\"number\":8,\"text\":\"x y!\"}");
}

Test(web, fields_are_held_to_what_they_may_be)
{
    static const char *const wrong[] = {"0",    "101",  "-1",  "1.5", "\"7x\"",
                                        "\"\"", "null", "[7]", "1e99"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char body[64];
        snprintf(body, sizeof(body), "{\"number\": %s, \"text\": \"123456789\"}", wrong[i]);
        expect(post("/api/echo", JSON, body),
               "{\"is_number\":false,\"number\":-1,\"text\":\"none\"}");
    }
}

Test(web, a_text_is_utf_8)
{
    expect(post("/api/echo", "Content-Type: application/x-www-form-urlencoded\r\n", "text=%c3%a4"),
           "\"text\":\"\xc3\xa4\"");
    expect(post("/api/echo", "Content-Type: application/x-www-form-urlencoded\r\n", "text=%ff%fe"),
           "\"text\":\"none\"");
    expect(post("/api/echo", JSON, "{\"text\": \"\xff\"}"), "\"text\":\"none\"");
}

Test(web, what_is_no_request_is_told_so)
{
    expect(post("/api/echo", JSON, "{\"number\": 7"), "400 Bad Request");
    expect(post("/api/echo", JSON, "[7]"), "400 Bad Request");
    expect(post("/api/echo", "", "{}"), "400 Bad Request");
    expect(get("/api/nowhere", ""), "404 Not Found");
    expect(get("/api/echo", ""), "405 Method Not Allowed");
    expect(get("/api/rest/a/b?q=c", ""), "{\"error\":\"a/b and c\"}");
    cr_assert_eq(served, 0);
}

Test(web, a_large_body_is_refused_and_nothing_is_done)
{
    char body[3000];
    memset(body, ' ', sizeof(body));
    body[sizeof(body) - 1] = '\0';
    body[0] = '{';
    body[sizeof(body) - 2] = '}';
    expect(post("/api/echo", JSON, body), "1000 bytes are the limit");
    expect(ask("POST /api/echo HTTP/1.1\r\nHost: here\r\nContent-Length: 99999999999\r\n\r\n"),
           "413");
    cr_assert_eq(served, 0);
}

Test(web, every_answer_keeps_foreign_scripts_out)
{
    expect(get("/api/me", ""), "Content-Security-Policy: default-src 'none'; script-src 'self'");
    expect(get("/api/nowhere", ""), "X-Content-Type-Options: nosniff");
}

/* The value of a cookie or of a field in an answer. */
static void copy_after(char *out, size_t size, const char *answer, const char *mark,
                       const char *end)
{
    const char *from = strstr(answer, mark);
    cr_assert(from != NULL, "no %s in %s", mark, answer);
    from += strlen(mark);
    snprintf(out, size, "%.*s", (int)strcspn(from, end), from);
}

Test(web, who_registers_is_signed_in_and_changes_only_from_our_page)
{
    char cookie[256], csrf[128], headers[600];
    const char *answer =
        post("/api/register", JSON, "{\"name\": \"Ada\", \"password\": \"correct horse\"}");
    expect(answer, "\"user\":101,\"name\":\"Ada\",\"role\":2");
    expect(answer, "HttpOnly; SameSite=Strict");
    copy_after(cookie, sizeof(cookie), answer, "session=", ";");
    copy_after(csrf, sizeof(csrf), answer, "\"csrf\":\"", "\"");
    expect(post("/api/change", JSON, "{}"), "401 Unauthorized");
    snprintf(headers, sizeof(headers), JSON "Cookie: session=%s\r\n", cookie);
    expect(post("/api/change", headers, "{}"), "403 Forbidden");
    snprintf(headers, sizeof(headers),
             JSON "Cookie: session=%s\r\nX-CSRF-Token: %s\r\nOrigin: http://there\r\n", cookie,
             csrf);
    expect(post("/api/change", headers, "{}"), "403 Forbidden");
    cr_assert_eq(served, 0);
    snprintf(headers, sizeof(headers),
             JSON "Cookie: session=%s\r\nX-CSRF-Token: %s\r\nOrigin: http://here\r\n", cookie,
             csrf);
    expect(post("/api/change", headers, "{}"), "200 OK");
    cookie[0] = '9'; /* another user, by the same signature */
    snprintf(headers, sizeof(headers), "Cookie: session=%s\r\n", cookie);
    expect(get("/api/me", headers), "\"user\":0");
}

Test(web, passwords_and_names)
{
    const char *ada = "{\"name\": \"Ada\", \"password\": \"correct horse\"}";
    expect(post("/api/register", JSON, ada), "200 OK");
    expect(post("/api/register", JSON, ada), "409 Conflict");
    expect(post("/api/sign-in", JSON, ada), "\"user\":101");
    expect(post("/api/sign-in", JSON, "{\"name\": \"Ada\", \"password\": \"correct hors\"}"),
           "401 Unauthorized");
    expect(post("/api/sign-in", JSON, "{\"name\": \"Eve\", \"password\": \"correct horse\"}"),
           "401 Unauthorized");
    expect(post("/api/register", JSON, "{\"name\": \"Bob\", \"password\": \"short\"}"),
           "400 Bad Request");
    expect(post("/api/register", JSON, "{\"name\": \"<b>\", \"password\": \"correct horse\"}"),
           "400 Bad Request");
    expect(
        post("/api/sign-in", JSON, "{\"name\": \"' OR 1=1 --\", \"password\": \"correct horse\"}"),
        "401 Unauthorized");
}

Test(web, a_session_ends)
{
    char text[WEB_SESSION_SIZE];
    int64_t user = 0, role = 0;
    session_write(text, web, 5, 1, 1000);
    cr_assert_eq(session_check(web, text, 999, &user, &role), 0);
    cr_assert_eq(user, 5);
    cr_assert_eq(session_check(web, text, 1000, &user, &role), -1);
    text[strlen(text) - 1] ^= 1;
    cr_assert_eq(session_check(web, text, 999, &user, &role), -1);
    cr_assert_eq(session_check(web, "", 0, &user, &role), -1);
}

Test(web, a_stream_is_released_after_its_last_event)
{
    expect(get("/api/events", ""), "data: 1\n\n");
    expect(get("/api/events", ""), "data: 3\n\n");
    web_close(web);
    web = NULL;
    cr_assert_eq(event_count, 103);
}
