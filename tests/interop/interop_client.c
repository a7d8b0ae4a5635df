/* SPDX-License-Identifier: Apache-2.0
 *
 * The cases of crpc as a client, against the Echo server in JavaScript (see interop.proto). Prints
 * "ok <case>" or what went wrong, and a count; exits with 1 when a case failed.
 *
 *   interop_client TARGET [CA [CERT KEY]]     with a CA: only who the server takes us for, over TLS
 */
#include <crpc/crpc.h>
#include <grpc/health/v1/health.pb-c.h>
#include <interop.pb-c.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVICE (&interop__v1__echo__descriptor)
#define WAIT_MS 80000

/* Fails the case, and says where. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                         \
            return false;                                                                          \
        }                                                                                          \
    } while (0)

static struct crpc_channel *channel;
static const char *expected_name = "nobody";
static const struct crpc_call_options bounded = {.size = sizeof(bounded), .timeout_ms = WAIT_MS};

/* -- Unary ------------------------------------------------------------------------------------- */

static Interop__V1__Note note(const char *text)
{
    Interop__V1__Note made = INTEROP__V1__NOTE__INIT;
    made.text = (char *)text;
    return made;
}

/* The reply, or NULL with *result saying why. */
static Interop__V1__Note *unary(const Interop__V1__Note *request,
                                const struct crpc_call_options *options, struct crpc_result *result)
{
    ProtobufCMessage *reply = NULL;
    if (crpc_unary(&reply, channel, SERVICE, "Unary", &request->base, options, result) != 0)
        return NULL;
    return (Interop__V1__Note *)reply;
}

static void free_note(Interop__V1__Note *reply)
{
    crpc_message_free(&reply->base);
}

static bool is_same(const Interop__V1__Note *a, const Interop__V1__Note *b)
{
    size_t size = interop__v1__note__get_packed_size(a);
    uint8_t *left = malloc(size + 1);
    uint8_t *right = malloc(interop__v1__note__get_packed_size(b) + 1);
    bool same = interop__v1__note__get_packed_size(b) == size;
    interop__v1__note__pack(a, left);
    interop__v1__note__pack(b, right);
    same = same && memcmp(left, right, size) == 0;
    free(left);
    free(right);
    return same;
}

static bool echoes(Interop__V1__Note *request)
{
    Interop__V1__Note *reply = unary(request, &bounded, NULL);
    CHECK(reply != NULL);
    bool same = is_same(request, reply);
    free_note(reply);
    return same;
}

static bool all_fields(void)
{
    char first[] = "eins", second[] = "\xe4\xba\x8c", name[] = "n";
    char *words[] = {first, second};
    uint32_t counts[] = {0, 1, UINT32_MAX};
    Interop__V1__Part part = INTEROP__V1__PART__INIT;
    Interop__V1__Note full = note("gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x98\x80");
    Interop__V1__Note empty = note("");
    part.number = INT64_MIN;
    part.weight = -0.5;
    full.number = INT64_MIN;
    full.data = (ProtobufCBinaryData){4, (uint8_t *)"\0\xff\x80"};
    full.words = words;
    full.n_words = 2;
    full.counts = counts;
    full.n_counts = 3;
    full.color = INTEROP__V1__COLOR__RED;
    full.part = &part;
    full.choice_case = INTEROP__V1__NOTE__CHOICE_NAME;
    full.name = name;
    CHECK(echoes(&full));
    CHECK(echoes(&empty));
    return true;
}

static bool large_message(void)
{
    Interop__V1__Note large = note("large");
    large.data.len = 3 * 1024 * 1024;
    large.data.data = calloc(1, large.data.len);
    large.data.data[12345] = 7;
    bool same = echoes(&large);
    free(large.data.data);
    return same;
}

