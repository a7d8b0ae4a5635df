/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator's own code (owner, committer, LMDB in a real directory) in a process that is
 * killed at every crash point, and fails at every n-th call of the system. What would survive it,
 * participants with their databases and initiators with what they were told, is one struct in
 * memory that the processes share; a life of the coordinator works on it between the coordinator's
 * turns, where nothing is killed or fails.
 *
 *   main.c, engine.c  the lives of one run, and the matrix of runs
 *   snapshot.c        what a run goes on from more than once
 *   scenarios.c       what is done in a run
 *   life.c            one process: start, turns, stop
 *   wire.c            what the coordinator sends (../shared/crpc_fake.h), as packets of the
 *                     shared struct
 *   participant.c     the barrier over tables in the shared struct, and the effects
 *   initiator.c       requests, asked again until they are answered
 *   checker.c         what was promised
 *   calls.c           calls of the system that fail
 *   mutants.c         a commit that is told too early (../shared/mutants.h has the other mutants)
 */
#ifndef TERCET_FAULTS_H
#define TERCET_FAULTS_H

#include <crpc_fake.h>
#include <mutants.h>
#include <promise.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tercet/sys/barrier.h>

#define JOBS_MAX 50
#define BRANCHES 3 /* of a transaction, at most; branch b is served by service b - 1 */
#define SERVICES 3
#define STEPS_MAX 12
#define SCRIPTS_MAX 5
#define PACKETS_MAX 1024
#define POINTS_MAX 64
#define REPLY_SIZE 24 /* of a try's reply */
#define WALL_MS INT64_C(1700000000000)

/* How a life ends. */
#define EXIT_VIOLATION 99
#define EXIT_STORE_FAILED 70 /* as tercetd's */
#define EXIT_NOT_STARTED 1

/* -- scenarios.c ------------------------------------------------------------------------------- */

enum op {
    OP_END,
    OP_BEGIN,
    OP_ENLIST, /* value: the branch */
    OP_OWN,    /* the initiator calls the participant of branch `value` itself */
    OP_TRY,
    OP_CONFIRM,      /* value: a Wait */
    OP_CONFIRM_ONCE, /* and does not wait for the answer, nor asks again */
    OP_CANCEL,
    OP_RUN,
    OP_RESOLVED, /* asks until it is over */
    OP_AWAIT,    /* is told when it is over */
    OP_WATCH,    /* watches until it is over */
    OP_PARKED,   /* asks until a branch is parked */
    OP_GONE,     /* asks until its record has been dropped */
    OP_WAIT,     /* value: ms */
    OP_REGISTER, /* the target of service `value` */
    OP_PAUSE,
    OP_RESUME,
    OP_RETRY, /* value: the branch */
    OP_SETTLE,
    OP_CLOSE, /* no more requests through this session: the next opens another */
    OP_BREAK, /* the next request's call breaks before its answer */
    OP_STOP,  /* the coordinator is stopped in good order */
};

struct step {
    enum op op;
    uint32_t value;
};

/* What a branch's participant does before it does what it should. */
struct habit {
    bool refuses;
    uint8_t silent_tries; /* done, but not answered */
    uint8_t again_tries;
    uint8_t again_ends;
    uint8_t broken_ends;
};
#define ALWAYS 255

struct script {
    struct step steps[STEPS_MAX];
    struct habit habits[BRANCHES]; /* of branch 1.. */
    int branch_count;              /* that a Run has */
    int end;                       /* how it must end, a TXN_ state; 0: either way */
    int settled_branch;            /* whose work nobody ends */
};

struct scenario {
    const char *name;
    struct script scripts[SCRIPTS_MAX]; /* job i has script i % script_count */
    int script_count, job_count;
    bool is_ordered, uses_session, has_one_gid, has_committer;
    int overlap;      /* turns that go on while a batch is in flight */
    uint32_t targets; /* bits: services that are registered, not attached */
    uint32_t payload_size;
    uint32_t deadline_ms;
    uint32_t park_after; /* failures */
    int64_t retention_ms;
};

