/* SPDX-License-Identifier: Apache-2.0
 *
 * One way to open any barrier: the URL's scheme chooses the driver. Drivers are libraries of their
 * own, so the open functions are weak symbols here: NULL where none was linked.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "drivers.h"
#include "location.h"

#pragma weak tercet_barrier_sqlite_open
#pragma weak tercet_barrier_lmdb_open
#pragma weak tercet_barrier_postgres_open
#pragma weak tercet_barrier_mysql_open
#pragma weak tercet_barrier_redis_open

typedef int (*open_fn)(struct tercet_barrier **out, const char *name,
                       const struct tercet_barrier_options *options, char *text);

static int open_memory(struct tercet_barrier **out, const char *name,
                       const struct tercet_barrier_options *options, char *text)
{
    if (name[0] != '\0') {
        barrier_text(text, "memory: takes no name: nothing is kept");
        return TERCET_INVALID;
    }
    int rc = tercet_barrier_memory_open(out, options);
    if (rc != 0)
        barrier_text(text, "memory: %s", tercet_strerror(rc));
    return rc;
}

struct scheme {
    const char *prefix;
    const char *database; /* for people */
    const char *library;
    const char *option; /* of the build; "": it is always there */
    open_fn open;
    bool is_url; /* the driver takes the whole of it, with user and password */
};

/* Not a constant table: weak addresses are known at run time only, where libraries are shared. */
static struct scheme scheme_at(size_t i)
{
    const struct scheme schemes[] = {
        {"sqlite:", "SQLite", "sqlite", "SQLITE", tercet_barrier_sqlite_open, false},
        {"lmdb:", "LMDB", "lmdb", "", tercet_barrier_lmdb_open, false},
        {"memory:", "memory", "", "", open_memory, false},
        {"postgres://", "PostgreSQL", "postgres", "POSTGRES", tercet_barrier_postgres_open, true},
        {"postgresql://", "PostgreSQL", "postgres", "POSTGRES", tercet_barrier_postgres_open, true},
        {"mysql://", "MariaDB and MySQL", "mysql", "MYSQL", tercet_barrier_mysql_open, true},
        {"mariadb://", "MariaDB and MySQL", "mysql", "MYSQL", tercet_barrier_mysql_open, true},
        {"redis://", "Redis", "redis", "REDIS", tercet_barrier_redis_open, true},
        {"rediss://", "Redis", "redis", "REDIS", tercet_barrier_redis_open, true},
        {"redis+unix://", "Redis", "redis", "REDIS", tercet_barrier_redis_open, true},
    };
    return i < sizeof(schemes) / sizeof(schemes[0]) ? schemes[i] : (struct scheme){.prefix = NULL};
}

/* The scheme of the URL; without a prefix when there is none of that name. */
static struct scheme find_scheme(const char *url)
{
    size_t i = 0;
    struct scheme scheme = scheme_at(0);
    while (scheme.prefix != NULL && strncmp(url, scheme.prefix, strlen(scheme.prefix)) != 0)
        scheme = scheme_at(++i);
    return scheme;
}

static const char *skip_prefix(const struct scheme *scheme, const char *url)
{
    return scheme->is_url ? url : url + strlen(scheme->prefix);
}

/* Which names there are, and which of them this program can open. */
static void say_what_there_is(char *text)
{
    char linked[160] = "";
    size_t size = 0;
    for (size_t i = 0; scheme_at(i).prefix != NULL; i++) {
        if (scheme_at(i).open == NULL)
            continue;
        size += (size_t)snprintf(linked + size, sizeof(linked) - size, "%s%s", size > 0 ? ", " : "",
                                 scheme_at(i).prefix);
        assert(size < sizeof(linked));
    }
    barrier_text(text,
                 "a database is named as sqlite:path, postgres://user@host/database, "
                 "mysql://user@host/database, redis://host/0, lmdb:folder or memory:; this program "
                 "has barriers for %s",
                 linked);
}

int tercet_barrier_open(struct tercet_barrier **out, const char *url,
                        const struct tercet_barrier_options *options, char *text)
{
    struct scheme scheme = find_scheme(url != NULL ? url : "");
    if (out == NULL || scheme.prefix == NULL) {
        say_what_there_is(text);
        return TERCET_INVALID;
    }
    if (scheme.open == NULL) {
        barrier_text(text, "this program has no barrier for %s: link tercet::barrier_%s%s%s%s",
                     scheme.database, scheme.library,
                     scheme.option[0] != '\0' ? ", which a build of Tercet has with -DTERCET_" : "",
                     scheme.option, scheme.option[0] != '\0' ? "=ON" : "");
        return TERCET_INVALID;
    }
    if (scheme.is_url && location_has_bare(url)) {
        barrier_text(text, "an @, /, ? or # in a user's name or password is written as %%40, %%2F, "
                           "%%3F or %%23");
        return TERCET_INVALID;
    }
    return scheme.open(out, skip_prefix(&scheme, url), options, text);
}
