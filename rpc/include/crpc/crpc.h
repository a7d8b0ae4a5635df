/* SPDX-License-Identifier: Apache-2.0
 *
 * crpc: gRPC for C, driven by the descriptors that protoc-c generates. It stands alone: it knows
 * nothing of transactions, and no type of the gRPC library shows here.
 *
 * Read this first:
 *  - A loop owns the threads that poll. Callbacks run on them, so a callback must not block; what
 *    blocks goes to a thread of the caller's own. Different calls may have callbacks at the same
 *    time; the callbacks of one call never overlap.
 *  - Every function may be called from any thread, inside callbacks too, unless its comment says
 *    otherwise. The blocking ones (crpc_unary, crpc_stream_*, crpc_server_stop, *_free) must not
 *    be called from a callback: they would wait for the thread they run on. This is asserted.
 *  - int results are 0 or a negative CRPC_E code. Output parameters come first and are untouched
 *    on failure. What goes in is copied unless the comment says otherwise. free(NULL) is fine.
 *  - Options structs begin with their own size (sizeof), zero means default, fields are only
 *    appended. A NULL options pointer means all defaults.
 *  - gRPC must not be used across fork(): fork before the first crpc_loop_new, or fork and exec.
 *    In a child whose parent had a loop, a call that would need its threads fails at once with
 *    CRPC_EFORKED; *_free and crpc_server_stop do nothing, since all is the parent's.
 */
#ifndef CRPC_CRPC_H
#define CRPC_CRPC_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- Errors and status ------------------------------------------------------------------------- */

/* What a crpc function itself can answer. One list: codes, names and texts (crpc_strerror). */
#define CRPC_ERROR_MAP(X)                                                                          \
    X(CRPC_EINVAL, -1, "an argument is invalid")                                                   \
    X(CRPC_ENOMEM, -2, "out of memory")                                                            \
    X(CRPC_EBUSY, -3, "one send (or one read) of this call is under way already")                  \
    X(CRPC_ECLOSED, -4, "the call, channel, server or loop has ended")                             \
    X(CRPC_EADDRESS, -5, "the address is malformed, in use or not permitted")                      \
    X(CRPC_ETLS, -6, "the certificates or keys cannot be used")                                    \
    X(CRPC_ETOOBIG, -7, "the message is larger than the limit")                                    \
    X(CRPC_EDECODE, -8,                                                                            \
      "the bytes are not a message of this type, or need more memory than given")                  \
    X(CRPC_EMISMATCH, -9, "a handler does not fit its method's declaration in the .proto")         \
    X(CRPC_EEXISTS, -10, "this service has been added already")                                    \
    X(CRPC_ESTATUS, -11, "the call ended with a status other than OK: look at the status")         \
    X(CRPC_END, -12, "the stream has no more messages")                                            \
    X(CRPC_EINTERNAL, -13, "an internal failure of the gRPC library")                              \
    X(CRPC_EFORKED, -14,                                                                           \
      "the process was forked after its RPC threads began: fork before, or fork and exec")

enum crpc_error {
#define CRPC_ERROR_ENUM(name, value, text) name = value,
    CRPC_ERROR_MAP(CRPC_ERROR_ENUM)
#undef CRPC_ERROR_ENUM
};

/* A constant text for a result code; "unknown error" for one that is none. */
const char *crpc_strerror(int error);

/* The version of the gRPC core that the process runs with, such as "29.0.0" (which is in gRPC
 * 1.51). */
const char *crpc_core_version(void);