static bool status_with_details(void)
{
    Interop__V1__Note request = note("fail");
    struct crpc_result result = {.code = CRPC_OK};
    CHECK(unary(&request, &bounded, &result) == NULL);
    CHECK(result.code == CRPC_FAILED_PRECONDITION);
    CHECK(strcmp(result.message, "nicht m\xc3\xb6glich: 100 %") == 0);
    CHECK(result.details_size == 4 && memcmp(result.details, "\0\1\2\xff", 4) == 0);
    crpc_result_clear(&result);
    return true;
}

static bool unserved_method(void)
{
    Interop__V1__Note request = note("");
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *reply = NULL;
    CHECK(crpc_unary(&reply, channel, SERVICE, "Unserved", &request.base, &bounded, &result) ==
          CRPC_ESTATUS);
    CHECK(result.code == CRPC_UNIMPLEMENTED);
    crpc_result_clear(&result);
    return true;
}

static bool deadline(void)
{
    const struct crpc_call_options brief = {.size = sizeof(brief), .timeout_ms = 200};
    Interop__V1__Note hold = note("hold");
    Interop__V1__Note left = note("left");
    struct crpc_result result = {.code = CRPC_OK};
    CHECK(unary(&hold, &brief, &result) == NULL);
    CHECK(result.code == CRPC_DEADLINE_EXCEEDED);
    crpc_result_clear(&result);
    Interop__V1__Note *reply = unary(&left, &bounded, NULL);
    CHECK(reply != NULL);
    CHECK(reply->number > WAIT_MS / 2 && reply->number <= WAIT_MS + 100);
    free_note(reply);
    return true;
}

/* -- Calls with callbacks ---------------------------------------------------------------------- */

/* One call, and what was seen of it. */
struct watched {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool has_ended;
    enum crpc_code code;
};
#define WATCHED_INIT                                                                               \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, CRPC_OK                        \
    }

static void on_watched_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct watched *watched = ctx;
    (void)call;
    pthread_mutex_lock(&watched->lock);
    watched->has_ended = true;
    watched->code = status->code;
    pthread_cond_signal(&watched->changed);
    pthread_mutex_unlock(&watched->lock);
}

static enum crpc_code wait_for_end(struct watched *watched)
{
    pthread_mutex_lock(&watched->lock);
    while (!watched->has_ended) /* bounded by the call's own deadline */
        pthread_cond_wait(&watched->changed, &watched->lock);
    pthread_mutex_unlock(&watched->lock);
    return watched->code;
}

/* A unary call on the raw level, which shows headers and trailers. */
static struct crpc_call *open_unary(struct watched *watched, const char *text,
                                    const struct crpc_call_options *options)
{
    static const struct crpc_call_events events = {.on_end = on_watched_end};
    Interop__V1__Note request = note(text);
    struct crpc_call *call = NULL;
    if (crpc_call_open(&call, channel, SERVICE, "Unary", options, &events, watched) != 0 ||
        crpc_call_send(call, &request.base) != 0 || crpc_call_half_close(call) != 0 ||
        crpc_call_read(call) != 0)
        abort();
    return call;
}

static bool has_value(bool found, struct crpc_bytes value, const struct crpc_metadata *entry)
{
    return found && value.size == entry->value.size &&
           memcmp(value.data, entry->value.data, value.size) == 0;
}

static bool metadata(void)
{
    const struct crpc_metadata entries[] = {{"x-text", {"words, and more", 15}},
                                            {"x-raw-bin", {"\0\1\xfe\xff,=", 6}}};
    const struct crpc_call_options options = {
        .size = sizeof(options), .timeout_ms = WAIT_MS, .metadata = entries, .metadata_count = 2};
    struct watched watched = WATCHED_INIT;
    struct crpc_call *call = open_unary(&watched, "meta", &options);
    CHECK(wait_for_end(&watched) == CRPC_OK);
    for (size_t i = 0; i < 2; i++) {
        struct crpc_bytes value = {NULL, 0};
        bool found = crpc_call_metadata_get(call, entries[i].key, &value);
        CHECK(has_value(found, value, &entries[i]));
        found = crpc_call_trailer_get(call, entries[i].key, &value);
        CHECK(has_value(found, value, &entries[i]));
    }
    crpc_call_unref(call);
    return true;
}

