/* SPDX-License-Identifier: Apache-2.0
 *
 * What the barrier's tests share: a barrier of each driver, and a part to play in it: hooks that
 * count, write one ledger line each (which has no unique key, so that an effect done twice shows)
 * and answer as they are told.
 */
#ifndef BENCH_H
#define BENCH_H

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <tercet/barrier.h>

#define GID "gid-1"

enum bench_driver {
    BENCH_MEMORY,
    BENCH_SQLITE,
    BENCH_POSTGRES,
    BENCH_MYSQL,
    BENCH_REDIS,
    BENCH_DRIVERS
};

extern bool bench_random_is_gone; /* getrandom fails */

struct bench_line {
    char gid[TERCET_GID_MAX + 1];
    uint32_t branch;
    enum tercet_kind kind;
};

struct bench;

/* What a bench does in a database that is a server's: see bench_postgres.c. */
struct bench_server {
    const char
        *variable; /* of the environment: a URL of the server; without it there are no tests */
    /* Makes an empty place with the ledger in it, and its URL in bench->url. */
    void (*make)(struct bench *bench);
    void (*drop)(struct bench *bench);
    int (*driver_open)(void **out, const char *url, const struct tercet_barrier_options *options,
                       char *text);
    const struct tercet_barrier_driver *driver;
    /* Runs a statement on a hook's handle; 0 or what the hook is to return. */
    int (*execute)(tercet_db db, const char *sql);
    /* Runs a statement on another connection, and returns the number that it yields, or 0. */
    int64_t (*query)(struct bench *bench, const char *sql);
    /* Connects `outside` anew. */
    void (*look_again)(struct bench *bench);
    /* Ends every other connection of the bench's. */
    void (*end_connections)(struct bench *bench);
    /* Added to a URL: transactions see the database as it was when they began. */
    const char *url_snapshots;
    bool has_no_sql; /* it knows the ledger, and no other statement */
};

struct bench {
    enum bench_driver driver;
    struct tercet_barrier *barrier;
    char folder[64];
    char path[96];
    char url[320];
    void *outside; /* a server's connection apart from the barrier's */
    struct tercet_barrier_options options;
    struct bench_line *lines; /* the memory barrier's ledger */
    size_t line_count;
};

/* The server that a driver needs; NULL: none. */
const struct bench_server *bench_server(enum bench_driver driver);

/* A new folder (under SQLite), or a new place at the server; no barrier yet. */
struct bench *bench_make(enum bench_driver driver, const struct tercet_barrier_options *options);
void bench_open_barrier(struct bench *bench);
/* Both. */
struct bench *bench_open(enum bench_driver driver, const struct tercet_barrier_options *options);
void bench_close(struct bench *bench);

/* Closes and opens again the same file. Memory forgets. */
void bench_reopen(struct bench *bench);

/* Writes a line to the ledger. Returns 0, or what the hook is to return. */
int bench_write(struct bench *bench, tercet_db db, const struct bench_line *line);

/* How the hooks of a branch behave. */
struct part {
    struct bench *bench;
    int result;
    const char *reply;
    int runs; /* of any hook */
};

/* The hook; `ctx` is a part. */
int bench_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx);

/* A call of branch 1 of GID, to be changed as needed. */
struct tercet_barrier_call bench_call(struct part *part, enum tercet_kind kind);

/* Runs one call alone, drops its reply, and returns its result. */
int bench_ask(struct bench *bench, struct tercet_barrier_call call);

/* The same for branch 1 of GID with this part. */
int bench_ask_part(struct part *part, enum tercet_kind kind);

/* Runs five tries, the third with this hook and this text for it, and checks the results of the
 * others. Returns the third's. */
int bench_run_five(struct bench *bench, tercet_barrier_hook hook, const char *text);

/* Whether the caller's own transaction can be entered there, and how: learns the call's low water
 * with the barrier, then enters, does the hook's work and leaves in a transaction on a connection
 * of its own. The answer is as tercet_barrier_run's. */
bool bench_can_enter(enum bench_driver driver);
void bench_enter(struct bench *bench, struct tercet_barrier_call *call);

/* Opens a barrier by its URL, and closes it; what came of it, and said why. */
int bench_open_url(const char *url, const struct tercet_barrier_options *options, char *text);
/* The same; asserts that it comes to this, and that the text has these words. */
void bench_check_open(const char *url, const struct tercet_barrier_options *options, int rc,
                      const char *words);

/* How many effects were committed: of one gid (NULL: any) and kind (0: any). */
int bench_effects(struct bench *bench, const char *gid, int kind);

uint64_t bench_rows(struct bench *bench);
uint64_t bench_mark(struct bench *bench);

/* Runs SQL on the barrier's connection, in a transaction; asserts that it works. */
void bench_sql(struct bench *bench, const char *sql);
/* The number that a query on the barrier's connection yields. */
int64_t bench_query(struct bench *bench, const char *sql);

/* The drivers to test: TERCET_TEST_DRIVER names one, by default those that need no server. */
struct criterion_test_params bench_each_driver(void);

/* A test that is run with every driver, `*driver`. */
#define EACH_DRIVER(suite, name)                                                                   \
    ParameterizedTestParameters(suite, name)                                                       \
    {                                                                                              \
        return bench_each_driver();                                                                \
    }                                                                                              \
    ParameterizedTest(enum bench_driver *driver, suite, name)

#endif
