/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole Tercet in one thread under virtual time: the coordinator's own objects over the memory
 * store, the barrier over databases that survive crashes, initiators, an operator, and a network
 * that loses, repeats and reorders. One seed is one run.
 *
 *   world.c       the generator, the heap of what is to happen, the trace
 *   faults.c      what a seed makes go wrong, and when
 *   network.c     packets, and what the coordinator sends (../shared/crpc_fake.h)
 *   late_store.c  the store, when it answers later
 *   *_actor.c     who takes part
 *   checker.c     what was promised, looked at with every write, send, answer and effect
 */
#ifndef TERCET_SIM_H
#define TERCET_SIM_H

#include <crpc_fake.h>
#include <mutants.h>
#include <promise.h>
#include <stdbool.h>
#include <stdint.h>
#include <tercet/barrier.h>

#define SERVICES 4 /* at most */
#define INITIATORS 3
#define JOBS_MAX 12 /* transactions of one run */
#define BRANCHES_SIM PROMISE_BRANCHES
#define SECOND INT64_C(1000000) /* virtual time is in microseconds */

/* Who sends and is sent to. */
enum node {
    NODE_COORDINATOR,
    NODE_SERVICE,
    NODE_INITIATOR = NODE_SERVICE + SERVICES,
    NODE_OPERATOR = NODE_INITIATOR + INITIATORS,
    NODES
};

#define FAULT_MAP(X)                                                                               \
    X(LOST, "messages lost")                                                                       \
    X(DOUBLED, "messages doubled")                                                                 \
    X(SLOW, "messages held back")                                                                  \
    X(CUT, "messages cut off by a partition")                                                      \
    X(PARTITION, "partitions")                                                                     \
    X(STREAM_BROKEN, "streams broken")                                                             \
    X(CRASH, "coordinator crashes at any time")                                                    \
    X(CRASH_SEND, "crashes between two sends of a turn")                                           \
    X(CRASH_BEFORE_COMMIT, "crashes before a commit")                                              \
    X(CRASH_AFTER_COMMIT, "crashes after a commit")                                                \
    X(CRASH_RESTORED, "crashes during a restart")                                                  \
    X(COMMIT_LOST, "commits that failed, not applied")                                             \
    X(COMMIT_KEPT, "commits that failed, applied")                                                 \
    X(CLOCK, "jumps of the wall clock")                                                            \
    X(CLOCK_FAR, "jumps of the wall clock by years")                                               \
    X(CLOSE, "orderly stops of the coordinator")                                                   \
    X(LATE_FIND, "questions that the store answered later")                                        \
    X(FULL, "requests refused by a full store, or for too many transactions")                      \
    X(PAUSE, "pauses of the coordinator")                                                          \
    X(SKEW, "runs with clocks that are slow or fast")                                              \
    X(ZOMBIE, "coordinators replaced while they slept")                                            \
    X(FENCED, "commits of those that were replaced")                                               \
    X(SERVICE_CRASH, "participant crashes")                                                        \
    X(DATABASE_LOST, "participants' commits that failed, not applied")                             \
    X(DATABASE_KEPT, "participants' commits that failed, applied")                                 \
    X(AWAY, "participants away for long")                                                          \
    X(HALF_OPEN, "streams that only one side knows to be over")                                    \
    X(STATUS, "statuses in place of results")                                                      \
    X(REFUSED, "tries refused")                                                                    \
    X(AGAIN, "calls told to ask again")                                                            \
    X(BROKEN, "promises broken")                                                                   \
    X(ABANDONED, "initiators that went away")                                                      \
    X(OPERATOR, "operators' acts")                                                                 \
    X(REPLAYED, "messages replayed after the end")                                                 \
    X(OUTLIVED, "messages replayed after the retention time")                                      \
    X(POINT, "crashes at an enumerated action")
enum fault {
#define FAULT_ENUM(name, text) FAULT_##name,
    FAULT_MAP(FAULT_ENUM)
#undef FAULT_ENUM
        FAULTS
};

/* -- What is promised -------------------------------------------------------------------------- */

/* The names are those of the project's list. */
#define INVARIANT_MAP(X)                                                                           \
    X("S1", "all branches end the same way")                                                       \
    X("S2", "a decision that was seen stays")                                                      \
    X("S3", "confirm and cancel leave after the decision is durable")                              \
    X("S4", "confirmed is what was asked for and tried, cancelled what was asked for or late")     \
    X("S5", "no confirm without a try")                                                            \
    X("S6", "an effect happens at most once")                                                      \
    X("S7", "no try after a cancel, ever")                                                         \
    X("S8", "a branch is durable before its try is called")                                        \
    X("S9", "no branch joins after the decision")                                                  \
    X("S10", "nobody sees a step backwards")                                                       \
    X("S11", "what has ended is kept, does not begin again, and goes in the end")                  \
    X("S12", "what was acknowledged is in the store")                                              \
    X("S13", "one owner: no write under an epoch that is over")                                    \
    X("S15", "a store that is whole is not refused")                                               \
    X("L1", "everything ends within the bound")                                                    \
    X("L2", "nothing stays held")                                                                  \
    X("L4", "new work leaves room for what releases resources, which is never refused")            \
    X("counts", "what operators are told in sum and by the page is whole")                         \
    X("wait", "an answer comes when what was to be waited for is there")                           \
    X("harness", "the simulator itself")