/* gRPC status codes, https://grpc.io/docs/guides/status-codes/. */
#define CRPC_CODE_MAP(X)                                                                           \
    X(CRPC_OK, 0, "OK")                                                                            \
    X(CRPC_CANCELLED, 1, "CANCELLED")                                                              \
    X(CRPC_UNKNOWN, 2, "UNKNOWN")                                                                  \
    X(CRPC_INVALID_ARGUMENT, 3, "INVALID_ARGUMENT")                                                \
    X(CRPC_DEADLINE_EXCEEDED, 4, "DEADLINE_EXCEEDED")                                              \
    X(CRPC_NOT_FOUND, 5, "NOT_FOUND")                                                              \
    X(CRPC_ALREADY_EXISTS, 6, "ALREADY_EXISTS")                                                    \
    X(CRPC_PERMISSION_DENIED, 7, "PERMISSION_DENIED")                                              \
    X(CRPC_RESOURCE_EXHAUSTED, 8, "RESOURCE_EXHAUSTED")                                            \
    X(CRPC_FAILED_PRECONDITION, 9, "FAILED_PRECONDITION")                                          \
    X(CRPC_ABORTED, 10, "ABORTED")                                                                 \
    X(CRPC_OUT_OF_RANGE, 11, "OUT_OF_RANGE")                                                       \
    X(CRPC_UNIMPLEMENTED, 12, "UNIMPLEMENTED")                                                     \
    X(CRPC_INTERNAL, 13, "INTERNAL")                                                               \
    X(CRPC_UNAVAILABLE, 14, "UNAVAILABLE")                                                         \
    X(CRPC_DATA_LOSS, 15, "DATA_LOSS")                                                             \
    X(CRPC_UNAUTHENTICATED, 16, "UNAUTHENTICATED")

enum crpc_code {
#define CRPC_CODE_ENUM(name, value, text) name = value,
    CRPC_CODE_MAP(CRPC_CODE_ENUM)
#undef CRPC_CODE_ENUM
};

/* The name of a status code, such as "NOT_FOUND"; "UNKNOWN" for a number that is none. */
const char *crpc_code_name(int code);

/* A view of bytes owned by somebody else. */
struct crpc_bytes {
    const void *data;
    size_t size;
};

/* How a call ended. `message` is never NULL; `details` are the bytes of grpc-status-details-bin,
 * often a google.rpc.Status. Views: the giver's comment says how long they live. */
struct crpc_status {
    enum crpc_code code;
    const char *message;
    struct crpc_bytes details;
};

/* Longest status text that a peer is sent, bytes; longer ones are cut at a character. Metadata is
 * 8 KiB in all by default (LIMITS of gRPC core), and the text counts. */
#define CRPC_STATUS_TEXT_MAX 1024

/* One metadata entry. Keys are lower case `[0-9a-z_.-]`; a key that ends in "-bin" carries any
 * bytes, all others printable ASCII. Keys that begin with "grpc-" or ":" are gRPC's own:
 * CRPC_EINVAL. */
struct crpc_metadata {
    const char *key;
    struct crpc_bytes value;
};

/* -- Loop -------------------------------------------------------------------------------------- */

struct crpc_loop;

/* One line of the gRPC library's log, rate-limited: at most 20 a second, the rest are counted. */
typedef void (*crpc_log_fn)(bool is_error, const char *text, void *ctx);

struct crpc_loop_options {
    size_t size;
    unsigned threads; /* pollers; default 1. On few cores one is fastest (measured) */
    /* default: errors go to standard error. Process-wide: the first loop's counts */
    crpc_log_fn on_log;
    void *log_ctx;
};

/* Starts the poller threads. */
int crpc_loop_new(struct crpc_loop **out, const struct crpc_loop_options *options);

/* Stops the pollers and frees the loop. Its servers and channels must have been freed before. */
void crpc_loop_free(struct crpc_loop *loop);

/* -- Messages ---------------------------------------------------------------------------------- */

/* Decodes `bytes` into a message allocated with at most `memory_max` bytes (0: 64 times the size of
 * the bytes, at least 64 KiB; past 4 MiB 16 times), so that hostile input cannot ask for more;
 * messages may lie in each other at most 64 deep, and strings must be UTF-8 without NUL. The
 * message is the caller's: crpc_message_free, which frees it with all that it points to; nothing in
 * it can be freed by itself or replaced by memory of another. Errors: CRPC_EDECODE, CRPC_ENOMEM. */
int crpc_message_decode(ProtobufCMessage **out, const ProtobufCMessageDescriptor *type,
                        struct crpc_bytes bytes, size_t memory_max);
void crpc_message_free(ProtobufCMessage *message);

/* A deep copy, the caller's: crpc_message_free. A request or reply that a callback is given lives
 * only until the callback returns; this is how to keep it. Errors: CRPC_ENOMEM; CRPC_EDECODE when
 * messages lie in each other so deep that protobuf-c cannot unpack them again. */
int crpc_message_copy(ProtobufCMessage **out, const ProtobufCMessage *message);