extern const struct scenario scenarios[];
extern const size_t scenario_count;

/* -- What survives ----------------------------------------------------------------------------- */

enum packet_kind { PACKET_CALL, PACKET_ANSWER };

/* Something that the coordinator has sent and that has not been received. */
struct packet {
    enum packet_kind kind;
    uint32_t life;
    int gid;
    union {
        struct {
            uint64_t id, number, low_water;
            uint32_t branch;
            int call_kind; /* enum tercet_kind */
            bool to_target;
            bool is_right; /* action and payload are the branch's */
        } call;
        struct {
            int job; /* -1: a watcher's, or nobody's */
            uint64_t serial;
            int code;
            bool is_last; /* of a watcher */
            bool has_transaction, is_parked, is_right;
            int state;
            uint64_t number;
            uint32_t branches; /* bits */
        } answer;
    };
};

struct row {
    int gid;
    uint32_t branch;
    uint64_t number;
    enum tercet_barrier_state state;
    char reply[REPLY_SIZE + 1];
};

/* A participant's database. */
struct table_of_rows {
    struct row rows[JOBS_MAX];
    size_t count;
    uint64_t mark;
};
struct database {
    struct table_of_rows now, at_begin, at_savepoint;
    int64_t available, frozen, spent;
};

/* One initiator. */
struct job {
    int step;
    uint64_t serial; /* of the request that is waited for; 0: none */
    int64_t not_before_ms;
    bool breaks_next;
};

/* What has been told of a transaction, and done for it. */
struct fate {
    bool is_begun; /* somebody has been told that it is there */
    struct promise promise;
    int end; /* as told, a TXN_ state */
    int64_t end_ms;
    uint64_t number;               /* as told, or as in a call */
    uint32_t branches;             /* told as there; bits */
    uint8_t seen[BRANCHES + 1][4]; /* calls that habits have been counted with: by branch and
                                    * enum tercet_kind */
};

struct world {
    const struct scenario *scenario;
    int64_t now_ms;
    uint64_t serial;
    uint32_t life;
    bool is_stopping, has_ended, is_audit;
    bool keeps_late; /* what was sent and not received at a death comes at the very end */
    uint32_t paused; /* services told as paused; bits */
    struct job jobs[JOBS_MAX];
    struct fate fates[JOBS_MAX];
    struct database databases[SERVICES];
    struct packet packets[PACKETS_MAX], late[PACKETS_MAX];
    size_t packet_count, late_count;
    uint32_t passed[POINTS_MAX]; /* since the last death */
    char violation[256];
    char start_text[256];
};

/* What is to happen in the next life, and what did; not a part of the world that is put back. */
struct order {
    int point; /* to die at; -1: none */
    uint32_t passing;
    uint32_t deaths;
    uint8_t ever_passed[POINTS_MAX];
    enum mutant mutant;
    bool is_loud; /* what a life says goes to standard error */
    int words;    /* else here: a file without a name */
    char first_violation[256];
    bool is_quiet; /* no check looks into the store: what a crash shows must be enough */
    char dir[128];
};

extern struct world *world; /* shared */
extern struct order *order; /* shared */

static inline int gid_of_job(int job)
{
    return world->scenario->has_one_gid ? 0 : job;
}

static inline const struct script *script_of(int job)
{
    return &world->scenario->scripts[job % world->scenario->script_count];
}

/* -- life.c ------------------------------------------------------------------------------------ */

/* One process of the coordinator; never returns. */
__attribute__((noreturn)) void life_run(void);

struct life {
    struct coordinator *c;
    struct batch *held;      /* the batch in flight, not committed yet */
    struct event *committed; /* or its outcome, not told yet */
    int turns_held;
};
extern struct life life;

void life_post(struct event *event);

/* -- wire.c ------------------------------------------------------------------------------------ */

/* A call that the coordinator serves. */
struct wire_call {
    struct crpc_call base;
    int number; /* the job, or the service */
    uint64_t serial;
    enum method method;
    bool is_half_closed; /* the peer asks nothing more through it */
    bool is_accepted;    /* FAKE_ATTACH */
};

