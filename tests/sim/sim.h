/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole Tercet in one thread under virtual time: the coordinator's own objects over the memory store, the barrier over
 * databases that survive crashes, initiators, an operator, and a network that loses, repeats and reorders. One seed is one run.
 *
 *   world.c       the generator, the heap of what is to happen, the trace
 *   faults.c      what a seed makes go wrong, and when
 *   network.c     packets; crpc as the coordinator sees it
 *   *_actor.c     who takes part
 *   checker.c     what was promised, looked at with every write, send, answer and effect
 *   mutants.c     faults put into the product, each of which must be found
 */
#ifndef TERCET_SIM_H
#define TERCET_SIM_H

#include <crpc/crpc.h>
#include <owner.h>
#include <stdbool.h>
#include <stdint.h>
#include <tercet/barrier.h>

#define SERVICES 4       /* at most */
#define INITIATORS 3
#define JOBS_MAX 12      /* transactions of one run */
#define BRANCHES_SIM 4   /* of one transaction */
#define SECOND INT64_C(1000000) /* virtual time is in microseconds */

/* Who sends and is sent to. */
enum node {
    NODE_COORDINATOR,
    NODE_SERVICE,
    NODE_INITIATOR = NODE_SERVICE + SERVICES,
    NODE_OPERATOR = NODE_INITIATOR + INITIATORS,
    NODES
};

#define FAULT_MAP(X)                                                                                        \
    X(LOST, "messages lost")                                                                                \
    X(DOUBLED, "messages doubled")                                                                          \
    X(SLOW, "messages held back")                                                                           \
    X(CUT, "messages cut off by a partition")                                                               \
    X(PARTITION, "partitions")                                                                              \
    X(STREAM_BROKEN, "streams broken")                                                                      \
    X(CRASH, "coordinator crashes at any time")                                                             \
    X(CRASH_SEND, "crashes between two sends of a turn")                                                    \
    X(CRASH_BEFORE_COMMIT, "crashes before a commit")                                                       \
    X(CRASH_AFTER_COMMIT, "crashes after a commit")                                                         \
    X(CRASH_RESTORED, "crashes during a restart")                                                           \
    X(COMMIT_LOST, "commits that failed, not applied")                                                      \
    X(COMMIT_KEPT, "commits that failed, applied")                                                          \
    X(CLOCK, "jumps of the wall clock")                                                                     \
    X(CLOCK_FAR, "jumps of the wall clock by years")                                                        \
    X(CLOSE, "orderly stops of the coordinator")                                                            \
    X(FULL, "requests refused by a full store, or for too many transactions")                               \
    X(PAUSE, "pauses of the coordinator")                                                                   \
    X(SERVICE_CRASH, "participant crashes")                                                                 \
    X(DATABASE_LOST, "participants' commits that failed, not applied")                                      \
    X(DATABASE_KEPT, "participants' commits that failed, applied")                                          \
    X(AWAY, "participants away for long")                                                                   \
    X(HALF_OPEN, "streams that only one side knows to be over")                                             \
    X(STATUS, "statuses in place of results")                                                               \
    X(REFUSED, "tries refused")                                                                             \
    X(AGAIN, "calls told to ask again")                                                                     \
    X(BROKEN, "promises broken")                                                                            \
    X(ABANDONED, "initiators that went away")                                                               \
    X(OPERATOR, "operators' acts")                                                                          \
    X(REPLAYED, "messages replayed after the end")
enum fault {
#define FAULT_ENUM(name, text) FAULT_##name,
    FAULT_MAP(FAULT_ENUM)
#undef FAULT_ENUM
    FAULTS
};

struct totals_of_runs {
    uint64_t runs, empty_runs, violations, events, begun, confirmed, cancelled, calls, restarts, faults[FAULTS];
    uint64_t first_failed_seed;
    char first_failure[160];
};

/* -- world.c ------------------------------------------------------------------------------------------------------- */

/* Something that is to happen. It owns `bytes`, and a reference to `call`. */
struct happening {
    int64_t at_us;
    uint64_t order;
    void (*run)(struct happening *happening);
    uint32_t life; /* of the coordinator, where it matters */
    int who;
    int job;
    int method;
    int code;
    int floor;
    uint64_t id;
    struct crpc_call *call;
    uint8_t *bytes;
    size_t size;
    bool is_copy;
    char text[64];
};

struct happening *happen(int64_t delay_us, void (*run)(struct happening *));
struct happening *happen_copy(const struct happening *of);
void happen_at(struct happening *happening, int64_t at_us);
void happening_free(struct happening *happening);
void happening_set_message(struct happening *happening, const ProtobufCMessage *message);
ProtobufCMessage *happening_message(const struct happening *happening, const ProtobufCMessageDescriptor *type);

