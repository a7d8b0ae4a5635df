/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may sign in: names, password hashes and roles, in a database of the gateway's own. Numbers
 * begin at 101: those below are the traffic drivers' customers and students.
 */
#ifndef SAMPLES_WEB_ACCOUNTS_H
#define SAMPLES_WEB_ACCOUNTS_H

#include "web.h"

#define ACCOUNTS_FIRST 101

struct accounts;

/* `url` as a service's --db. 0, or -1 with `text` (TERCET_TEXT_MAX bytes). */
int accounts_open(struct accounts **out, const char *url, char *text);
void accounts_close(struct accounts *accounts);

/* Makes an account if there is none of this name: for one that is there from the beginning. 0, or
 * -1. */
int accounts_seed(struct accounts *accounts, const char *name, const char *password, int64_t role);

/* The name of a user; "" when there is none. */
void accounts_name(struct accounts *accounts, int64_t user, char name[WEB_NAME_MAX + 1]);

/* Handlers, in one line each: {"name", "password"} in the body. After success the caller is signed
 * in and answered with {"user", "name", "role", "csrf"}. */
void accounts_serve_register(struct web_request *request, struct accounts *accounts, int64_t role);
void accounts_serve_sign_in(struct web_request *request, struct accounts *accounts);
/* Who is signed in: the same answer; {"user": 0} when nobody is. */
void accounts_serve_me(struct web_request *request, struct accounts *accounts);
void accounts_serve_sign_out(struct web_request *request);

#endif
