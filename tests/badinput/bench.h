/* SPDX-License-Identifier: Apache-2.0
 *
 * What the suites share: a tercetd with a client, two transactions that must survive whatever a
 * test does, requests by hand, and raw bytes in place of requests.
 */
#ifndef TERCET_TEST_BENCH_H
#define TERCET_TEST_BENCH_H

#include "daemon.h"

#include <crpc/crpc.h>
#include <stdint.h>
#include <tercet/v1/tercet.pb-c.h>

#define COORDINATOR (&tercet__v1__coordinator__descriptor)
#define PARTICIPANTS (&tercet__v1__participants__descriptor)
#define ADMIN (&tercet__v1__admin__descriptor)
#define WAIT_MS 80000

struct bench {
    struct daemon daemon;
    struct crpc_loop *loop;
    struct crpc_channel *channel;
    const char *token; /* sent with every call; NULL: none */
};

/* A suite whose tests have the bench `bench`. */
extern struct bench bench;
#define BENCH_SUITE(name) TestSuite(name, .fini = bench_clear, .timeout = 120)

/* A test that begins with bench_open and ends with bench_close. Criterion does not count what fails
 * in a suite's fini, so the last checks are made here. */
#define BENCH_TEST(suite, name)                                                                    \
    static void suite##_##name(void);                                                              \
    Test(suite, name)                                                                              \
    {                                                                                              \
        bench_open(&bench, NULL);                                                                  \
        suite##_##name();                                                                          \
        bench_close(&bench);                                                                       \
    }                                                                                              \
    static void suite##_##name(void)

/* Starts it all: tercetd with these options (NULL: none), a channel, and the two transactions
 * "kept-open" and "kept-over". */
void bench_open(struct bench *b, const char *const *options);

/* The two are as they were, a new transaction can be made and ended; then the same after SIGKILL
 * and a restart; then SIGTERM ends with 0, and all is freed. */
void bench_close(struct bench *b);

/* What a test that failed has left behind. */
void bench_clear(void);

/* The daemon alone: makes its directory; starts it with these further options (NULL: none); ends it
 * and answers with its exit status, or 128 and the signal; waits until it ends by itself. */
void bench_prepare(void);
void bench_launch(const char *const *options);
int bench_end(int signal);
int bench_wait(void);

/* Runs tercetd until it ends, with just these options, or on the daemon's store with these further
 * ones; `text` gets what it prints. The exit status. */
int bench_run(char text[DAEMON_TEXT_MAX], const char *const *options);
int bench_try(char text[DAEMON_TEXT_MAX], const char *const *options);

/* A file of the daemon's directory. */
void bench_write_file(const char *name, const char *content);

/* Parts of bench_open and bench_close. */
void bench_start(struct bench *b, const char *const *options); /* without transactions */
/* to a daemon that was started anew */
void bench_connect(struct bench *b);
void bench_make_kept(struct bench *b);
void bench_check_kept(struct bench *b);
void bench_check_serving(struct bench *b);
void bench_stop(struct bench *b);

/* -- Requests ---------------------------------------------------------------------------------- */

/* A unary call. The reply is the caller's (crpc_message_free), NULL unless OK; *result (may be
 * NULL) is to be cleared. */
ProtobufCMessage *ask(struct bench *b, const ProtobufCServiceDescriptor *service,
                      const char *method, const ProtobufCMessage *request,
                      struct crpc_result *result);

/* Whether the call fails with this code and a text that contains `words`; prints what came
 * instead. */
bool fails(struct bench *b, const ProtobufCServiceDescriptor *service, const char *method,
           const ProtobufCMessage *request, enum crpc_code code, const char *words);

/* Whether the call of the Coordinator is OK with a transaction in this state. */
bool is_in(struct bench *b, const char *method, const ProtobufCMessage *request,
           Tercet__V1__State state);

Tercet__V1__BeginRequest begin_of(const char *gid);
Tercet__V1__GetRequest get_of(const char *gid);
Tercet__V1__ConfirmRequest confirm_of(const char *gid);
Tercet__V1__CancelRequest cancel_of(const char *gid, const char *reason);
/* the payload is zeros, shared */
Tercet__V1__Branch branch_of(uint32_t number, const char *action, size_t payload_size);
Tercet__V1__EnlistRequest enlist_of(const char *gid, Tercet__V1__Branch *branch);
Tercet__V1__TryRequest try_of(const char *gid, Tercet__V1__Branch *branch);

/* Begin with default options; TRYING. */
bool begins(struct bench *b, const char *gid);

/* -- Raw bytes --------------------------------------------------------------------------------- */

/* Sends bytes as the one request of a unary call, or as the first message of a stream, and waits
 * for the end of the call. The status' text goes into `text` (may be NULL), at most 256 bytes. */
enum crpc_code send_raw(struct bench *b, const ProtobufCServiceDescriptor *service,
                        const char *method, struct crpc_bytes bytes, char text[256]);

/* -- A participant ----------------------------------------------------------------------------- */

struct participant;

/* Attaches a service "stock" with the actions "reserve" and "hold": a try of "hold" gets no answer,
 * everything else is done. */
struct participant *participant_open(struct bench *b);
void participant_close(struct participant *participant);

#endif
