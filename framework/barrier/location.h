/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a database is: a URL taken apart, for drivers whose library does not do it; and texts that
 * must not show the password in it.
 */
#ifndef BARRIER_LOCATION_H
#define BARRIER_LOCATION_H

#include <stdbool.h>
#include <stdint.h>

/* scheme://user:password@host:port/path?query, percent-decoded but for the query. Parts that are
 * not there are empty, the port is 0. */
struct location {
    char *user;
    char *password;
    char *host;
    char *path;
    char *query;
    char *url; /* as it was given */
    uint16_t port;
};

/* NULL, or what is wrong with the URL, without showing any of it. In any case to be freed. */
const char *location_parse(struct location *out, const char *url);
void location_free(struct location *location);

/* The value of `key` in the query, copied to `value` (`size` bytes, percent-decoded); false when it
 * is not there or too long. */
bool location_option(const struct location *location, const char *key, char *value, int size);
/* The first key of the query that is not in the list, which ends with NULL; NULL: there is none. */
const char *location_unknown_option(const struct location *location, const char *const *known,
                                    char *name, int size);

/* Whether user or password hold characters that end them early, such as "p/w@host": what follows
 * would be taken for a host or port, and be shown in an error. */
bool location_has_bare(const char *url);

/* Overwrites the secret wherever it stands in the text. */
void location_hide(char *text, const char *secret);

/* Writes to an error text of TERCET_TEXT_MAX bytes, unless it is NULL. */
void barrier_text(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