uint64_t random_next(void);
int64_t random_below(int64_t limit);
int64_t random_between(int64_t least, int64_t most);
bool chance(uint32_t per_10000);

void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void violation(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
void count_fault(enum fault fault);

/* -- faults.c ------------------------------------------------------------------------------------------------------ */

/* Chances in 10,000, drawn from the seed; zero when faults have stopped. */
struct faults {
    uint32_t loss, doubling, slow, stream, half_open, capture;
    uint32_t crash_send, crash_before_commit, crash_after_commit, crash_restored, commit_lost, commit_kept, close;
    uint32_t clock, clock_far, pause, service_crash, database_lost, database_kept, refuse, again, broken, status, rogue;
    int64_t crash_every_us, partition_every_us, away_every_us, operator_every_us; /* 0: never */
    int64_t latency_us;
    uint64_t store_size_max; /* 0: no limit */
    uint32_t open_max;
};
void faults_draw(void);
void faults_start(void);
void faults_stop(void);

/* -- network.c ----------------------------------------------------------------------------------------------------- */

enum call_kind { CALL_UNARY, CALL_WATCH, CALL_SESSION, CALL_ATTACH };

/* Sends the packet, or drops it. Takes it over. */
void network_send(struct happening *packet, int from, int to);
bool network_is_cut(int from, int to);
/* Opens a call at the coordinator, as an RPC thread would. */
struct crpc_call *network_open(enum call_kind kind, int node, int job, uint64_t id);
struct caller *network_caller(struct crpc_call *call);
struct instance *network_instance(struct crpc_call *call);
bool network_is_over(const struct crpc_call *call);
int network_node(const struct crpc_call *call);
void network_set(struct crpc_call *call, int method, int floor);
/* The peer ends it. */
void network_break(struct crpc_call *call);
/* The coordinator's process is gone. */
void network_crash(void);
void network_target_answer(uint64_t id, const Tercet__V1__CallResult *result, int code);
size_t network_open_count(void);
/* A request that was taken and is not answered, and whose asker still waits. */
bool network_owes_answer(void);
/* How a Call has come to a participant (happening.method), and the way its result goes. */
enum route { ROUTE_ATTACH, ROUTE_TARGET, ROUTE_OWN };

/* -- coordinator_actor.c ------------------------------------------------------------------------------------------- */

struct coordinator_actor {
    struct coordinator *c; /* NULL: down */
    struct store *store;
    uint32_t life;
    int64_t boot_us;
    int64_t wall_base_ms;
    int64_t turn_us;        /* the next turn; INT64_MAX: none */
    int64_t paused_until_us;
    int sends_left;         /* of this turn before it crashes; -1: does not */
    bool is_dead;           /* in the middle of a turn */
    bool is_committing;
};
void coordinator_open_store(void);
void coordinator_start(void);
void coordinator_crash(const char *why);
void coordinator_post(struct event *event);
bool coordinator_may_send(void);
void coordinator_close(void);
bool coordinator_is_idle(void);

/* -- participant_actor.c ------------------------------------------------------------------------------------------- */

struct participant_actor {
    struct tercet_barrier *barrier;
    struct crpc_call *stream;
    struct happening *inbox[64];
    struct effect_staged { int job; uint32_t branch; char op; } staged[256];
    size_t inbox_count, staged_count, savepoint;
    int64_t away_until_us;
    bool is_target, is_working, is_crashing;
};
void participants_start(void);
void participants_close(void);
void participant_receive(struct happening *packet);
void participant_stream_lost(int service, const struct crpc_call *stream);
void participant_go_away(int service, int64_t length_us);
bool participant_is_away(int service);
const char *service_name(int service);
int service_of(const char *action);

/* -- initiator_actor.c, operator_actor.c --------------------------------------------------------------------------- */

enum job_kind { JOB_RUN, JOB_TRY, JOB_OWN };
struct job {
    enum job_kind kind;
    int initiator;
    int branch_count;
    int services[BRANCHES_SIM + 1];
    int step;               /* how far: 0 begin, 1..n branches, then the decision, then asking until the end */
    uint64_t request_id;    /* the one that is waited for; 0: none */
    uint64_t number;        /* as the coordinator said */
    uint32_t deadline_ms;
    int attempts;
    bool keeps, is_ordered, uses_session, wants_cancel, is_over, is_rogue, begins_with_first;
    int wait;               /* a tercet.v1.Wait */
    bool all_told;          /* every try was told as done */
    int told_count;
    int asks_own;           /* OWN: the participant's answer is waited for */
};
void initiators_start(void);
void initiator_answer(struct happening *packet);
void initiator_own_result(struct happening *packet);
void initiators_close(void);
bool initiators_are_done(void);
void operator_start(void);
void operator_tidy(struct happening *happening);
/* A request to the coordinator. */
void request_send(int node, int job, uint64_t id, int method, const ProtobufCMessage *message);
void request_arrive(struct happening *packet);
const char *gid_of(int job);
int job_of(const char *gid);

/* -- checker.c ----------------------------------------------------------------------------------------------------- */

struct branch_seen {
    int tries, confirms, cancels;
    bool empty_cancel, is_durable, is_settled, tried_done;
};
struct gid_seen {
    uint64_t number;       /* durable; 0: none */
    int state;             /* durable; 0: none */
    bool is_resolved;
    uint64_t branches;     /* durable, in the state */
    int shown;             /* the decision that somebody has seen: 0, TXN_CONFIRMING, TXN_CANCELLING */
    int floor;             /* the highest rank that a client has received */
    struct branch_seen branch[BRANCHES_SIM + 1];
};
void check_commit(const struct store_op *ops, size_t count);
void check_restored(const struct coordinator *c);
void check_call_sent(const Tercet__V1__Call *call);
void check_answer_sent(int method, int job, const Tercet__V1__Transaction *answer);
void check_tried_sent(int job, const Tercet__V1__TryResponse *answer);
void check_answer_received(int floor, int job, int state);
void check_effect(int service, int job, uint32_t branch, char op);
void check_rest(void);
int rank_of(int state);

/* -- mutants.c ----------------------------------------------------------------------------------------------------- */

#define MUTANT_MAP(X)                                                                                             \
    X(NONE, "none")                                                                                               \
    X(EARLY_EFFECTS, "early-effects")                                                                             \
    X(EARLY_ANSWERS, "early-answers")                                                                             \
    X(LAZY_DECISION, "lazy-decision")                                                                             \
    X(PERSIST_LAST, "persist-last")                                                                               \
    X(FAILED_COMMIT_GOES_ON, "failed-commit-goes-on")                                                             \
    X(RESTART_FORGETS, "restart-forgets")                                                                         \
    X(RESTART_TURNS, "restart-turns")                                                                             \
    X(HIGH_MARK, "high-mark")                                                                                     \
    X(NO_EMPTY_CANCEL, "no-empty-cancel")                                                                         \
    X(NO_MARK_CHECK, "no-mark-check")                                                                             \
    X(NO_ROW_ON_TRY, "no-row-on-try")                                                                             \
    X(WRONG_CALL, "wrong-call")                                                                                   \
    X(LOST_RETRY, "lost-retry")                                                                                   \
    X(LAZY_SHOWN, "lazy-shown")                                                                                   \
    X(LOST_MARK, "lost-mark")                                                                                     \
    X(LOST_BRANCH, "lost-branch")                                                                                 \
    X(NO_DEADLINE, "no-deadline")                                                                                 \
    X(CONFIRM_DOES_NOT_WAIT, "confirm-does-not-wait")                                                             \
    X(LOST_REPLY, "lost-reply")                                                                                   \
    X(WALL_RETENTION, "wall-retention")
enum mutant {
#define MUTANT_ENUM(name, text) MUTANT_##name,
    MUTANT_MAP(MUTANT_ENUM)
#undef MUTANT_ENUM
    MUTANTS
};
const char *mutant_name(int mutant);
void mutate_restored(struct coordinator *c);

/* -- Everything ---------------------------------------------------------------------------------------------------- */

struct world {
    uint64_t seed;
    uint64_t random[4];
    int64_t now_us;
    uint64_t order;
    struct happening **heap;
    size_t heap_count, heap_capacity;
    struct happening *captured[96]; /* to be replayed when all is over */
    size_t captured_count;
    int64_t cut_until_us[NODES][NODES];
    int service_count, job_count;
    bool is_calm;       /* faults have stopped */
    bool has_failed;    /* a violation was found */
    bool is_traced;
    enum mutant mutant;
    struct faults faults;
    struct coordinator_actor coordinator;
    struct participant_actor participants[SERVICES];
    struct crpc_call *calls;           /* open at the coordinator */
    struct target_call_open *targets;  /* calls of registered participants under way */
    struct crpc_call *sessions[INITIATORS]; /* references */
    struct job jobs[JOBS_MAX];
    struct gid_seen seen[JOBS_MAX];
    struct totals_of_runs *totals;
    uint64_t last_id;
};
extern struct world *sim;

/* One run. */
void world_run(uint64_t seed, bool is_traced, enum mutant mutant, struct totals_of_runs *totals);

#endif