/* The bytes that a message has in memory which one of the two above has made. */
size_t crpc_message_memory(const ProtobufCMessage *message);

/* Whether the bytes are what a protobuf string may hold: UTF-8 (RFC 3629: no overlong forms, no
 * surrogates), and no NUL, which would end a C string early. */
bool crpc_is_text(const void *data, size_t size);

/* At least as many bytes as the message has packed: a buffer of this size can be packed into. Some
 * ten bytes a field too large (15 an element where numbers are repeated). Takes a fraction of the
 * time of protobuf_c_message_get_packed_size, because it looks at lengths only. */
size_t crpc_message_size_max(const ProtobufCMessage *message);

/* -- Calls: both sides ------------------------------------------------------------------------- */

/* One RPC, on the server's side or the client's. Reference-counted. */
struct crpc_call;

/* Callbacks of one call. Any may be NULL. Each is given the ctx set with them. */
struct crpc_call_events {
    /* Client: the server's initial metadata is here (crpc_call_metadata shows it). */
    void (*on_headers)(struct crpc_call *call, void *ctx);
    /* A message asked for with crpc_call_read has arrived. `message` lives until this returns. */
    void (*on_message)(struct crpc_call *call, struct crpc_bytes message, void *ctx);
    /* The peer sends no more messages: the answer to a crpc_call_read past the last one. On the
     * server: the client has half-closed, and has not just broken off (on_end alone tells that).
     * On the client: also when the call failed; on_end says how it ended. */
    void (*on_half_closed)(struct crpc_call *call, void *ctx);
    /* The message given to crpc_call_send is taken by the transport (flow control allowed it): the
     * next may be sent. `ok` is false when it was not, because the call ends; on_end follows. */
    void (*on_sent)(struct crpc_call *call, bool ok, void *ctx);
    /* The last callback, exactly once for every call. Client: the status received (or
     * made here: DEADLINE_EXCEEDED, CANCELLED, UNAVAILABLE). Server: OK when the status was sent
     * and the peer had not cancelled, else CANCELLED; it does not say that the client has read it.
     * A client's status lies behind the messages: it comes when they have been read (or cancel). */
    void (*on_end)(struct crpc_call *call, const struct crpc_status *status, void *ctx);
};

/* One more, one less reference. A call that a callback is given is alive until the callback
 * returns; who keeps it longer takes a reference. Letting go does not cancel a client's call: its
 * callbacks come all the same. A call may be kept longer than its server, channel and loop. */
void crpc_call_ref(struct crpc_call *call);
void crpc_call_unref(struct crpc_call *call);

/* Asks for the next message: on_message or on_half_closed answers. Nothing is read ahead of this
 * but the transport's window, so not asking is what holds a fast writer back. Errors: CRPC_EBUSY
 * when one is asked for already, CRPC_ECLOSED. */
int crpc_call_read(struct crpc_call *call);

/* Sends one message of a stream. One may be under way: CRPC_EBUSY until on_sent, which is the flow
 * control that bounds the writer's memory. Errors: CRPC_ETOOBIG (2 GiB), CRPC_ECLOSED; CRPC_EINVAL
 * when the message is not of the method's type, or on a server whose method sends no stream. */
int crpc_call_send(struct crpc_call *call, const ProtobufCMessage *message);
int crpc_call_send_bytes(struct crpc_call *call, struct crpc_bytes message);

/* As crpc_call_send_bytes, but takes over `data`, `size` bytes from malloc, and frees it with
 * free() when it has been sent: no copy is made. On an error the data stays the caller's. */
int crpc_call_send_owned(struct crpc_call *call, void *data, size_t size);

/* Ends the call at once: the other side sees CANCELLED (a server that cancels may name a status
 * with crpc_call_finish instead). on_end follows. Fine on a call that has ended. */
void crpc_call_cancel(struct crpc_call *call);

/* The i-th received metadata entry (initial metadata; on the client after on_headers), false past
 * the last. Views live as long as the call. */
bool crpc_call_metadata(struct crpc_call *call, size_t i, struct crpc_metadata *out);
/* The first value of a key, as a view that lives as long as the call; false when there is none. */
bool crpc_call_metadata_get(struct crpc_call *call, const char *key, struct crpc_bytes *out);
/* Client, in on_end and later: trailing metadata. */
bool crpc_call_trailer_get(struct crpc_call *call, const char *key, struct crpc_bytes *out);