/* What a run is told to be. */
struct run_plan {
    uint64_t seed;
    enum mutant mutant;
    enum { TRACE_NONE, TRACE_TAIL, TRACE_ALL } trace;
    bool has_late_store;  /* --late-finds */
    bool is_calm;         /* nothing goes wrong, */
    uint64_t crash_at[2]; /* but crashes at the n-th place of all where one may be; 0: none */
};

struct totals_of_runs {
    uint64_t runs, empty_runs, violations, events, begun, confirmed, cancelled, calls, restarts,
        points, faults[FAULTS];
    int64_t rest_us_most; /* the longest way to rest */
    struct run_plan first_failed;
    char first_failure[160];
};

/* -- world.c ----------------------------------------------------------------------------------- */

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
/* Its message becomes the field of another, whose field 1 is the id unless that is 0. */
void happening_wrap(struct happening *happening, unsigned field, uint64_t id);
ProtobufCMessage *happening_message(const struct happening *happening,
                                    const ProtobufCMessageDescriptor *type);

uint64_t random_next(void);
int64_t random_below(int64_t limit);
int64_t random_between(int64_t least, int64_t most);
bool chance(uint32_t per_10000);

void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));
void count_fault(enum fault fault);
bool crash_is_due(const char *where);
/* By the node's own clock. */
int64_t paced(int node, int64_t us);

/* -- faults.c ---------------------------------------------------------------------------------- */

/* Chances in 10,000, drawn from the seed; zero when faults have stopped. */
struct faults {
    uint32_t loss, doubling, slow, stream, half_open, capture;
    uint32_t crash_send, crash_before_commit, crash_after_commit, crash_restored, commit_lost,
        commit_kept, close;
    uint32_t clock, clock_far, pause, zombie, service_crash, database_lost, database_kept, refuse,
        again, broken, status, rogue;
    int64_t crash_every_us, partition_every_us, away_every_us, operator_every_us; /* 0: never */
    int64_t latency_us;
    int64_t skew;            /* percent that clocks may be fast by; slow by half of it */
    uint64_t store_size_max; /* 0: no limit */
    uint32_t open_max;
};
void faults_draw(void);
void faults_start(void);
void faults_stop(void);

/* -- network.c --------------------------------------------------------------------------------- */

/* A call that the coordinator serves. */
struct sim_call {
    struct crpc_call base;
    int node, job, method, floor; /* of a session: those of the answer that is sent */
    uint64_t id;
    uint32_t life; /* whose */
};
static inline struct sim_call *sim_call(const struct crpc_call *call)
{
    return (struct sim_call *)(uintptr_t)call;
}

/* Sends the packet, or drops it. Takes it over. */
void network_send(struct happening *packet, int from, int to);
bool network_is_cut(int from, int to);
/* Opens a call at the coordinator. */
struct sim_call *network_open(enum fake_kind kind, int node, int job, uint64_t id);
/* At the end of its turn a coordinator has asked for the next message of each stream. */
void network_check_read(uint32_t life);
/* The call is over, or its coordinator. */
bool network_is_over(const struct crpc_call *call);
/* The peer ends it. */
void network_break(struct crpc_call *call);
/* The coordinator's process is gone. */
void network_crash(uint32_t life);
/* Participants turn to another; its streams stay open. */
void network_leave(uint32_t life);
void network_target_answer(uint64_t id, const Tercet__V1__CallResult *result, int code);
/* A request that was taken and is not answered, and whose asker still waits. */
bool network_owes_answer(void);
/* How a Call has come to a participant (happening.method), and the way its result goes. */
enum route { ROUTE_ATTACH, ROUTE_TARGET, ROUTE_OWN };

/* -- late_store.c ------------------------------------------------------------------------------ */

/* sim->store, but that its answers to finds may come later. */
struct store *late_store(void);
/* Whoever has asked dies. */
void late_store_answer_all(uint32_t life);

/* -- coordinator_actor.c ----------------------------------------------------------------------- */

/* far longer than a run takes before it is outlived on purpose */
#define RETENTION_SIM_MS (3 * 60 * 1000)

struct coordinator_actor {
    struct coordinator *c; /* NULL: down */
    uint32_t life;         /* 0: none */
    int64_t boot_us;
    int64_t clock_percent; /* 100: its clocks run as time does */
    int64_t turn_us;       /* the next turn; INT64_MAX: none */
    int64_t paused_until_us;
    int sends_left; /* of this turn before it crashes; -1: does not */
    bool is_dead;   /* in the middle of a turn */
    bool is_committing;
};
void coordinator_open_store(void);
void coordinator_start(void);
void coordinator_crash(const char *why);
/* Whose life this is: the coordinator's or the zombie's; NULL: it is over. */
struct coordinator_actor *coordinator_of(uint32_t life);
/* Takes the event over; NULL: something has been posted otherwise. */
void coordinator_post(uint32_t life, struct event *event);
bool coordinator_may_send(void);
void coordinator_supersede(int64_t sleep_us);
void zombie_end(void);
void coordinator_close(void);
bool coordinator_is_idle(void);

