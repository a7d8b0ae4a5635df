/* SPDX-License-Identifier: Apache-2.0
 *
 * otlp.h
 */
#include "otlp.h"

#include <check.h>
#include <clock.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/otlp/trace.pb-c.h>
#include <unistd.h>

#define OTLP(name) Opentelemetry__Proto__Collector__Trace__V1__##name
#define RESOURCE_ATTRIBUTES 4
#define HOST_MAX 256

/* A name and a value of the resource, as messages. */
struct resource_attribute {
    OTLP(KeyValue) pair;
    OTLP(AnyValue) value;
};

struct otlp {
    struct spans *spans;
    struct crpc_channel *channel;
    tercet_log_fn on_log;
    void *log_ctx;
    pthread_t thread;
    char target[TERCET_TEXT_MAX];
    char *headers; /* into which these point */
    struct crpc_metadata metadata[OTLP_HEADERS_MAX];
    size_t metadata_count;

    char version[64], instance[64], host[HOST_MAX];
    OTLP(Resource) resource;
    OTLP(KeyValue) * pairs[RESOURCE_ATTRIBUTES];
    struct resource_attribute attributes[RESOURCE_ATTRIBUTES];
    OTLP(InstrumentationScope) scope;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* an answer has come, or it ends */
    int64_t end_ms;         /* monotonic: nothing is sent after that; INT64_MAX: not yet known */
    bool is_answered;
    enum crpc_code code; /* of the last export */
    char text[TERCET_TEXT_MAX];
    int64_t rejected; /* spans of it */

    bool is_failing; /* the last export has failed, and that was said */
    uint64_t told;   /* spans that were lost, and that was said */
    int64_t tell_ms; /* monotonic: when it may be said again */
};

/* -- Options ----------------------------------------------------------------------------------- */

const char *otlp_target(char out[TERCET_TEXT_MAX], bool *is_https, const char *url)
{
    static const char wrong[] = "http://HOST:4317 or https://HOST:4317 is wanted, without a path";
    *is_https = strncmp(url, "https://", 8) == 0;
    if (!*is_https && strncmp(url, "http://", 7) != 0)
        return wrong;
    const char *host = url + (*is_https ? 8 : 7);
    size_t size = strcspn(host, "/?#");
    const char *end = host + size;
    if (size == 0 || size > HOST_MAX || (end[0] != '\0' && strcmp(end, "/") != 0) ||
        memchr(host, '@', size) != NULL || host[0] == ':')
        return wrong;
    const char *bracket = memchr(host, ']', size);
    const char *from = bracket != NULL ? bracket : host;
    const char *colon = memchr(from, ':', (size_t)(end - from));
    if (colon != NULL && strspn(colon + 1, "0123456789") != (size_t)(end - colon - 1))
        return wrong;
    bool has_port = colon != NULL && colon + 1 < end;
    size -= colon != NULL && !has_port;
    snprintf(out, TERCET_TEXT_MAX, "%.*s%s", (int)size, host,
             has_port ? "" : ":" OTLP_PORT_DEFAULT);
    return NULL;
}

/* One line, which is cut into name and value. NULL, or what is wrong with it. */
static const char *take_header(struct otlp *otlp, char *line)
{
    line[strcspn(line, "\r")] = '\0';
    line += strspn(line, " \t");
    if (line[0] == '\0' || line[0] == '#')
        return NULL;
    char *colon = strchr(line, ':');
    if (colon == NULL)
        return "a line is \"name: value\"";
    if (otlp->metadata_count == OTLP_HEADERS_MAX)
        return "there are at most 16 headers";
    for (char *c = line; c < colon; c++)
        *c = (char)tolower((unsigned char)*c);
    line[strcspn(line, " \t:")] = '\0';
    char *value = colon + 1 + strspn(colon + 1, " \t");
    *colon = '\0';
    for (size_t size = strlen(value); size > 0 && strchr(" \t", value[size - 1]) != NULL; size--)
        value[size - 1] = '\0';
    const char *wrong = check_metadata_entry(line, value);
    if (wrong == NULL)
        otlp->metadata[otlp->metadata_count++] =
            (struct crpc_metadata){.key = line, .value = {value, strlen(value)}};
    return wrong;
}

