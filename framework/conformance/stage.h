/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cases of the barrier's suite share: a barrier on an empty database, a part to play in
 * it, and checks that end the case.
 */
#ifndef TERCET_CONFORMANCE_STAGE_H
#define TERCET_CONFORMANCE_STAGE_H

#include <setjmp.h>
#include <tercet/sys/barrier_conformance.h>

#define GID "gid-1"
#define FAILURE_MAX 512

struct stage {
    const struct tercet_barrier_conformance *suite;
    void *place;
    struct tercet_barrier *barrier;
    char failure[FAILURE_MAX]; /* empty: nothing is wrong so far */
    jmp_buf end;               /* of the case */
};

struct stage_case {
    const char *name;
    void (*run)(struct stage *stage);
};
/* Each ended by a NULL name. */
extern const struct stage_case barrier_table_cases[], barrier_stories_cases[],
    barrier_batches_cases[], barrier_mark_cases[];

/* Closes and opens again the same database, with these options (NULL: none). */
void stage_reopen(struct stage *stage, const struct tercet_barrier_options *options);
/* A new database in the place of this one, and its barrier. */
void stage_anew(struct stage *stage);
/* Whether the driver stores marks apart from batches (mark_store). */
bool stage_stores_apart(const struct stage *stage);

/* How the hooks of a branch behave. */
struct part {
    struct stage *stage;
    int result;
    const char *reply;
    int runs; /* of any hook */
};

/* A call of branch 1 of GID, to be changed as needed; its hook writes a line to the ledger. */
struct tercet_barrier_call stage_call(struct part *part, enum tercet_kind kind);
/* Runs one call alone, drops its reply, and returns its result. */
int stage_ask(struct stage *stage, struct tercet_barrier_call call);
/* The same for branch 1 of GID with this part. */
int stage_ask_part(struct part *part, enum tercet_kind kind);
bool stage_has_reply(const struct tercet_barrier_call *call, const char *text);

/* How many effects were committed: of one gid (NULL: any) and kind (0: any). */
int stage_effects(struct stage *stage, const char *gid, int kind);
uint64_t stage_rows(struct stage *stage);
uint64_t stage_mark(struct stage *stage);

/* Ends the case that runs in this thread, with what is wrong. Not from hooks, whose frames are the
 * barrier's. */
_Noreturn void stage_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void stage_fail_check(int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void stage_check_equal(int line, const char *what, long long got, long long wanted);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            stage_fail("line %d: not so: %s", __LINE__, #condition);                               \
    } while (0)
#define CHECK_EQ(got, wanted)                                                                      \
    stage_check_equal(__LINE__, #got, (long long)(got), (long long)(wanted))
/* With words of its own. */
#define CHECK_THAT(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition))                                                                          \
            stage_fail_check(__LINE__, #condition, __VA_ARGS__);                                   \
    } while (0)

#endif