struct crpc_call *wire_open(enum fake_kind kind, int number, uint64_t serial, enum method method);
/* One that is not over nor half-closed; NULL: there is none. */
struct crpc_call *wire_find(enum fake_kind kind, int number);
/* Every participant's hello has been answered. */
bool wire_all_accepted(void);
void wire_half_close(struct crpc_call *call);
/* Tells the coordinator what has been sent and what has ended. */
void wire_settle(void);

/* -- participant.c ----------------------------------------------------------------------------- */

void participants_start(void);
void participant_receive(const struct packet *packet);
/* The initiator's own try. */
void participant_own_try(int gid, uint32_t branch);
void reply_of(int gid, uint32_t branch, char out[REPLY_SIZE + 1]);
void payload_of(int gid, uint32_t branch, uint8_t *out, size_t size);
const char *gid_text(int gid);
int gid_number(const char *text);

/* -- initiator.c ------------------------------------------------------------------------------- */

void initiators_start(void);
void initiators_step(void);
void initiator_receive(const struct packet *packet);
bool initiators_are_done(void);
int64_t initiators_next_ms(void);
/* The session is gone, with what was asked in it. */
void initiators_lose(const struct crpc_call *session);
/* After the end: asks for every transaction once more. */
void initiators_ask_again(void);

/* -- checker.c --------------------------------------------------------------------------------- */

void violated(const char *format, ...) __attribute__((format(printf, 1, 2)));
void check_call(const struct coordinator *c, const struct packet *packet);
void check_answer(const struct coordinator *c, const struct packet *packet);
void check_told(const struct packet *packet);
/* At rest: all there is to say about effects, money and answers. */
void check_rest(void);
void check_store_at_rest(struct store *store);

/* -- snapshot.c -------------------------------------------------------------------------------- */

/* Makes order->dir, under TMPDIR, /dev/shm or /tmp. */
void directory_make(void);
void directory_clear(void);
/* Keeps the world and the store's files as they are, and puts them back. */
void snapshot_take(void);
void snapshot_put_back(void);

/* -- engine.c ---------------------------------------------------------------------------------- */

struct tally {
    uint64_t scenarios, singles, pairs, calls, calls_failed_stop, calls_unnoticed,
        calls_refused_start, lives, violations;
};
struct plan {
    size_t scenario;
    bool runs_pairs, runs_calls;
    uint32_t share; /* one of so many pairs, and of so many n-th calls; 1: all */
    uint64_t seed;
};
void engine_open(void);
void engine_close(void);
int point_count(void);
int point_find(const char *name);
void engine_run(const struct plan *plan, struct tally *tally);
/* POINT:N[,POINT:M] */
bool engine_repeat(size_t scenario, const char *at, bool keeps_late, struct tally *tally);
bool engine_repeat_call(size_t scenario, const char *what, struct tally *tally);

/* -- calls.c ----------------------------------------------------------------------------------- */

enum call_class {
    CLASS_ALLOC,
    CLASS_OPEN,
    CLASS_WRITE,
    CLASS_SYNC,
    CLASS_SIZE,
    CLASS_MAP,
    CLASS_READ,
    CLASS_NAME,
    CLASSES
};
#define CALL_SHORT (-1) /* in place of an errno: a write of half */
#define CALL_KILL (-2)  /* the process dies before the call, */
#define CALL_KILL_AFTER (-3)

struct call_order {
    int class; /* -1: none fails */
    int error;
    uint32_t nth;
    bool is_sticky;
    bool is_on; /* calls are counted */
    uint32_t counts[CLASSES];
    uint32_t hits;
};
extern struct call_order *call_order;   /* shared */
extern _Thread_local int calls_outside; /* above 0: this thread does the world's work */
const char *class_name(int class);
/* The errors of a class, ended by 0. */
const int *class_errors(int class);
const char *error_name(int error);

/* -- mutants.c --------------------------------------------------------------------------------- */

/* Between turns: what a mutant has put off. */
void mutant_catch_up(void);

#endif