/* Time left to the call's deadline in ms, 0 when it has passed, INT64_MAX without one. */
int64_t crpc_call_time_left_ms(const struct crpc_call *call);

/* The peer's address, such as "ipv4:127.0.0.1:53412" or "unix:"; lives as long as the call. On a
 * client
 * "" before on_headers. */
const char *crpc_call_peer(struct crpc_call *call);

/* The peer's identities under mutual TLS, in this order: each DNS name among the subject
 * alternative names of its certificate as it is ("shop.example"), then each URI as "uri:..." and
 * each e-mail address as "email:...". A name that is not what its type says (one with a NUL or a
 * space in it, a DNS name with a colon) is left out, and the common name never counts. NULL past
 * the last, and when the peer has proved none. Lives as long as the call. On a client: the
 * server's, after on_headers. */
const char *crpc_call_identity_at(struct crpc_call *call, size_t i);

/* The first of them: crpc_call_identity_at(call, 0). */
const char *crpc_call_identity(struct crpc_call *call);

/* Whether one of them is exactly this. */
bool crpc_call_has_identity(struct crpc_call *call, const char *identity);

/* The method's full name, such as "/tercet.v1.Coordinator/Run"; lives as long as the call. */
const char *crpc_call_method(const struct crpc_call *call);

/* -- TLS --------------------------------------------------------------------------------------- */

/* PEM texts (not file names; crpc_file_read reads one). Server: cert and key are needed; with `ca`
 * every client must show a certificate signed by it (mutual TLS). Client: `ca` NULL means the
 * system's roots; cert and key together are the client's own. */
struct crpc_tls {
    size_t size;
    const char *ca;
    const char *cert;
    const char *key;
    const char *server_name; /* client: name to verify instead of the target's */
};

/* Reads a small text file (at most 1 MiB) whole, NUL-terminated; the caller frees it with free().
 * Errors: CRPC_EINVAL with errno set. */
int crpc_file_read(char **out, const char *path);

/* -- Server ------------------------------------------------------------------------------------ */

struct crpc_server;

/* protoc-c drops the `stream` words of a method; a handler says them again, and
 * crpc_server_add_service checks them against the descriptor set. */
enum crpc_kind {
    CRPC_UNARY = 0,
    CRPC_SERVER_STREAMING = 1,
    CRPC_CLIENT_STREAMING = 2,
    CRPC_BIDIRECTIONAL = 3,
};

/* How one method is served. For CRPC_UNARY and CRPC_SERVER_STREAMING, on_request is called with the
 * decoded request, which lives until it returns. For the two others, on_open is called when the
 * call arrives. Either may finish the call at once or keep a reference and finish it later from any
 * thread; a stream sets its events with crpc_call_events_set there. A call whose last reference
 * goes before it is finished ends with INTERNAL; a request that cannot be decoded with
 * INVALID_ARGUMENT, without the handler. */
struct crpc_handler {
    const char *method; /* its name in the .proto, such as "Run" */
    enum crpc_kind kind;
    void (*on_request)(struct crpc_call *call, const ProtobufCMessage *request, void *ctx);
    void (*on_open)(struct crpc_call *call, void *ctx);
};

/* Decides whether a call may go on, before its handler and before health and reflection, too; runs
 * on a poller thread. Returns true, or false with *why filled (static or call-lived text;
 * PERMISSION_DENIED when it is left alone). Methods that nobody serves are asked about as well. */
typedef bool (*crpc_authorize_fn)(struct crpc_call *call, struct crpc_status *why, void *ctx);

/* One line about connections that were refused or cut, and why: each kind at most once in ten
 * seconds, with how many. On a thread that accepts connections, so be quick. */
typedef void (*crpc_notice_fn)(const char *text, void *ctx);