static bool cancellation(void)
{
    struct watched watched = WATCHED_INIT;
    Interop__V1__Note held = note("held");
    struct crpc_call *call = open_unary(&watched, "hold", &bounded);
    crpc_call_cancel(call);
    CHECK(wait_for_end(&watched) == CRPC_CANCELLED);
    crpc_call_unref(call);
    held.number = 1; /* the one whose deadline passed */
    Interop__V1__Note *reply = unary(&held, &bounded, NULL);
    CHECK(reply != NULL && reply->number >= 1);
    free_note(reply);
    return true;
}

/* -- Streams ----------------------------------------------------------------------------------- */

static struct crpc_stream *open_stream(const char *method)
{
    struct crpc_stream *stream = NULL;
    if (crpc_stream_open(&stream, channel, SERVICE, method, &bounded) != 0)
        abort();
    return stream;
}

/* The number in the next message; -1 at the end. */
static int64_t read_number(struct crpc_stream *stream)
{
    ProtobufCMessage *message = NULL;
    if (crpc_stream_read(&message, stream) != 0)
        return -1;
    int64_t number = ((const Interop__V1__Note *)message)->number;
    crpc_message_free(message);
    return number;
}

static enum crpc_code finish(struct crpc_stream *stream)
{
    struct crpc_result result = {.code = CRPC_OK};
    crpc_stream_finish(stream, &result);
    enum crpc_code code = result.code;
    crpc_result_clear(&result);
    return code;
}

static struct crpc_stream *open_down(const char *text, int64_t count)
{
    struct crpc_stream *stream = open_stream("Down");
    Interop__V1__Note request = note(text);
    request.number = count;
    if (crpc_stream_write(stream, &request.base) != 0 || crpc_stream_half_close(stream) != 0)
        abort();
    return stream;
}

static bool server_stream(void)
{
    struct crpc_stream *stream = open_down("", 500);
    for (int64_t i = 1; i <= 500; i++)
        CHECK(read_number(stream) == i);
    CHECK(read_number(stream) == -1);
    CHECK(finish(stream) == CRPC_OK);
    stream = open_down("", 0);
    CHECK(read_number(stream) == -1);
    CHECK(finish(stream) == CRPC_OK);
    stream = open_down("fail", 2);
    CHECK(read_number(stream) == 1 && read_number(stream) == 2 && read_number(stream) == -1);
    CHECK(finish(stream) == CRPC_ABORTED);
    return true;
}

static bool client_stream(void)
{
    struct crpc_stream *stream = open_stream("Up");
    Interop__V1__Note item = note("");
    ProtobufCMessage *message = NULL;
    for (item.number = 1; item.number <= 500; item.number++)
        CHECK(crpc_stream_write(stream, &item.base) == 0);
    CHECK(crpc_stream_half_close(stream) == 0);
    CHECK(crpc_stream_read(&message, stream) == 0);
    const Interop__V1__Sum *sum = (const Interop__V1__Sum *)message;
    CHECK(sum->count == 500 && sum->total == 125250);
    crpc_message_free(message);
    CHECK(finish(stream) == CRPC_OK);
    return true;
}

static bool both_streams(void)
{
    struct crpc_stream *stream = open_stream("Both");
    Interop__V1__Note item = note("ping");
    for (item.number = 1; item.number <= 200; item.number++) {
        CHECK(crpc_stream_write(stream, &item.base) == 0);
        CHECK(read_number(stream) == item.number);
    }
    CHECK(crpc_stream_half_close(stream) == 0);
    CHECK(read_number(stream) == -1);
    CHECK(finish(stream) == CRPC_OK);
    return true;
}

