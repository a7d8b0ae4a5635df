/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the HTTP layer share.
 */
#ifndef SAMPLES_WEB_PARTS_H
#define SAMPLES_WEB_PARTS_H

#include <microhttpd.h>
#include <pthread.h>

#include "web.h"

#define WEB_SESSION_SIZE 160
#define WEB_MAC_SIZE 65

struct web {
    struct web_options options;
    struct MHD_Daemon *daemon;
    char url[96];
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t closing;
    bool is_closing;
    unsigned stream_count;
};

struct web_request {
    struct web *web;
    struct MHD_Connection *connection;
    const struct web_route *route;
    const char *path, *rest;
    char *body;
    size_t body_size, body_room;
    bool is_too_large, has_answered;
    cJSON *json;
    int64_t user, role;
    char csrf[WEB_MAC_SIZE];
    char cookie[WEB_SESSION_SIZE + 96]; /* Set-Cookie of the answer; "": none */
    enum MHD_Result result;
};

/* -- session.c --------------------------------------------------------------------------------- */

/* Fills user, role and csrf from the cookie. */
void session_read(struct web_request *request);
/* The text that stands for a session, signed. */
void session_write(char out[WEB_SESSION_SIZE], const struct web *web, int64_t user, int64_t role,
                   int64_t until);
/* 0, or -1 when it is not ours, was changed, or is over. */
int session_check(const struct web *web, const char *text, int64_t now, int64_t *user,
                  int64_t *role);

/* -- body.c ------------------------------------------------------------------------------------ */

int body_append(struct web_request *request, const char *data, size_t size);
/* Reads request->json; -1: what is wrong is in `text`. */
int body_parse(struct web_request *request, char *text);

/* -- reply.c ----------------------------------------------------------------------------------- */

struct MHD_Response *reply_dress(struct MHD_Response *response, const char *type);
void reply_send(struct web_request *request, unsigned status, struct MHD_Response *response);

#endif
