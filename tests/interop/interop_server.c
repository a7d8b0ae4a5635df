/* SPDX-License-Identifier: Apache-2.0
 *
 * The Echo server of crpc_interop.js (see interop.proto) on crpc. Prints "ready HOST:PORT" and
 * serves until standard input ends.
 *
 *   interop_server [CERT KEY [CA]]
 */
#include <crpc/crpc.h>
#include <interop.pb-c.h>
#include <interop_descriptors.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many "hold" calls have ended, and the one who waits to hear of it. */
static struct {
    pthread_mutex_t lock;
    int64_t ended;
    int64_t wanted;
    struct crpc_call *waiter;
} held = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void finish(struct crpc_call *call, enum crpc_code code, const char *text)
{
    struct crpc_status status = {.code = code, .message = text};
    crpc_call_finish(call, &status);
}

/* -- Unary ------------------------------------------------------------------------------------- */

static void reply_number(struct crpc_call *call, int64_t number)
{
    Interop__V1__Note reply = INTEROP__V1__NOTE__INIT;
    reply.number = number;
    crpc_call_reply(call, &reply.base);
}

static void reply_who(struct crpc_call *call)
{
    char nobody[] = "nobody";
    const char *identity = crpc_call_identity(call);
    Interop__V1__Note reply = INTEROP__V1__NOTE__INIT;
    reply.text = identity != NULL ? (char *)identity : nobody;
    crpc_call_reply(call, &reply.base);
}

static void reply_fail(struct crpc_call *call)
{
    struct crpc_status status = {
        CRPC_FAILED_PRECONDITION, "nicht m\xc3\xb6glich: 100 %", {"\0\1\2\xff", 4}};
    crpc_call_finish(call, &status);
}

static void reply_meta(struct crpc_call *call, const Interop__V1__Note *request)
{
    static const char *const keys[] = {"x-text", "x-raw-bin"};
    for (size_t i = 0; i < 2; i++) {
        struct crpc_metadata entry = {.key = keys[i]};
        if (!crpc_call_metadata_get(call, keys[i], &entry.value))
            continue;
        crpc_call_add_metadata(call, &entry);
        crpc_call_add_trailer(call, &entry);
    }
    crpc_call_reply(call, &request->base);
}

static void answer_waiter(void)
{
    if (held.waiter == NULL || held.ended < held.wanted)
        return;
    reply_number(held.waiter, held.ended);
    crpc_call_unref(held.waiter);
    held.waiter = NULL;
}

static void on_hold_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    (void)status;
    (void)ctx;
    pthread_mutex_lock(&held.lock);
    held.ended++;
    answer_waiter();
    pthread_mutex_unlock(&held.lock);
    crpc_call_unref(call);
}

static void hold(struct crpc_call *call)
{
    static const struct crpc_call_events events = {.on_end = on_hold_end};
    crpc_call_ref(call);
    crpc_call_events_set(call, &events, NULL);
}

static void wait_for_held(struct crpc_call *call, int64_t wanted)
{
    pthread_mutex_lock(&held.lock);
    crpc_call_unref(held.waiter);
    crpc_call_ref(call);
    held.waiter = call;
    held.wanted = wanted;
    answer_waiter();
    pthread_mutex_unlock(&held.lock);
}

static void on_unary(struct crpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Interop__V1__Note *request = (const Interop__V1__Note *)message;
    (void)ctx;
    if (strcmp(request->text, "fail") == 0)
        reply_fail(call);
    else if (strcmp(request->text, "meta") == 0)
        reply_meta(call, request);
    else if (strcmp(request->text, "hold") == 0)
        hold(call);
    else if (strcmp(request->text, "held") == 0)
        wait_for_held(call, request->number);
    else if (strcmp(request->text, "left") == 0)
        reply_number(call, crpc_call_time_left_ms(call));
    else if (strcmp(request->text, "who") == 0)
        reply_who(call);
    else
        crpc_call_reply(call, message);
}

/* -- Streams ----------------------------------------------------------------------------------- */

struct stream {
    int64_t next, last; /* Down */
    bool fails;
    int64_t count, total; /* Up */
};

static void on_stream_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    (void)status;
    free(ctx);
    crpc_call_unref(call);
}

static struct stream *stream_new(struct crpc_call *call, const struct crpc_call_events *events)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        abort();
    crpc_call_ref(call);
    crpc_call_events_set(call, events, stream);
    return stream;
}

static void send_down(struct crpc_call *call, struct stream *stream)
{
    Interop__V1__Note note = INTEROP__V1__NOTE__INIT;
    note.number = stream->next++;
    if (note.number <= stream->last)
        crpc_call_send(call, &note.base);
    else if (stream->fails)
        finish(call, CRPC_ABORTED, "as asked");
    else
        finish(call, CRPC_OK, "");
}

