/* SPDX-License-Identifier: Apache-2.0
 *
 * The door of a server: a thread accepts connections, counts them by where they come from, has them
 * handed to gRPC, and goes on watching what each costs.
 *
 * gRPC owns the socket that it is given; we keep a duplicate. When gRPC is through with a
 * connection it shuts the socket down, which the duplicate sees; shutting it down ourselves is how
 * a connection is cut. So each takes two descriptors.
 */
#ifndef CRPC_GATE_H
#define CRPC_GATE_H

#include "core_version.h"
#include "origin.h"

#include <crpc/crpc.h>
#include <pthread.h>
#include <stdatomic.h>

#define CONNECTION_BUCKETS 4096
#define HANDOVERS_MAX 256
#define HAND_THREADS_MAX 16
#define GATE_RESETS_BURST 5000 /* as RESETS_RATE_MS counts: a thousand calls */
#define GATE_UNREAD_BURST (64 * 1024 * 1024)

struct gate_options {
    uint32_t connections_max; /* 0: as many as there are descriptors */
    uint32_t per_peer_max, per_peer_rate;
    uint32_t first_request_ms; /* UINT32_MAX: never */
    uint32_t streams_max;      /* calls at once that a connection was told it may have */
    uint32_t calls_per_peer_max;
    size_t unread_max; /* bytes that open calls may have unread; a guess when 0 */
    crpc_notice_fn on_notice;
    void *notice_ctx;
};

/* An accepted connection. The gate holds a reference while the socket is open, each call another.
 */
struct connection {
    struct connection *next; /* in its bucket */
    struct connection *newer, *older;
    struct connection *next_active;
    struct origin *origin;
    struct peer peer;
    atomic_uint refs;
    int fd; /* our duplicate of gRPC's descriptor; -1 when it is closed */
    bool is_active, is_waiting;
    bool is_distrusted; /* another of its address was cut just before it came */
    bool is_in_hand;    /* under the hand's lock */
    int64_t opened_ms, checked_ms;
    int64_t read, spent, debt; /* bytes, as of checked_ms */
    unsigned over_checks;      /* in a row that found the debt over the limit, and gRPC reading */
    int64_t reset_tokens, unread_tokens;
    /* what calls tell of it */
    atomic_bool has_called, was_admitted; /* made a call; made one that was permitted */
    atomic_uint open_calls, admitted_calls;
    atomic_llong earned; /* bytes that were of use */
    atomic_uint resets;  /* calls given up at once, since the last check */
    /* bytes that may still be on their way for calls that ended before all of them were read */
    atomic_llong unread;
};

enum gate_reason {
    REFUSED_DESCRIPTORS,
    REFUSED_MAX,
    REFUSED_PEER_MAX,
    REFUSED_PEER_RATE,
    CUT_SILENT,
    CUT_WASTE,
    CUT_RESETS,
    CUT_STREAMS,
    GATE_REASONS
};

struct gate_listener {
    int fd;
    const struct adopter *adopter;
};

/* An accepted socket on its way to gRPC. */
struct handover {
    const struct gate_listener *listener;
    struct connection *connection; /* a reference */
    int fd;
};

struct gate_hand {
    pthread_mutex_t lock; /* guards all of this struct, and is_in_hand of connections */
    pthread_cond_t changed;
    struct handover queue[HANDOVERS_MAX]; /* a ring */
    size_t first, count;
    pthread_t threads[HAND_THREADS_MAX];
    unsigned thread_count, idle_count;
    bool is_over;
};

struct gate {
    struct gate_options options;
    struct gate_hand hand;
    struct gate_listener listeners[ADOPTERS_MAX * 4];
    size_t listener_count;
    int epoll, wake, spare; /* the spare descriptor is given up to refuse the next connection when
                               there is no other left */
    bool is_running, are_listeners_paused, must_pause;
    pthread_t thread;
    struct connection
        *active; /* connections that have received something since they were checked last */
    struct connection *newest, *oldest;
    int64_t next_check_ms, next_sweep_ms;

    pthread_mutex_t lock; /* guards what follows, and the buckets' chains */
    struct connection *buckets[CONNECTION_BUCKETS];
    struct origins origins;
    size_t connection_count;
    uint64_t counts[GATE_REASONS];
    int64_t next_notice_ms[GATE_REASONS];
    uint64_t untold[GATE_REASONS];
    struct peer noted[GATE_REASONS]; /* the last one */
};

int gate_new(struct gate **out, const struct gate_options *options);
/* The gate owns the socket from here on. Before start. */
int gate_add_listener(struct gate *gate, int fd, const struct adopter *adopter);
int gate_start(struct gate *gate);
/* Closes the listeners and lets the connections go their way; may be called twice. */
void gate_stop(struct gate *gate);
void gate_free(struct gate *gate);

void gate_counts(struct gate *gate, struct crpc_connection_counts *out);

/* The connection that a call came by, from its peer's text, on which it is counted as open from now
 * on; a reference, or NULL. */
struct connection *gate_call_began(struct gate *gate, const char *peer);
/* Whether the connection's address has more calls open than it may have. NULL: no. */
bool gate_has_too_many_calls(const struct gate *gate, const struct connection *connection);
void connection_unref(struct connection *connection);

/* How a call went. */
struct call_account {
    size_t headers_size;
    bool was_admitted; /* its caller was permitted to make it */
    bool was_reset;    /* its client gave it up at once */
    /* not all that the client sends for it was read (a message over the limit, say), and what is on
     * its way may come after the call's end */
    bool is_unread;
};

void connection_call_admitted(struct connection *connection);
void connection_call_ended(struct connection *connection, const struct call_account *account);
void connection_earned(struct connection *connection, size_t size);
/* What comes with a message besides its bytes, whichever way it goes: frames, TLS records, and the
 * window that is opened again, bit by bit. */
size_t connection_frames_size(size_t message_size);

/* -- Between the gate's files ------------------------------------------------------------------ */

int64_t gate_now_ms(void);
/* Counts, and tells of it at most once in ten seconds; lock held. */
void gate_note(struct gate *gate, enum gate_reason reason, const struct peer *peer);
/* Accepts what waits there. */
void gate_accept(struct gate *gate, const struct gate_listener *listener);
/* Adds a connection and watches it; NULL without memory. Takes over the descriptor on success. */
struct connection *gate_add(struct gate *gate, const struct peer *peer, struct origin *origin,
                            int fd);
bool gate_hand_start(struct gate *gate);
/* Whether nothing more can be handed over now. */
bool gate_hand_is_full(struct gate *gate);
/* Gives a connection to gRPC, soon; takes the descriptor over. */
void gate_hand_over(struct gate *gate, const struct gate_listener *listener,
                    struct connection *connection, int fd);
void gate_hand_stop(struct gate *gate);
/* It has made a call: it is not cut for its silence any more. */
void gate_wait_no_more(struct gate *gate, struct connection *connection);
/* The socket is gone. */
void gate_remove(struct gate *gate, struct connection *connection);
/* Looks at those that had something to read, and at those that never called. */
void gate_check(struct gate *gate);
/* Milliseconds until gate_check is due; -1: never. */
int gate_wait_ms(const struct gate *gate);

#endif
