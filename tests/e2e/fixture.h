/* SPDX-License-Identifier: Apache-2.0
 *
 * What the suites share: a world with a real tercetd, a client and a raw channel; parties, which
 * are participants with hooks that count and obey; and waits, all of them bounded.
 */
#ifndef TERCET_E2E_FIXTURE_H
#define TERCET_E2E_FIXTURE_H

#include "daemon.h"

#include <criterion/criterion.h>
#include <crpc/crpc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <tercet/tercet.h>
#include <tercet/v1/tercet.pb-c.h>

#define WAIT_MS 100000
#define FOR_EVER 1000000

/* Waits until the condition holds, which something in this process makes hold and then says so;
 * fails the test when that does not happen in time. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        int64_t wait_until_ms = process_now_ms() + WAIT_MS;                                        \
        for (unsigned seen = happenings(); !(condition); seen = happenings())                      \
            cr_assert(happening_wait(seen, wait_until_ms), "never: %s", #condition);               \
    } while (0)
/* Says that something has happened: a hook has begun or ended, a callback has come. Any thread. */
void happened(void);
unsigned happenings(void);
/* Waits until more than `seen` have happened. False: not by then. */
bool happening_wait(unsigned seen, int64_t until_ms);

/* The same for what has to be asked of another process, again and again. */
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        int64_t wait_until_ms = process_now_ms() + WAIT_MS;                                        \
        while (!(condition)) {                                                                     \
            cr_assert(process_now_ms() < wait_until_ms, "never: %s", #condition);                  \
            pause_shortly();                                                                       \
        }                                                                                          \
    } while (0)
void pause_shortly(void);

/* What a callback was told, and how often; on_told is the callback, its ctx one of these. */
struct told {
    atomic_int count;
    struct tercet_result result;
};
void on_told(const struct tercet_result *result, void *ctx);

/* -- The world --------------------------------------------------------------------------------- */

struct world {
    struct daemon daemon;
    struct tercet_client *client;
    struct crpc_loop *loop;
    struct crpc_channel *channel;
};
extern struct world world;

/* Starts tercetd with quick retries and these further options (NULL at the end; may be NULL), and
 * opens client and channel. */
void world_open(const char *const *options);
void world_close(void);
void world_restart(void);
/* Stops it and starts it with a crash point: "name:N:MS" stops one thread for so long before it
 * dies. Skips the test when crash points are not built in. */
void world_arm(const char *failpoint);
/* Waits until that thread is there. */
void world_await_failpoint(const char *name);

/* One unary call. *reply (may be NULL) is the caller's. */
enum crpc_code world_call(const ProtobufCServiceDescriptor *service, const char *method,
                          const ProtobufCMessage *request, ProtobufCMessage **reply);
/* The same for methods of Coordinator that answer with a Transaction; NULL unless OK. Freed with
 * crpc_message_free. */
Tercet__V1__Transaction *world_ask(const char *method, const ProtobufCMessage *request,
                                   enum crpc_code *code);

/* The transaction with all its branches; NULL when it is not known. */
Tercet__V1__Transaction *world_show(const char *gid);
Tercet__V1__Statistics world_statistics(void);
/* What the coordinator knows of a service: 0 calls and so on when nothing. Its strings are not
 * kept. */
Tercet__V1__ParticipantStatus world_participant(const char *service);

/* As tercet_get tells it; 0 when the transaction is not known (any more). */
enum tercet_state world_state(const char *gid);
/* Waits until it is decided (for a state "-ing") or resolved, which must be this state, and answers
 * it in full. */
struct tercet_result world_wait_state(const char *gid, enum tercet_state state);
bool world_is_parked(const char *gid);

/* -- Parties ----------------------------------------------------------------------------------- */

/* A participant of service `name` with the actions "do", "other", "big" and, without hooks,
 * "nothing". "do" replies "re:" and the payload, "big" the largest reply. */
struct party {
    const char *name;
    struct tercet_barrier *barrier;
    struct tercet_participant *participant; /* NULL: away */
    atomic_int entered[4];                  /* hooks that began, by kind */
    atomic_int done[4];                     /* and that said "done" */
    atomic_int again[4];                    /* so many more say "ask me again" */
    atomic_int attempt[4];                  /* the last call's */
    _Atomic uint64_t source;                /* the last call's */
    atomic_bool refuses;                    /* tries are refused with "sold out" */
    atomic_bool is_held;                    /* hooks wait in here until party_release */
    bool is_guest;                          /* the barrier is another's */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char payload[64], metadata[128], gid[TERCET_GID_MAX + 1];
};

/* With a memory barrier, which stays while the party is away; attached, and waited for. */
void party_open(struct party *party, const char *name);
void party_init(struct party *party, const char *name); /* it is away */
void party_come(struct party *party);
/* A second instance of the same service, on the same database. Closed before the first. */
void party_join(struct party *party, const struct party *first);
/* The same at a port of its own, registered. */
void party_listen(struct party *party);
void party_leave(struct party *party);
void party_close(struct party *party);
void party_release(struct party *party);

/* The hook of own calls: counts as a party's. */
int party_own_hook(struct tercet_barrier_call *call, tercet_db db, void *party);

/* Most tests' two. */
extern struct party stock, money;

/* Opens the world with these options, and both parties, or one; closes all. */
void open_all(const char *const *options);
void open_stock(const char *const *options);
void close_all(void);
void kill_and_restart(void);

/* -- Puppets ----------------------------------------------------------------------------------- */

/* An attached instance that does only what the test does: action "do". */
struct puppet {
    struct crpc_stream *stream;
};

void puppet_attach(struct puppet *puppet, const char *service, uint32_t window);
/* The same with whatever the hello says; its actions are set here. */
void puppet_hello(struct puppet *puppet, Tercet__V1__Hello *hello);
/* The next call, of which there must be one; crpc_message_free. */
Tercet__V1__AttachResponse *puppet_calls(struct puppet *puppet);
void puppet_answer(struct puppet *puppet, uint64_t call_id, Tercet__V1__Outcome outcome);
/* Goes without a word, as a process that is killed does. */
void puppet_die(struct puppet *puppet);

/* -- Plans ------------------------------------------------------------------------------------- */

/* "name/do" with the payload "data". The action is kept until the test ends. */
struct tercet_branch branch_of(const char *name);
struct tercet_begin_options options_of(const char *gid, uint32_t deadline_ms);

/* Runs one branch for each name (NULL at the end), with this gid (NULL: any). */
int run_at(const char *gid, enum tercet_wait wait, struct tercet_result *result,
           const char *const *names);
#define RUN(gid, wait, result, ...)                                                                \
    run_at(gid, wait, result, (const char *const[]){__VA_ARGS__, NULL})

#endif
