/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is signed in: a random number in a cookie stands for the token that was typed in, which stays
 * in this process. In memory only: a restart ends all sessions. Any thread.
 */
#ifndef CONSOLE_SESSION_H
#define CONSOLE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#define SESSIONS_MAX 64                       /* past it, the one unused for longest ends */
#define SESSION_AGE_MS_MAX (12 * 3600 * 1000) /* from the sign-in */
#define SESSION_IDLE_MS_MAX (2 * 3600 * 1000) /* without a request */
#define SESSION_ID_SIZE 65                    /* 256 random bits in hexadecimal digits */
#define TOKEN_SIZE 256
#define NAME_SIZE 41

struct session {
    char token[TOKEN_SIZE];
    char name[NAME_SIZE]; /* that its user gave; "" */
};

struct sessions;

/* NULL without memory. */
struct sessions *sessions_new(void);
void sessions_free(struct sessions *sessions);

/* Begins one. false: no random numbers are to be had. */
bool sessions_begin(struct sessions *sessions, const struct session *session,
                    char id[SESSION_ID_SIZE]);
/* false: there is none of this id, or no more. */
bool sessions_find(struct sessions *sessions, const char *id, struct session *out);
void sessions_end(struct sessions *sessions, const char *id);

#endif