struct crpc_server_options {
    size_t size;
    /* received, bytes; default 1 MiB, checked before the message is allocated */
    size_t message_size_max;
    /* received, bytes a call; default 16 KiB. A call with more is refused; four times as much ends
     * its connection */
    size_t metadata_size_max;
    unsigned concurrent_streams_max; /* calls at once a connection; default 128 */
    uint32_t keepalive_ms;           /* ping an idle connection; default 30 s; UINT32_MAX: never */
    uint32_t keepalive_timeout_ms;   /* and drop it without an answer; default 10 s */
    /* Only where gRPC accepts by itself, with a core that the library does not know: clients that
     * ping more often are dropped; default 5 s. Else pings are counted with what is good for
     * nothing (below) */
    uint32_t ping_interval_min_ms;
    /* bytes a slow reader may leave unread a stream; default gRPC's own */
    size_t stream_window_size;
    crpc_authorize_fn authorize; /* default: everybody */
    void *authorize_ctx;
    bool without_reflection;
    bool without_health;
    /* Connections. A limit of UINT32_MAX is none. What is over a limit is closed as soon as it is
     * accepted, and counted (crpc_server_connection_counts). Each connection takes two file
     * descriptors; 32 are left to the rest of the process.
     * A connection that costs much and is good for nothing is cut: headers without an end, frames
     * that belong to no call, calls given up within a blink by the thousand. Its address may make
     * few connections then, for ten seconds. Unix sockets know the first limit only. */
    uint32_t connections_max;          /* in all; default: as many as there are descriptors */
    uint32_t connections_per_peer_max; /* at once, an address (IPv6: a /64); default 1024 */
    /* new ones a second, an address; a burst may be as large as connections_per_peer_max; default
     * 500 */
    uint32_t connection_rate_per_peer;
    uint32_t handshake_ms;     /* from the connection to its first HTTP/2 frame; default 10 s */
    uint32_t first_request_ms; /* without a first call it is cut then; default 60 s */
    uint32_t idle_ms;          /* without calls it is ended gently then; default 5 min */
    uint32_t age_max_ms;       /* ended gently so long after its begin; default never */
    uint32_t age_grace_ms;     /* calls still open have so long to end then; default 30 s */
    crpc_notice_fn on_notice;  /* default: nobody is told */
    void *notice_ctx;
    /* calls open at once, an address (IPv6: a /64), of 12 KiB each; one more is refused
     * with RESOURCE_EXHAUSTED. Default 4096 */
    uint32_t calls_per_peer_max;
};

int crpc_server_new(struct crpc_server **out, struct crpc_loop *loop,
                    const struct crpc_server_options *options);

/* Embeds a FileDescriptorSet (protoc-c --descriptor_set_out --include_imports) for reflection and
 * for the checks of crpc_server_add_service, so before the services it describes. The bytes must
 * outlive the server. May be called several times; before start. Errors: CRPC_EDECODE. */
int crpc_server_add_descriptors(struct crpc_server *server, struct crpc_bytes set);

/* Adds a service; methods without a handler answer UNIMPLEMENTED. `handlers` must outlive the
 * server; before start. Errors: CRPC_EMISMATCH when a handler names no method of the service, has
 * the wrong callback for its kind, or its kind is not the one in the embedded descriptor set;
 * CRPC_EEXISTS. */
int crpc_server_add_service(struct crpc_server *server, const ProtobufCServiceDescriptor *service,
                            const struct crpc_handler *handlers, size_t handler_count, void *ctx);

/* Listens at "host:port", "dns:...", "ipv4:...", "[::1]:port" or "unix:/path"; before start,
 * several times for several addresses. Port 0 picks one: *port_out (may be NULL) has it, 0 for a
 * unix socket. `tls` NULL: plaintext. A host name is bound at all its addresses on this machine, or
 * at none ("localhost": 127.0.0.1 and ::1, where there is IPv6): crpc_server_address tells which.
 * 0.0.0.0 is every IPv4 address, [::] every address of both kinds. A unix path is guarded by a lock
 * file beside it, so that no second server steals it, and a stale socket is removed. The socket's
 * mode follows the umask: set that, or a directory, to keep other users out. At most 16 calls a
 * server. Errors: CRPC_EADDRESS, CRPC_ETLS. */
int crpc_server_listen(struct crpc_server *server, const char *address, const struct crpc_tls *tls,
                       int *port_out);

