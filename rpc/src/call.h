/* SPDX-License-Identifier: Apache-2.0
 *
 * One RPC, either side. How its parts may be touched:
 *
 *  - Everything of a call completes on one poller (loop.h), so callbacks and *_done functions
 *    never overlap.
 *  - Fields under `lock` are read and written with it held. gRPC wants the sends of a call one
 *    after the other, and its receives as well: is_sending and is_reading see to that, so batches
 *    are started without the lock.
 *  - Before a batch is started tag_count goes up, and down when its tag is in. is_over says that
 *    no batch may be started any more; when it is set and tag_count is 0 the call has ended.
 *  - Two counts: `users` is what crpc_call_ref and crpc_call_unref move; a server call whose last
 *    user goes unfinished ends with INTERNAL. `refs` counts those and the library's own until
 *    on_end has returned; it frees.
 */
#ifndef CRPC_CALL_H
#define CRPC_CALL_H

#include "identity.h"
#include "loop.h"
#include "metadata.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

struct connection;
struct method_entry;

struct crpc_call {
    atomic_uint refs, users;
    struct crpc_server *server; /* exactly one of these two until the call has ended */
    struct crpc_channel *channel;
    struct connection *connection; /* server, until the end; NULL when it is not known */
    int64_t began_ms;
    size_t message_size_max; /* of one received, also once it is inflated */
    size_t headers_size;     /* server: of those received */
    bool was_admitted, has_read;
    bool is_one_too_many;          /* server: its address has too many open */
    bool is_late;                  /* server: it came when the server was stopping */
    struct crpc_call *next, *prev; /* the channel's list, under its lock */
    bool is_server;
    bool is_handler_ref_held; /* poller only: the reference that a handler is called with */
    /* messages are sent one by one; else a server's reply goes with the status */
    bool is_stream;
    const struct method_entry *method; /* server, until the end; NULL for an unknown one */
    const ProtobufCMessageDescriptor *send_type, *receive_type;
    gpr_timespec deadline;
    struct crpc_call_events events;
    void *ctx;
    struct tag read_tag, send_tag, close_tag, end_tag, headers_tag;

    pthread_mutex_t lock;
    grpc_call *core; /* NULL after the end; batches in flight keep it alive */
    unsigned tag_count;
    bool is_over;
    bool is_sending;
    bool is_reading;
    bool is_read_out;     /* the last message has been read */
    bool is_closing;      /* server: a status was given; client: half-close was asked for */
    bool is_headers_sent; /* server */
    bool is_headers_in;   /* client; always true on the server */
    char *peer;
    struct identities identities;

    struct metadata_out headers_out, trailers_out;
    struct metadata_in headers_in, trailers_in;
    grpc_metadata_array headers_array, trailers_array; /* client: what gRPC writes into */
    grpc_byte_buffer *incoming;                        /* what RECV_MESSAGE writes into */
    /* poller only: the message being delivered; a unary call's reply, until on_end */
    grpc_slice message;
    bool has_message;
    int is_cancelled;    /* what RECV_CLOSE_ON_SERVER writes into */
    bool is_status_sent; /* server, poller only */
    /* sent by the server, received by the client */
    grpc_status_code code;
    grpc_slice text; /* the same */
    /* server: a last message to go with the status */
    grpc_slice reply;
    bool has_reply;
    char *text_in; /* client: NUL-terminated */
    /* server: takes the one request of a unary call */
    void (*on_request_read)(struct crpc_call *call);
    char path[];
};

/* A call of one reference and no user. `path` is copied. NULL without memory. */
struct crpc_call *call_new(const char *path, size_t path_size);

/* Frees a call that was never started. */
void call_discard(struct crpc_call *call);

/* Counts one more tag; call->lock held. */
void call_tag_expect(struct crpc_call *call);
/* Starts a batch whose tag was counted. */
void call_batch(struct crpc_call *call, const grpc_op *ops, size_t count, struct tag *tag);
/* The last thing that a tag's done function does: one tag less, and the end if it was the last. */
void call_tag_done(struct crpc_call *call);
/* No more batches from here on. */
void call_over(struct crpc_call *call);

/* A user reference for the handler to be called with; dropped by the second, if it is held. */
void call_handler_ref(struct crpc_call *call);
void call_handler_unref(struct crpc_call *call);

/* Wires the tags of call_read.c and call_send.c. */
void call_read_init(struct crpc_call *call);
void call_send_init(struct crpc_call *call);

/* Reserves the send side; sends an encoded message then, taking over the slice. */
int call_send_reserve(struct crpc_call *call);
void call_send_slice(struct crpc_call *call, grpc_slice slice);

/* Server: puts SEND_INITIAL_METADATA into ops[0] if it has not been sent. Returns how many ops that
 * made. */
size_t call_headers_op(struct crpc_call *call, grpc_op *ops);

/* Sends the status or the half-close; its tag was counted. */
void call_close_start(struct crpc_call *call);

/* Turns a received buffer into call->message, and destroys the buffer in any case. Errors, all of
 * compressed ones: CRPC_ETOOBIG, CRPC_EDECODE, CRPC_ENOMEM. */
int call_message_take(struct crpc_call *call, grpc_byte_buffer *buffer);
/* Moves the message being delivered out of the call; the caller unrefs it. */
grpc_slice call_message_steal(struct crpc_call *call);
void call_message_clear(struct crpc_call *call);
struct crpc_bytes slice_bytes(const grpc_slice *slice);

/* Finds out peer and identity while they can be asked for; call->lock held. */
void call_peer_load(struct crpc_call *call);

/* The status of a call that has ended; views into the call. */
void call_status(struct crpc_call *call, struct crpc_status *out);

/* The encoded size of a message. Errors: CRPC_EINVAL when it is not of this type, CRPC_ETOOBIG. */
int message_measure(size_t *size_out, const ProtobufCMessage *message,
                    const ProtobufCMessageDescriptor *type);
/* Encodes it into memory of gRPC's, which is sent without a copy. */
grpc_slice message_encode(const ProtobufCMessage *message, size_t size);
/* A copy of encoded bytes. Errors: CRPC_EINVAL, CRPC_ETOOBIG. */
int message_copy(grpc_slice *out, struct crpc_bytes bytes);

/* The owners are told when a call of theirs has ended, its last callback included. */
void server_call_gone(struct crpc_server *server, bool is_late);
/* Tells the connection of a server call what the call was worth; once, at the end. */
void server_call_account(struct crpc_call *call);
void channel_call_gone(struct crpc_channel *channel, struct crpc_call *call);

#endif