static int take_headers(struct otlp *otlp, const char *headers, struct refusal *no)
{
    if (headers == NULL)
        return 0;
    char *rest = otlp->headers = strdup(headers);
    if (rest == NULL)
        return refusal_set_plain(no, TERCET_NOMEM);
    for (size_t number = 1; rest != NULL; number++) {
        const char *wrong = take_header(otlp, strsep(&rest, "\n"));
        if (wrong != NULL)
            return refusal_set(no, TERCET_INVALID,
                               "the headers for spans (--otlp-headers), line "
                               "%zu: %s",
                               number, wrong);
    }
    return 0;
}

static int open_channel(struct otlp *otlp, struct crpc_loop *loop,
                        const struct otlp_options *options, struct refusal *no)
{
    bool is_https;
    const char *wrong = otlp_target(otlp->target, &is_https, options->url);
    if (wrong == NULL && options->ca != NULL && !is_https)
        wrong = "a CA (--otlp-ca) is for https://";
    if (wrong != NULL)
        return refusal_set(no, TERCET_INVALID, "the collector of spans (--otlp %s): %s",
                           options->url, wrong);
    const struct crpc_tls tls = {.size = sizeof(tls), .ca = options->ca};
    const struct crpc_channel_options channel = {.size = sizeof(channel),
                                                 .tls = is_https ? &tls : NULL};
    int rc = crpc_channel_new(&otlp->channel, loop, otlp->target, &channel);
    if (rc != 0)
        return refusal_set(no, rc == CRPC_ETLS ? TERCET_TLS : TERCET_INVALID,
                           "the collector of spans (--otlp %s): %s", options->url,
                           crpc_strerror(rc));
    return 0;
}

static void describe(struct otlp *otlp, const struct otlp_options *options)
{
    snprintf(otlp->version, sizeof(otlp->version), "%s", options->version);
    snprintf(otlp->instance, sizeof(otlp->instance), "%s", options->instance);
    if (gethostname(otlp->host, sizeof(otlp->host) - 1) != 0)
        otlp->host[0] = '\0';
    char *const texts[RESOURCE_ATTRIBUTES][2] = {{"service.name", "tercetd"},
                                                 {"service.version", otlp->version},
                                                 {"service.instance.id", otlp->instance},
                                                 {"host.name", otlp->host}};
    opentelemetry__proto__collector__trace__v1__resource__init(&otlp->resource);
    opentelemetry__proto__collector__trace__v1__instrumentation_scope__init(&otlp->scope);
    for (size_t i = 0; i < RESOURCE_ATTRIBUTES; i++) {
        struct resource_attribute *attribute = &otlp->attributes[i];
        opentelemetry__proto__collector__trace__v1__key_value__init(&attribute->pair);
        opentelemetry__proto__collector__trace__v1__any_value__init(&attribute->value);
        attribute->value.value_case =
            OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__ANY_VALUE__VALUE_STRING_VALUE;
        attribute->pair.key = texts[i][0];
        attribute->value.string_value = texts[i][1];
        attribute->pair.value = &attribute->value;
        otlp->pairs[i] = &attribute->pair;
    }
    otlp->resource.attributes = otlp->pairs;
    otlp->resource.n_attributes = RESOURCE_ATTRIBUTES;
    otlp->scope.name = "tercet";
    otlp->scope.version = otlp->version;
}

/* -- What is said ------------------------------------------------------------------------------ */