/* New certificate, key and CA for all TLS addresses of the server: handshakes that begin from now
 * on use them, connections that are there stay. A CA cannot come or go. Any thread. Errors:
 * CRPC_ETLS (they cannot be used; the old ones stay), CRPC_EINVAL (there is no TLS address, the CA
 * has come or gone, or gRPC's own listeners are in use), CRPC_ENOMEM. */
int crpc_server_set_tls(struct crpc_server *server, const struct crpc_tls *tls);

/* The i-th address that the server listens at, such as "127.0.0.1:7420", "[::1]:7420" or
 * "unix:/path"; NULL past the last. Lives as long as the server. */
const char *crpc_server_address(const struct crpc_server *server, size_t i);

/* Connections of a server since its start; all but `open` only grow. */
struct crpc_connection_counts {
    size_t size;
    uint64_t open;
    uint64_t refused_descriptors; /* for want of file descriptors or memory */
    uint64_t refused_max, refused_peer_max, refused_peer_rate; /* by the limits of these names */
    uint64_t cut_silent;                                       /* no call within first_request_ms */
    uint64_t cut_waste;                                        /* bytes that belong to no call */
    uint64_t cut_resets;                                       /* calls given up at once */
    uint64_t cut_streams; /* far more calls open than concurrent_streams_max */
};

/* Fills *out as far as out->size says. All 0 with a version of gRPC that accepts by itself
 * (rpc/README.md). Errors: CRPC_EINVAL. */
int crpc_server_connection_counts(struct crpc_server *server, struct crpc_connection_counts *out);

/* Errors: CRPC_EINVAL when it listens nowhere or was started before. */
int crpc_server_start(struct crpc_server *server);

/* Health as grpc.health.v1 tells it. `service` "" is the whole server. Everything added serves from
 * start on; stopping sets NOT_SERVING first and ends the calls that watch. Errors: CRPC_EINVAL
 * without health, CRPC_ECLOSED when stopping. */
int crpc_server_health_set(struct crpc_server *server, const char *service, bool is_serving);

/* Refuses new calls with UNAVAILABLE, lets those under way finish for `grace_ms`, then cancels the
 * rest, and waits until every callback has returned. A call that finishes in time is read to its
 * end by a client that goes on reading. 0: cancels at once. Blocks. May be called twice. */
void crpc_server_stop(struct crpc_server *server, uint32_t grace_ms);

/* Stops at once if that was not done, and frees. */
void crpc_server_free(struct crpc_server *server);

/* Sets the callbacks of a call; in its handler, before anything is read or sent. */
void crpc_call_events_set(struct crpc_call *call, const struct crpc_call_events *events, void *ctx);

/* Adds initial (before the first message) or trailing (before the end) metadata to what the server
 * sends. Errors: CRPC_EINVAL, CRPC_ECLOSED. */
int crpc_call_add_metadata(struct crpc_call *call, const struct crpc_metadata *entry);
int crpc_call_add_trailer(struct crpc_call *call, const struct crpc_metadata *entry);

/* Ends a unary (or client-streaming) call with OK and this reply. Errors: CRPC_ECLOSED when it has
 * ended, by cancellation too; CRPC_EINVAL, CRPC_ETOOBIG. */
int crpc_call_reply(struct crpc_call *call, const ProtobufCMessage *reply);
int crpc_call_reply_bytes(struct crpc_call *call, struct crpc_bytes reply);

/* Ends any call with a status. A send that is under way is finished first. The second finish of a
 * call is CRPC_ECLOSED. */
int crpc_call_finish(struct crpc_call *call, const struct crpc_status *status);