static bool cancelled_stream(void)
{
    struct crpc_stream *stream = open_down("", INT64_MAX);
    CHECK(read_number(stream) == 1 && read_number(stream) == 2);
    crpc_stream_cancel(stream);
    CHECK(finish(stream) == CRPC_CANCELLED);
    return true;
}

/* -- Health, and who we are -------------------------------------------------------------------- */

static enum crpc_code check_health(const char *service, int *status)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *reply = NULL;
    request.service = (char *)service;
    if (crpc_unary(&reply, channel, &grpc__health__v1__health__descriptor, "Check", &request.base,
                   &bounded, &result) == 0)
        *status = (int)((const Grpc__Health__V1__HealthCheckResponse *)reply)->status;
    crpc_message_free(reply);
    enum crpc_code code = result.code;
    crpc_result_clear(&result);
    return code;
}

static bool health(void)
{
    int status = -1;
    CHECK(check_health("", &status) == CRPC_OK);
    CHECK(status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING);
    CHECK(check_health("interop.v1.Echo", &status) == CRPC_OK);
    CHECK(status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING);
    CHECK(check_health("nobody.v1.Nothing", &status) == CRPC_NOT_FOUND);
    return true;
}

static bool who(void)
{
    Interop__V1__Note request = note("who");
    Interop__V1__Note *reply = unary(&request, &bounded, NULL);
    CHECK(reply != NULL);
    CHECK(strcmp(reply->text, expected_name) == 0);
    free_note(reply);
    return true;
}

/* -- The program ------------------------------------------------------------------------------- */

struct check {
    const char *name;
    bool (*run)(void);
};

static int run_all(const struct check *checks, size_t count)
{
    size_t good = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_good = checks[i].run();
        good += is_good;
        printf("%s c client: %s\n", is_good ? "ok" : "not ok", checks[i].name);
    }
    printf("%zu of %zu cases of the C client passed\n", good, count);
    return good == count ? 0 : 1;
}

static char *read_pem(int argc, char **argv, int i)
{
    char *text = NULL;
    if (i < argc && crpc_file_read(&text, argv[i]) != 0) {
        printf("cannot read %s\n", argv[i]);
        exit(1);
    }
    return text;
}

int main(int argc, char **argv)
{
    static const struct check plain[] = {
        {"all kinds of fields", all_fields},
        {"a large message", large_message},
        {"status with details", status_with_details},
        {"an unserved method", unserved_method},
        {"deadline", deadline},
        {"metadata", metadata},
        {"cancellation", cancellation},
        {"server stream", server_stream},
        {"client stream", client_stream},
        {"both streams", both_streams},
        {"a cancelled stream", cancelled_stream},
        {"health", health},
        {"who", who},
    };
    static const struct check secure[] = {{"who, over TLS", who},
                                          {"a large message, over TLS", large_message},
                                          {"both streams, over TLS", both_streams}};
    struct crpc_tls tls = {.size = sizeof(tls)};
    struct crpc_channel_options options = {.size = sizeof(options)};
    struct crpc_loop *loop = NULL;
    char *ca = read_pem(argc, argv, 2);
    char *cert = read_pem(argc, argv, 3);
    char *key = read_pem(argc, argv, 4);
    tls.ca = ca;
    tls.cert = cert;
    tls.key = key;
    options.tls = ca != NULL ? &tls : NULL;
    expected_name = cert != NULL ? "interop-client" : "nobody";
    if (argc < 2 || crpc_loop_new(&loop, NULL) != 0 ||
        crpc_channel_new(&channel, loop, argv[1], &options) != 0)
        return 1;
    int rc = ca != NULL ? run_all(secure, sizeof(secure) / sizeof(secure[0]))
                        : run_all(plain, sizeof(plain) / sizeof(plain[0]));
    crpc_channel_free(channel);
    crpc_loop_free(loop);
    free(ca);
    free(cert);
    free(key);
    return rc;
}
