/* SPDX-License-Identifier: Apache-2.0
 *
 * A small HTTP layer for the samples' gateways, on libmicrohttpd: routes, JSON and forms, signed
 * sessions, passwords, server-sent events, files built into the program. A handler runs on the
 * connection's own thread and may block. It answers exactly once.
 *
 *   static void hello(struct web_request *request, void *ctx)
 *   {
 *       cJSON *answer = cJSON_CreateObject();
 *       cJSON_AddNumberToObject(answer, "user", web_user(request));
 *       web_reply(request, 200, answer);
 *   }
 *   static const struct web_route routes[] = {{"GET", "/api/hello", hello, 0}};
 *
 * What every answer has: a Content-Security-Policy that lets nothing foreign and nothing inline in.
 * What every request is held to: the body's limit (413), the sign-in (401), and, when it changes
 * something, that it comes from our own page (403): the header X-CSRF-Token with what web_csrf
 * says, and no Origin but our own. An error is JSON: {"error": "a sentence for people"}.
 */
#ifndef SAMPLES_WEB_H
#define SAMPLES_WEB_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEB_TEXT_MAX 256                /* of an error's text, with its NUL */
#define WEB_BODY_BYTES_MAX 65536        /* unless the options say otherwise */
#define WEB_CONNECTIONS_MAX 256         /* each with a thread */
#define WEB_STREAMS_MAX 128             /* server-sent events at once: past it 503 */
#define WEB_SESSION_SECONDS (12 * 3600) /* then one signs in again */
#define WEB_SECRET_BYTES 32
#define WEB_NAME_MAX 40 /* bytes of a user's name */
#define WEB_PASSWORD_MIN 8
#define WEB_PASSWORD_MAX 128
#define WEB_HASH_SIZE 384 /* of a password's hash, with its NUL */

struct web;
struct web_request;

typedef void (*web_handler)(struct web_request *request, void *ctx);

enum web_route_flag {
    WEB_OPEN = 1, /* also without a sign-in */
    WEB_RAW = 2,  /* the body is bytes (web_body), not JSON or a form */
};

struct web_route {
    const char *method; /* "GET" or "POST" */
    const char *path;   /* one that ends with "/" takes all below it: web_rest */
    web_handler serve;
    unsigned flags;
};

/* A file in the program, made by cmake/embed.cmake; the array ends with a path of NULL. */
struct web_file {
    const char *path; /* "/" is index.html */
    const char *type;
    const unsigned char *data;
    size_t size;
};

struct web_options {
    size_t size;        /* sizeof(struct web_options) */
    const char *listen; /* "host:port"; port 0 picks one */
    const struct web_route *routes;
    size_t route_count;
    const struct web_file *files;
    /* Keys sessions: who knows it can make one. web_secret_load keeps one in a file. */
    unsigned char secret[WEB_SECRET_BYTES];
    size_t body_bytes_max; /* 0: WEB_BODY_BYTES_MAX */
    bool is_behind_tls;    /* cookies are Secure: a proxy in front speaks HTTPS */
    void *ctx;             /* for the handlers */
};

/* Serves until closed. `routes` and `files` live as long. 0, or -1 with `text` (WEB_TEXT_MAX). */
int web_open(struct web **out, const struct web_options *options, char *text);
const char *web_url(const struct web *web); /* "http://127.0.0.1:8080" */
/* Ends streams and connections; waits for handlers. free(NULL) is fine. */
void web_close(struct web *web);

/* Reads the secret from a file, or makes both (mode 0600). 0, or -1 with `text`. */
int web_secret_load(unsigned char secret[WEB_SECRET_BYTES], const char *path, char *text);

/* -- A request: everything lives until the handler returns --------------------------------------
 */

/* What follows a route that ends with "/": "7" of /api/products/7. */
const char *web_rest(const struct web_request *request);
/* A parameter after the "?", or NULL. */
const char *web_query(const struct web_request *request, const char *name);
/* The body as an object: JSON, or a form's fields as strings. Never NULL in a POST. */
const cJSON *web_json(const struct web_request *request);
/* The body's bytes; a NUL follows them. */
const char *web_body(const struct web_request *request, size_t *size);
/* A field that is a string of 1 to `bytes_max` bytes of UTF-8, or NULL when it is none. */
const char *web_field(const struct web_request *request, const char *name, size_t bytes_max);
/* A field that is a whole number from `min` to `max`; false when it is none. A string of digits
 * counts, as a form sends it. */
bool web_number(const struct web_request *request, const char *name, int64_t min, int64_t max,
                int64_t *out);
/* A number in the path or a query, held to the same. */
bool web_parse_number(const char *text, int64_t min, int64_t max, int64_t *out);

/* -- Who asks ---------------------------------------------------------------------------------- */

/* The signed-in user's id and role; 0: nobody. */
int64_t web_user(const struct web_request *request);
int64_t web_role(const struct web_request *request);
/* The token that a page sends as X-CSRF-Token with every POST; "" when nobody is signed in. */
const char *web_csrf(const struct web_request *request);
/* The answer that follows begins or ends a session: a cookie that no script can read, signed and
 * not stored, so it outlives a restart of the gateway; signing out takes it from this browser. */
void web_sign_in(struct web_request *request, int64_t user, int64_t role);
void web_sign_out(struct web_request *request);

/* crypt(3) with yescrypt. 0, or -1. Takes tens of milliseconds on purpose; one at a time. */
int web_password_hash(char hash[WEB_HASH_SIZE], const char *password);
/* In the same time whether it is right or wrong. hash "": false, in that time, too. */
bool web_password_matches(const char *password, const char *hash);

/* -- Answers ----------------------------------------------------------------------------------- */

/* Takes `answer` over. NULL: no content. */
void web_reply(struct web_request *request, unsigned status, cJSON *answer);
/* {"error": the text}. Say what is wrong and what to do. */
void web_fail(struct web_request *request, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Bytes with a type, copied: a picture, a file to be saved under `filename` (NULL: to be shown). */
void web_reply_bytes(struct web_request *request, const char *type, const char *filename,
                     const void *data, size_t size);

/* Server-sent events: `next` is called now and every interval_ms, on the connection's thread. It
 * sets *event (taken over; NULL: nothing new), and returns false after the last. `release` is
 * called once, however the stream ends. */
struct web_stream {
    bool (*next)(cJSON **event, void *ctx);
    void (*release)(void *ctx);
    void *ctx;
    unsigned interval_ms;
};
void web_reply_stream(struct web_request *request, const struct web_stream *stream);

#endif