static void on_down_sent(struct crpc_call *call, bool ok, void *ctx)
{
    if (ok)
        send_down(call, ctx);
}

static void on_down(struct crpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    static const struct crpc_call_events events = {.on_sent = on_down_sent,
                                                   .on_end = on_stream_end};
    const Interop__V1__Note *request = (const Interop__V1__Note *)message;
    struct stream *stream = stream_new(call, &events);
    (void)ctx;
    stream->next = 1;
    stream->last = request->number;
    stream->fails = strcmp(request->text, "fail") == 0;
    send_down(call, stream);
}

static void on_up_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct stream *stream = ctx;
    ProtobufCMessage *message;
    if (crpc_message_decode(&message, &interop__v1__note__descriptor, bytes, 0) != 0) {
        finish(call, CRPC_INVALID_ARGUMENT, "not a Note");
        return;
    }
    stream->count++;
    stream->total += ((const Interop__V1__Note *)message)->number;
    crpc_message_free(message);
    crpc_call_read(call);
}

static void on_up_half_closed(struct crpc_call *call, void *ctx)
{
    const struct stream *stream = ctx;
    Interop__V1__Sum sum = INTEROP__V1__SUM__INIT;
    sum.count = stream->count;
    sum.total = stream->total;
    crpc_call_reply(call, &sum.base);
}

static void on_up(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {
        .on_message = on_up_message, .on_half_closed = on_up_half_closed, .on_end = on_stream_end};
    (void)ctx;
    stream_new(call, &events);
    crpc_call_read(call);
}

static void on_both_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    (void)ctx;
    crpc_call_send_bytes(call, bytes);
}

static void on_both_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)ctx;
    if (ok)
        crpc_call_read(call);
}

static void on_both_half_closed(struct crpc_call *call, void *ctx)
{
    (void)ctx;
    finish(call, CRPC_OK, "");
}

static void on_both(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {.on_message = on_both_message,
                                                   .on_half_closed = on_both_half_closed,
                                                   .on_sent = on_both_sent,
                                                   .on_end = on_stream_end};
    (void)ctx;
    stream_new(call, &events);
    crpc_call_read(call);
}

/* -- The program ------------------------------------------------------------------------------- */

static const struct crpc_handler handlers[] = {
    {.method = "Unary", .kind = CRPC_UNARY, .on_request = on_unary},
    {.method = "Down", .kind = CRPC_SERVER_STREAMING, .on_request = on_down},
    {.method = "Up", .kind = CRPC_CLIENT_STREAMING, .on_open = on_up},
    {.method = "Both", .kind = CRPC_BIDIRECTIONAL, .on_open = on_both},
};

static char *read_pem(int argc, char **argv, int i)
{
    char *text = NULL;
    if (i < argc && crpc_file_read(&text, argv[i]) != 0)
        fprintf(stderr, "cannot read %s\n", argv[i]);
    return text;
}

static int listen_and_start(struct crpc_server *server, const struct crpc_tls *tls)
{
    struct crpc_bytes set = {interop_descriptors, interop_descriptors_size};
    int port;
    int rc = crpc_server_add_descriptors(server, set);
    if (rc == 0)
        rc = crpc_server_add_service(server, &interop__v1__echo__descriptor, handlers,
                                     sizeof(handlers) / sizeof(handlers[0]), NULL);
    if (rc == 0)
        rc = crpc_server_listen(server, "127.0.0.1:0", tls, &port);
    if (rc == 0)
        rc = crpc_server_start(server);
    if (rc != 0)
        return rc;
    printf("ready 127.0.0.1:%d\n", port);
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    struct crpc_tls tls = {.size = sizeof(tls)};
    struct crpc_loop *loop = NULL;
    struct crpc_server *server = NULL;
    char *cert = read_pem(argc, argv, 1);
    char *key = read_pem(argc, argv, 2);
    char *ca = read_pem(argc, argv, 3);
    tls.cert = cert;
    tls.key = key;
    tls.ca = ca;
    int rc = crpc_loop_new(&loop, NULL);
    if (rc == 0)
        rc = crpc_server_new(&server, loop, NULL);
    if (rc == 0)
        rc = listen_and_start(server, cert != NULL ? &tls : NULL);
    if (rc != 0)
        fprintf(stderr, "interop_server: %s\n", crpc_strerror(rc));
    char byte;
    while (rc == 0 && read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    pthread_mutex_lock(&held.lock);
    crpc_call_unref(held.waiter);
    held.waiter = NULL;
    pthread_mutex_unlock(&held.lock);
    crpc_server_free(server);
    crpc_loop_free(loop);
    free(cert);
    free(key);
    free(ca);
    return rc == 0 ? 0 : 1;
}
