/* SPDX-License-Identifier: Apache-2.0
 *
 * What the console's files share: the console itself, one request, and how it is answered.
 */
#ifndef CONSOLE_PARTS_H
#define CONSOLE_PARTS_H

#include "console.h"

#include <crpc/crpc.h>
#include <microhttpd.h>
#include <protobuf-c/protobuf-c.h>
#include <pthread.h>
#include <stdatomic.h>

#define CONNECTIONS_MAX 64          /* in all, each with a thread */
#define CONNECTIONS_PER_PEER_MAX 32 /* of one address; a browser makes six */
#define CONNECTION_BYTES_MAX 32768  /* of a request's line and headers, and buffers */
#define BODY_BYTES_MAX 65536
#define THREAD_STACK_BYTES (256u * 1024)
/* From a connection's begin, or the end of its last answer, to the end of the next request; and as
 * long again for the answer. Whoever is slower is cut, however often he sends a byte. */
#define REQUEST_MS_MAX 15000
#define LISTENERS_MAX 16
#define URL_SIZE 96
#define LINK_SECRET_SIZE 65
#define NAMES_SIZE 1024 /* of a certificate, together */

/* -- Connections (door.c) ---------------------------------------------------------------------- */

/* One that was accepted; its thread is microhttpd's. */
struct visitor {
    int fd; /* -1: the place is free */
    int64_t until_ms;
};

struct door {
    int listeners[LISTENERS_MAX];
    size_t listener_count;
    int wake, spare; /* the spare is given up to refuse who waits when no descriptor is left */
    char address[64];
    atomic_ullong accepted, refused, cut; /* connections */
    pthread_t thread;
    bool is_running;
    /* Over the daemon, and held while it is handed a connection, so that nobody stops it meanwhile.
     * Taken before the lock: microhttpd calls back. */
    pthread_mutex_t handing;
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;                                       /* over what follows */
    struct visitor visitors[CONNECTIONS_MAX + CONNECTIONS_MAX]; /* old ones may still be ending */
};

/* Binds; 0 or TERCET_ADDRESS with `text`. */
int door_listen(struct door *door, const char *address, char *text);
/* Hands what comes to the daemon from here on. */
int door_open(struct door *door, struct MHD_Daemon *daemon);
/* Another daemon takes what comes from now on. The one before is the caller's to stop. */
struct MHD_Daemon *door_replace(struct door *door, struct MHD_Daemon *daemon);
/* Takes nobody in any more. Twice is fine. */
void door_close(struct door *door);
/* microhttpd's callback. */
void door_note_connection(void *door, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code);
/* The connection has REQUEST_MS_MAX more. */
void door_give_time(struct door *door, struct MHD_Connection *connection);

/* -- The console ------------------------------------------------------------------------------- */

struct session; /* session.h */
struct sessions;

struct console {
    struct tercet_coordinator *coordinator;
    bool has_access, are_metrics_open, has_tls;
    tercet_log_fn on_log;
    void (*add_metrics)(tercet_metric_fn each, void *ctx);
    struct door door;
    char url[URL_SIZE];
    struct crpc_loop *loop;
    struct crpc_channel *channel;
    struct sessions *sessions;
    /* With TLS: clients are asked for a certificate, whose names count as on the gRPC ports. */
    bool asks_certificates;
    char secret[LINK_SECRET_SIZE]; /* by which the coordinator believes which names they have */
};

/* -- One request ------------------------------------------------------------------------------- */

struct request {
    struct console *console;
    struct MHD_Connection *connection;
    const char *method, *path;
    char *body; /* with a NUL at its end; NULL: none */
    size_t body_size;
    bool is_too_large; /* what came after BODY_BYTES_MAX was dropped */
};

/* A header of the request, or NULL. */
const char *request_header(const struct request *request, const char *name);
/* The token of "Authorization: Bearer TOKEN", or NULL. */
const char *request_bearer(const struct request *request);
/* Who is signed in, by the request's cookie; false: nobody. */
bool request_session(const struct request *request, struct session *out);

/* -- Answers (reply.c) ------------------------------------------------------------------------- */

/* All have the headers that keep a browser from doing more with an answer than is meant. */
enum MHD_Result reply_text(const struct request *request, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* `data` is copied, or lives as long as the program. */
enum MHD_Result reply_copy(const struct request *request, unsigned status, const char *type,
                           const void *data, size_t size);
enum MHD_Result reply_static(const struct request *request, const char *type, const void *data,
                             size_t size);
/* For one more header: to be queued with reply_send, which takes it over. NULL without memory. */
struct MHD_Response *reply_new(const char *type, const void *data, size_t size);
enum MHD_Result reply_send(const struct request *request, unsigned status,
                           struct MHD_Response *response);

/* -- Certificates (certificate.c) ----------------------------------------------------------------
 */

/* The names of the certificate that the client has shown, verified against the CA, with spaces
 * between: DNS names, "uri:..." and "email:...". "": none was shown, or it is not one to trust. */
void certificate_names(char out[NAMES_SIZE], const struct request *request);

/* -- Asking the coordinator (link.c) ----------------------------------------------------------- */

/* Who asks, as the coordinator is told. */
struct link_caller {
    const char *token;      /* NULL: none */
    char names[NAMES_SIZE]; /* certificate_names; "": none */
    const char *says;       /* who acts, for the audit log; NULL: not said */
};

/* One call of a service. 0 with the reply, which is the caller's, or a
 * status code of gRPC with `text` (CRPC_STATUS_TEXT_MAX + 1 bytes). Blocks some seconds at most. */
int link_call(ProtobufCMessage **reply, struct console *console,
              const ProtobufCServiceDescriptor *service, const char *method,
              const ProtobufCMessage *request, const struct link_caller *caller, char *text);
/* Whether it can be said in a header: one word of printable ASCII, of some 500 bytes at most. What
 * is none opens nothing: link_call says CRPC_UNAUTHENTICATED. */
bool link_is_token(const char *text);
/* The HTTP status that says the same as one of gRPC. */
unsigned link_http_status(int code);

/* -- What is there (metrics_page.c, api.c)
 * ------------------------------------------------------------ */

enum MHD_Result serve_metrics(const struct request *request);
enum MHD_Result serve_health(const struct request *request); /* is it alive */
enum MHD_Result serve_ready(const struct request *request);  /* does it take new work */

enum MHD_Result serve_api(const struct request *request);

/* Handles a whole request. */
enum MHD_Result route(const struct request *request);

#endif