/* -- participant_actor.c ----------------------------------------------------------------------- */

struct participant_actor {
    struct tercet_barrier *barrier;
    struct crpc_call *stream;
    struct happening *inbox[64];
    struct effect_staged {
        int job;
        uint32_t branch;
        char op;
    } staged[256];
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

/* -- initiator_actor.c, operator_actor.c ------------------------------------------------------- */

enum job_kind { JOB_RUN, JOB_TRY, JOB_OWN };
struct job {
    enum job_kind kind;
    int initiator;
    int branch_count;
    int services[BRANCHES_SIM + 1];
    /* how far: 0 begin, 1..n branches, then the decision, then asking until the end */
    int step;
    uint64_t request_id; /* the one that is waited for; 0: none */
    uint64_t number;     /* as the coordinator said */
    uint32_t deadline_ms;
    int attempts;
    bool keeps, is_ordered, uses_session, wants_cancel, is_over, is_rogue, begins_with_first;
    bool confirms_part; /* keeps, and confirms what is done when others refuse */
    int wait;           /* a tercet.v1.Wait */
    bool all_told;      /* every try was told as done */
    int told_count;
    int asks_own; /* OWN: the participant's answer is waited for */
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
struct crpc_bytes payload_of(int job, int branch);
int job_of(const char *gid);

/* -- checker.c --------------------------------------------------------------------------------- */

struct branch_seen {
    bool is_durable, is_settled;
    bool was_sent;  /* a try of it has left */
    bool is_told;   /* somebody has heard that its try is done */
    bool is_unsent; /* durable: none has, and none will before this is taken back */
};
struct gid_seen {
    uint64_t number; /* durable; 0: none */
    int state;       /* durable; 0: none */
    bool is_resolved;
    uint64_t branches; /* durable, in the state */
    int64_t asked_us;  /* when it was first asked for; its record may come much later */
    int listed_floor;  /* `floor` when the last list was asked for */
    struct promise promise;
    struct branch_seen branch[BRANCHES_SIM + 1];
};
void check_commit(const struct tercet_store_op *ops, size_t count);
void check_restored(const struct coordinator *c);
void check_counts(struct coordinator *c);
void check_call_sent(const Tercet__V1__Call *call);
void check_answer_sent(int method, int job, const Tercet__V1__Transaction *answer);
/* What an operator's list is of, a state of txn.h or one of these, is in the low bits of its id. */
#define LIST_ANY 0
#define LIST_RESOLVED 4
#define LIST_BITS 3
void check_list_asked(uint64_t id);
void check_left_out(uint64_t id, const Tercet__V1__ListResponse *list);
void check_tried_sent(int job, const Tercet__V1__TryResponse *answer);
void check_answer_received(int floor, int job, int state);
/* An operator's decision was answered with OK. */
void check_decided(int job, bool is_confirm, int state);
/* op: as promise_effect has it. */
void check_effect(int service, int job, uint32_t branch, char op);
void check_rest(void);
/* After the retention time nothing of what has ended is left in the store. */
void check_dropped(void);

/* -- Everything -------------------------------------------------------------------------------- */

struct world {
    struct run_plan plan;
    uint64_t points;             /* passed, where a crash may be put */
    int64_t pace_percent[NODES]; /* 0: 100 */
    uint64_t random[4];
    int64_t now_us;
    uint64_t order;
    struct happening **heap;
    size_t heap_count, heap_capacity;
    struct happening *captured[96]; /* to be replayed when all is over */
    size_t captured_count;
    int64_t cut_until_us[NODES][NODES];
    int service_count, job_count;
    bool is_calm;     /* faults have stopped */
    bool has_failed;  /* a violation was found */
    bool is_quiet;    /* long after the end */
    bool is_outlived; /* the retention time is over */
    struct faults faults;
    struct store *store;
    struct store late_store; /* the same with late answers */
    struct late_find *late_finds;
    uint64_t epoch; /* the highest that was acquired */
    struct coordinator_actor coordinator;
    struct coordinator_actor zombie;  /* one that has been replaced and does not know */
    struct coordinator_actor *acting; /* whose product code runs */
    uint32_t last_life;
    int64_t wall_base_ms;
    struct participant_actor participants[SERVICES];
    struct crpc_call *sessions[INITIATORS]; /* references */
    struct job jobs[JOBS_MAX];
    struct gid_seen seen[JOBS_MAX];
    struct totals_of_runs *totals;
    uint64_t last_id;
    uint64_t last_list; /* the id of the last list that was asked for */
};
extern struct world *sim;

/* One run. Returns how many places it passed where a crash may be put. */
uint64_t world_run(const struct run_plan *plan, struct totals_of_runs *totals);
void world_print_replay(const struct run_plan *plan);
void world_print_tail(void);

#endif