/* crpc_call_finish with a code and a printf text. */
int crpc_call_fail(struct crpc_call *call, enum crpc_code code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* -- Client ------------------------------------------------------------------------------------ */

struct crpc_channel;

struct crpc_channel_options {
    size_t size;
    const struct crpc_tls *tls; /* NULL: plaintext */
    /* received, bytes, compressed or not; default 4 MiB */
    size_t message_size_max;
    /* ping while calls are open and nothing comes; UINT32_MAX: never. Default 330 s: servers of any
     * language permit a ping in five minutes and drop who pings more often, unless they are set up
     * otherwise. A server of this library permits hundreds a second */
    uint32_t keepalive_ms;
    uint32_t keepalive_timeout_ms; /* no answer to a ping for so long: lost; default 10 s */
    uint32_t reconnect_ms;         /* longest pause between connection attempts; default 250 ms */
    size_t stream_window_size;     /* default gRPC's own */
    bool own_connection;           /* do not share the connection with equal channels */
    /* connect as http_proxy, https_proxy, grpc_proxy and no_proxy of the environment say. By
     * default they are not obeyed: what is called is the target itself, not what a variable names
     */
    bool use_proxy;
    bool compresses; /* what is sent is compressed with gzip */
};

/* A channel connects when it is first used, and again by itself. `target`: "dns:///host:port",
 * "host:port", "ipv4:1.2.3.4:5", "unix:/path". */
int crpc_channel_new(struct crpc_channel **out, struct crpc_loop *loop, const char *target,
                     const struct crpc_channel_options *options);

/* Cancels the calls under way, waits for their on_end, and frees. Blocks. */
void crpc_channel_free(struct crpc_channel *channel);

struct crpc_call_options {
    size_t size;
    int64_t timeout_ms; /* 0: no deadline */
    /* wait for a connection (to the deadline) instead of failing with UNAVAILABLE */
    bool wait_for_ready;
    const struct crpc_metadata *metadata;
    size_t metadata_count;
};

/* The end of a blocking call: owns its text and details. crpc_result_clear frees them; fine on a
 * zeroed one. */
struct crpc_result {
    enum crpc_code code;
    char *message; /* never NULL after a call has ended */
    void *details;
    size_t details_size;
};
void crpc_result_clear(struct crpc_result *result);

/* A unary call, blocking. *reply is the caller's: crpc_message_free. Returns 0, or CRPC_ESTATUS
 * with *result (may be NULL) saying how it ended (what was in it is not freed), or another error
 * when the call could not be made. */
int crpc_unary(ProtobufCMessage **reply, struct crpc_channel *channel,
               const ProtobufCServiceDescriptor *service, const char *method,
               const ProtobufCMessage *request, const struct crpc_call_options *options,
               struct crpc_result *result);

/* Called once: `reply` is NULL unless status->code is CRPC_OK. Both live until it returns. */
typedef void (*crpc_unary_fn)(const ProtobufCMessage *reply, const struct crpc_status *status,
                              void *ctx);

/* A unary call with a callback. *out (may be NULL) is a reference to cancel it by. When this fails,
 * the callback is not called. */
int crpc_unary_start(struct crpc_call **out, struct crpc_channel *channel,
                     const ProtobufCServiceDescriptor *service, const char *method,
                     const ProtobufCMessage *request, const struct crpc_call_options *options,
                     crpc_unary_fn done, void *ctx);

/* Opens a call of any kind with callbacks. The caller owns the reference in *out. */
int crpc_call_open(struct crpc_call **out, struct crpc_channel *channel,
                   const ProtobufCServiceDescriptor *service, const char *method,
                   const struct crpc_call_options *options, const struct crpc_call_events *events,
                   void *ctx);

/* Client: no more messages will be sent. Waits for a send under way by itself. */
int crpc_call_half_close(struct crpc_call *call);

/* A stream of any kind, blocking: for programs with a thread to spare. One thread may read while
 * another writes. */
struct crpc_stream;
int crpc_stream_open(struct crpc_stream **out, struct crpc_channel *channel,
                     const ProtobufCServiceDescriptor *service, const char *method,
                     const struct crpc_call_options *options);
/* Waits until the transport has taken the message. CRPC_ECLOSED when the call has ended:
 * crpc_stream_finish says how. */
int crpc_stream_write(struct crpc_stream *stream, const ProtobufCMessage *message);
int crpc_stream_half_close(struct crpc_stream *stream);
/* Waits for the next message, which is the caller's. CRPC_END when there are no more, also because
 * the call failed: crpc_stream_finish tells. CRPC_EDECODE for a message that is none; the stream
 * goes on. */
int crpc_stream_read(ProtobufCMessage **out, struct crpc_stream *stream);
/* Half-closes if that was not done, waits for the end (messages left are read and dropped), fills
 * *result and returns as crpc_unary does, and frees the stream. */
int crpc_stream_finish(struct crpc_stream *stream, struct crpc_result *result);
/* Cancels; safe from another thread while one waits in read or write. */
void crpc_stream_cancel(struct crpc_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
