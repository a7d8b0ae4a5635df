/* SPDX-License-Identifier: Apache-2.0
 *
 * What client and participant share: waiting, pauses between attempts, options, the log, the way
 * to the coordinator.
 */
#ifndef TERCET_RUNTIME_H
#define TERCET_RUNTIME_H

#include <clock.h>
#include <crpc/crpc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <tercet/types.h>

/* -- Waiting ----------------------------------------------------------------------------------- */

/* A point in time that never comes. */
#define RUNTIME_NEVER INT64_MAX

/* A condition for runtime_wait_until. */
void runtime_condition_init(pthread_cond_t *condition);

/* Waits for the condition, at most until then; may return early. */
void runtime_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t until_ms);

/* -- Pauses ------------------------------------------------------------------------------------ */

/* Doubling pauses with jitter, so that many clients do not come back at the same moment. */
struct runtime_pause {
    uint32_t first_ms, longest_ms;
    uint32_t next_ms; /* 0: first_ms */
    uint32_t seed;
};

/* The next pause: between half and all of what doubling gives. */
uint32_t runtime_pause_next(struct runtime_pause *pause);
void runtime_pause_reset(struct runtime_pause *pause);

/* -- Options, texts, log ----------------------------------------------------------------------- */

/* Copies an options struct that may be of an older or newer version, with fewer or more fields;
 * NULL means all zero. Errors: TERCET_INVALID when its size is not set. */
int runtime_options_take(void *out, size_t out_size, const void *given);

/* Writes a text of at most TERCET_TEXT_MAX bytes, cut at a character. `text` may be NULL. */
void runtime_text(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct runtime_log {
    tercet_log_fn on_log; /* NULL: nobody listens */
    void *ctx;
};
void runtime_log(const struct runtime_log *log, enum tercet_log_level level, const char *format,
                 ...) __attribute__((format(printf, 3, 4)));

/* -- Processes and hooks ----------------------------------------------------------------------- */

/* State that client and participant must share. It is in a library that both link, so the names are
 * public ones. */

/* Counts forks: a number other than that at the opening means that this is a child process, in
 * which neither the threads nor gRPC work. */
unsigned tercet_runtime_fork_count(void);

/* The service whose hook this thread is in; NULL: none. */
const char *tercet_runtime_hook_service(void);
void tercet_runtime_hook_enter(const char *service);
void tercet_runtime_hook_leave(void);

/* -- The way to the coordinator ---------------------------------------------------------------- */

struct runtime_credentials {
    const char *token;
    const char *tls_ca, *tls_cert, *tls_key;
    bool listens; /* others call us by the same loop */
};

struct runtime_link {
    struct crpc_loop *loop;
    struct crpc_channel *channel;
    char *authorization; /* "Bearer ...", NULL without a token */
    unsigned fork_count; /* when it was opened */
};

/* Whether this is a child of the process that opened the link. */
bool runtime_link_is_forked(const struct runtime_link *link);

/* Makes loop and channel; connecting goes on in the background. Errors as tercet_client_open. */
int runtime_link_open(struct runtime_link *out, const char *coordinator,
                      const struct runtime_credentials *credentials, char *text);

/* Closing in two steps, because a server may use the loop, too: cancels the calls under way and
 * waits for their on_end; then frees the loop. */
void runtime_link_disconnect(struct runtime_link *link);
void runtime_link_close(struct runtime_link *link);

/* Opens a stream to the coordinator, with its token. */
int runtime_link_stream(struct crpc_call **out, struct runtime_link *link,
                        const ProtobufCServiceDescriptor *service, const char *method,
                        const struct crpc_call_events *events, void *ctx);

/* A unary call to the coordinator, with its token. */
int runtime_link_unary(struct runtime_link *link, const ProtobufCServiceDescriptor *service,
                       const char *method, const ProtobufCMessage *request, int64_t timeout_ms,
                       crpc_unary_fn done, void *ctx);

/* A unary call that blocks. 0 with *reply the caller's (crpc_message_free), or a TERCET_ code with
 * what the coordinator said in `text`. */
int runtime_link_ask(ProtobufCMessage **reply, struct runtime_link *link,
                     const ProtobufCServiceDescriptor *service, const char *method,
                     const ProtobufCMessage *request, int64_t timeout_ms, char *text);

/* Whether a status says that trying again at once is useless: the credentials or the content were
 * refused. */
bool runtime_is_denial(enum crpc_code code);

#endif
