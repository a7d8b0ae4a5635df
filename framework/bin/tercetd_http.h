/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd's HTTP port, if one is asked for and built in.
 */
#ifndef TERCETD_HTTP_H
#define TERCETD_HTTP_H

#include "tercetd_options.h"

struct http;

/* 0: the port may be opened, or none is asked for. Else a code with `text` (TERCET_TEXT_MAX bytes)
 * that says what to do. */
int http_check(const struct arguments *args, char *text);
/* The same, and gives the coordinator's options a socket by which the
 * console reaches it. *out stays NULL when no port is asked for. */
int http_prepare(struct http **out, const struct arguments *args,
                 struct tercet_coordinator_options *options, char *text);
/* Serves. All that follow are fine with NULL, and do nothing then. */
int http_open(struct http *http, struct tercet_coordinator *coordinator,
              const struct arguments *args, char *text);
/* "http://127.0.0.1:7421", or NULL. */
const char *http_url(const struct http *http);
int http_set_tls(struct http *http, const char *cert, const char *key, const char *ca, char *text);
/* Before the coordinator is closed. */
void http_close(struct http *http);

#endif