static void say(const struct otlp *otlp, enum tercet_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(const struct otlp *otlp, enum tercet_log_level level, const char *format, ...)
{
    char text[2 * TERCET_TEXT_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    if (otlp->on_log != NULL)
        otlp->on_log(level, text, otlp->log_ctx);
}

/* That the collector takes none, or some again: once each. */
static void tell_change(struct otlp *otlp)
{
    const bool is_failing = otlp->code != CRPC_OK;
    if (is_failing && !otlp->is_failing)
        say(otlp, TERCET_LOG_WARNING,
            "traces: the collector at %s takes no spans: %s: %s; they wait, and are dropped when "
            "there is no room",
            otlp->target, crpc_code_name((int)otlp->code), otlp->text);
    if (!is_failing && otlp->is_failing)
        say(otlp, TERCET_LOG_INFO, "traces: the collector at %s takes spans again", otlp->target);
    otlp->is_failing = is_failing;
}

static void tell_lost(struct otlp *otlp)
{
    const struct spans_counts counts = spans_read(otlp->spans);
    const uint64_t lost = counts.dropped + counts.failed;
    const int64_t now_ms = clock_monotonic_ms();
    if (lost == otlp->told || now_ms < otlp->tell_ms)
        return;
    say(otlp, TERCET_LOG_WARNING,
        "traces: %" PRIu64 " spans more were lost: %" PRIu64 " for want of room, %" PRIu64
        " that the collector at %s did not take, since the start%s%s",
        lost - otlp->told, counts.dropped, counts.failed, otlp->target,
        otlp->text[0] != '\0' ? "; it said last: " : "", otlp->text);
    otlp->told = lost;
    otlp->tell_ms = now_ms + OTLP_TELL_MS;
}

/* -- One export -------------------------------------------------------------------------------- */

static void on_answer(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    const OTLP(ExportTraceServiceResponse) *response =
        (const OTLP(ExportTraceServiceResponse) *)reply;
    struct otlp *otlp = ctx;
    const OTLP(ExportTracePartialSuccess) *partial =
        response != NULL ? response->partial_success : NULL;
    const char *text = partial != NULL ? partial->error_message : status->message;
    pthread_mutex_lock(&otlp->lock);
    otlp->code = status->code;
    otlp->rejected = partial != NULL ? partial->rejected_spans : 0;
    copy_text(otlp->text, crpc_is_text(text, strlen(text)) ? text : "(a text that is not UTF-8)");
    otlp->is_answered = true;
    pthread_cond_broadcast(&otlp->changed);
    pthread_mutex_unlock(&otlp->lock);
}

/* Waits for the answer, or until it has to end; then for the call's end, which comes at once. */
static void await_answer(struct otlp *otlp, struct crpc_call *call)
{
    bool is_cancelled = false;
    pthread_mutex_lock(&otlp->lock);
    while (!otlp->is_answered) {
        if (!is_cancelled && clock_monotonic_ms() >= otlp->end_ms) {
            is_cancelled = true;
            pthread_mutex_unlock(&otlp->lock);
            crpc_call_cancel(call);
            pthread_mutex_lock(&otlp->lock);
        } else if (!is_cancelled && otlp->end_ms != INT64_MAX) {
            const struct timespec until = clock_timespec(otlp->end_ms);
            pthread_cond_timedwait(&otlp->changed, &otlp->lock, &until);
        } else {
            pthread_cond_wait(&otlp->changed, &otlp->lock);
        }
    }
    pthread_mutex_unlock(&otlp->lock);
}

static void export(struct otlp *otlp, const OTLP(ExportTraceServiceRequest) * request)
{
    struct crpc_call *call = NULL;
    const struct crpc_call_options options = {.size = sizeof(options),
                                              .timeout_ms = OTLP_TIMEOUT_MS,
                                              .metadata = otlp->metadata,
                                              .metadata_count = otlp->metadata_count};
    otlp->is_answered = false;
    int rc =
        crpc_unary_start(&call, otlp->channel,
                         &opentelemetry__proto__collector__trace__v1__trace_service__descriptor,
                         "Export", &request->base, &options, on_answer, otlp);
    if (rc == 0) {
        await_answer(otlp, call);
        crpc_call_unref(call);
    } else {
        otlp->code = CRPC_INTERNAL;
        copy_text(otlp->text, crpc_strerror(rc));
    }
    tell_change(otlp);
}

/* -- One batch --------------------------------------------------------------------------------- */

/* As the protocol's "Failures" tells; a collector that is full mostly says so without saying when
 * to come back. */
static bool is_worth_repeating(enum crpc_code code)
{
    switch (code) {
    case CRPC_CANCELLED:
    case CRPC_DEADLINE_EXCEEDED:
    case CRPC_RESOURCE_EXHAUSTED:
    case CRPC_ABORTED:
    case CRPC_OUT_OF_RANGE:
    case CRPC_UNAVAILABLE:
    case CRPC_DATA_LOSS:
        return true;
    default:
        return false;
    }
}

static bool has_ended(struct otlp *otlp)
{
    pthread_mutex_lock(&otlp->lock);
    bool has_ended = clock_monotonic_ms() >= otlp->end_ms;
    pthread_mutex_unlock(&otlp->lock);
    return has_ended;
}

/* Returns whether the collector has taken the request. */
static bool export_patiently(struct otlp *otlp, const OTLP(ExportTraceServiceRequest) * request)
{
    int64_t pause_ms = OTLP_PAUSE_MS;
    for (int attempt = 1; !has_ended(otlp); attempt++, pause_ms *= 2) {
        export(otlp, request);
        if (otlp->code == CRPC_OK)
            return true;
        tell_lost(otlp);
        /* when it ends, what could not be sent before cannot be now */
        if (!is_worth_repeating(otlp->code) || attempt == OTLP_ATTEMPTS_MAX ||
            spans_rest(otlp->spans, pause_ms))
            break;
    }
    return false;
}

/* The encoded spans; *count of them, fewer than `most` when memory is short. */
static void encode(ProtobufCBinaryData *out, const struct span *batch, size_t *count)
{
    *count = 0;
    for (const struct span *span = batch; span != NULL; span = span->next) {
        out[*count] = span_encode(span);
        *count += out[*count].data != NULL;
    }
}

/* Returns how many of them the collector has. */
static size_t export_batch(struct otlp *otlp, const struct span *batch)
{
    OTLP(ExportTraceServiceRequest)
    request = OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_REQUEST__INIT;
    OTLP(ResourceSpans) resource = OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__RESOURCE_SPANS__INIT;
    OTLP(ScopeSpans) scope = OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__SCOPE_SPANS__INIT;
    OTLP(ResourceSpans) *resources = &resource;
    OTLP(ScopeSpans) *scopes = &scope;
    ProtobufCBinaryData spans[SPANS_BATCH_MAX];
    encode(spans, batch, &scope.n_spans);
    request.resource_spans = &resources;
    request.n_resource_spans = 1;
    resource.resource = &otlp->resource;
    resource.scope_spans = &scopes;
    resource.n_scope_spans = 1;
    scope.scope = &otlp->scope;
    scope.spans = spans;
    otlp->rejected = 0;
    size_t exported = export_patiently(otlp, &request) ? scope.n_spans : 0;
    for (size_t i = 0; i < scope.n_spans; i++)
        free(spans[i].data);
    const bool is_partial = otlp->rejected > 0 && (uint64_t)otlp->rejected <= exported;
    return is_partial ? exported - (size_t)otlp->rejected : exported;
}

static void *run(void *ctx)
{
    struct otlp *otlp = ctx;
    struct span *batch;
    while ((batch = spans_take(otlp->spans)) != NULL) {
        spans_give_back(otlp->spans, batch, export_batch(otlp, batch));
        tell_lost(otlp);
    }
    return NULL;
}

/* -- Opening and closing ----------------------------------------------------------------------- */

static void free_otlp(struct otlp *otlp)
{
    crpc_channel_free(otlp->channel);
    pthread_cond_destroy(&otlp->changed);
    pthread_mutex_destroy(&otlp->lock);
    free(otlp->headers);
    free(otlp);
}

static struct otlp *make(struct spans *spans, const struct otlp_options *options)
{
    struct otlp *otlp = calloc(1, sizeof(*otlp));
    pthread_condattr_t attributes;
    if (otlp == NULL)
        return NULL;
    otlp->spans = spans;
    otlp->on_log = options->on_log;
    otlp->log_ctx = options->log_ctx;
    otlp->end_ms = INT64_MAX;
    pthread_mutex_init(&otlp->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&otlp->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    describe(otlp, options);
    return otlp;
}

int otlp_open(struct otlp **out, struct crpc_loop *loop, struct spans *spans,
              const struct otlp_options *options, struct refusal *no)
{
    struct otlp *otlp = make(spans, options);
    if (otlp == NULL)
        return refusal_set_plain(no, TERCET_NOMEM);
    int rc = take_headers(otlp, options->headers, no);
    if (rc == 0)
        rc = open_channel(otlp, loop, options, no);
    if (rc == 0 && pthread_create(&otlp->thread, NULL, run, otlp) != 0)
        rc = refusal_set(no, TERCET_NOMEM, "cannot start the thread that sends spans");
    if (rc != 0) {
        free_otlp(otlp);
        return rc;
    }
    pthread_setname_np(otlp->thread, "tercet-traces");
    *out = otlp;
    return 0;
}

void otlp_close(struct otlp *otlp)
{
    if (otlp == NULL)
        return;
    pthread_mutex_lock(&otlp->lock);
    otlp->end_ms = clock_monotonic_ms() + OTLP_END_MS;
    pthread_cond_broadcast(&otlp->changed);
    pthread_mutex_unlock(&otlp->lock);
    spans_end(otlp->spans);
    pthread_join(otlp->thread, NULL);
    free_otlp(otlp);
}
