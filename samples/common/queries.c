/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions between services, over crpc. A call's thread must not block, so answers are computed by
 * a few threads of their own.
 */
#include "queries.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "samples.pb-c.h"

#define THREADS 2
#define WAITING_MAX 256
#define METHODS_MAX 16
#define ASK_MS_MAX 3000

struct waiting {
    struct crpc_call *call;
    ProtobufCMessage *request;
};

struct queries {
    const ProtobufCServiceDescriptor *service;
    const struct query_method *methods;
    struct crpc_handler handlers[METHODS_MAX];
    size_t method_count;
    struct tercet_barrier *barrier;
    const struct db_driver *driver;
    struct crpc_loop *loop;
    struct crpc_server *server;
    pthread_t threads[THREADS];
    unsigned thread_count;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t came;
    struct waiting waiting[WAITING_MAX];
    size_t first, count;
    bool is_closing;
    struct fault fault;
};

void *query_add_to(size_t *count, void ***list, const ProtobufCMessageDescriptor *descriptor)
{
    void **grown = realloc(*list, (*count + 1) * sizeof(*grown));
    ProtobufCMessage *message = calloc(1, descriptor->sizeof_message);
    assert(grown != NULL && message != NULL);
    protobuf_c_message_init(descriptor, message);
    *list = grown;
    grown[(*count)++] = message;
    return message;
}

int query_refuse(struct query *query, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(query->refusal, sizeof(query->refusal), format, values);
    va_end(values);
    return TERCET_REFUSED;
}

int64_t query_number(const struct db_value *value)
{
    return value->text != NULL ? strtoll(value->text, NULL, 10) : value->number;
}

struct sums {
    int64_t *columns;
    size_t column_count;
};

static int take_sums(const struct db_row *row, void *ctx)
{
    const struct sums *sums = ctx;
    for (size_t i = 0; !row->is_head && i < sums->column_count && i < row->count; i++)
        sums->columns[i] = query_number(&row->values[i]);
    return 0;
}

int query_sums(struct query *query, int64_t *columns, size_t column_count, const char *sql)
{
    struct sums sums = {columns, column_count};
    return query->db.driver->run(query->db.handle, sql, NULL, 0, take_sums, &sums);
}

/* -- Answering --------------------------------------------------------------------------------- */

struct answer {
    const struct query_method *method;
    const ProtobufCMessageDescriptor *output;
    struct query query;
};

/* In the local transaction; afresh each time. */
static int compute(tercet_db handle, void *ctx)
{
    struct answer *answer = ctx;
    struct query *query = &answer->query;
    if (query->reply != NULL)
        protobuf_c_message_free_unpacked(query->reply, NULL);
    query->reply = calloc(1, answer->output->sizeof_message);
    if (query->reply == NULL)
        return TERCET_NOMEM;
    protobuf_c_message_init(answer->output, query->reply);
    query->db.handle = handle;
    int rc = answer->method->answer(query);
    if (rc == -1)
        snprintf(query->refusal, sizeof(query->refusal), "the database failed: %.200s",
                 db_error(&query->db));
    return rc == -1 ? TERCET_STORE : rc;
}

static size_t method_of(const struct queries *queries, const struct crpc_call *call)
{
    const char *name = strrchr(crpc_call_method(call), '/') + 1;
    size_t i = 0;
    while (i + 1 < queries->method_count && strcmp(queries->methods[i].name, name) != 0)
        i++;
    return i;
}

static void answer_one(struct queries *queries, const struct waiting *waiting)
{
    const struct query_method *method = &queries->methods[method_of(queries, waiting->call)];
    const ProtobufCMethodDescriptor *declared =
        protobuf_c_service_descriptor_get_method_by_name(queries->service, method->name);
    struct answer answer = {.method = method, .output = declared->output};
    answer.query.request = waiting->request;
    answer.query.db.driver = queries->driver;
    int rc = tercet_barrier_local(queries->barrier, compute, &answer);
    if (rc == 0)
        crpc_call_reply(waiting->call, answer.query.reply);
    else
        crpc_call_fail(
            waiting->call, rc == TERCET_REFUSED ? CRPC_FAILED_PRECONDITION : CRPC_UNAVAILABLE, "%s",
            answer.query.refusal[0] != '\0' ? answer.query.refusal : tercet_strerror(rc));
    if (answer.query.reply != NULL)
        protobuf_c_message_free_unpacked(answer.query.reply, NULL);
    crpc_message_free(waiting->request);
    crpc_call_unref(waiting->call);
}

static void *run(void *ctx)
{
    struct queries *queries = ctx;
    pthread_mutex_lock(&queries->lock);
    for (;;) {
        while (queries->count == 0 && !queries->is_closing)
            pthread_cond_wait(&queries->came, &queries->lock);
        if (queries->count == 0)
            break;
        struct waiting waiting = queries->waiting[queries->first];
        queries->first = (queries->first + 1) % WAITING_MAX;
        queries->count--;
        pthread_mutex_unlock(&queries->lock);
        answer_one(queries, &waiting);
        pthread_mutex_lock(&queries->lock);
    }
    pthread_mutex_unlock(&queries->lock);
    return NULL;
}

static void on_request(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    struct queries *queries = ctx;
    ProtobufCMessage *copy = NULL;
    if (crpc_message_copy(&copy, request) != 0) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    pthread_mutex_lock(&queries->lock);
    const bool is_taken = queries->count < WAITING_MAX && !queries->is_closing;
    if (is_taken) {
        crpc_call_ref(call);
        size_t place = (queries->first + queries->count++) % WAITING_MAX;
        queries->waiting[place] = (struct waiting){call, copy};
        pthread_cond_signal(&queries->came);
    }
    pthread_mutex_unlock(&queries->lock);
    if (!is_taken) {
        crpc_message_free(copy);
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "%d questions wait already", WAITING_MAX);
    }
}

/* -- Faults ------------------------------------------------------------------------------------ */

struct fault queries_fault(const struct queries *queries)
{
    struct queries *own = (struct queries *)(uintptr_t)queries;
    struct fault fault = {0};
    if (queries == NULL)
        return fault;
    pthread_mutex_lock(&own->lock);
    fault = own->fault;
    pthread_mutex_unlock(&own->lock);
    return fault;
}

static void get_fault(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    struct fault fault = queries_fault(ctx);
    Samples__Fault reply = SAMPLES__FAULT__INIT;
    (void)request;
    reply.delay_ms = fault.delay_ms;
    reply.refuses = fault.refuses;
    crpc_call_reply(call, &reply.base);
}

static void set_fault(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    const Samples__Fault *wanted = (const Samples__Fault *)request;
    struct queries *queries = ctx;
    pthread_mutex_lock(&queries->lock);
    queries->fault = (struct fault){wanted->delay_ms, wanted->refuses};
    pthread_mutex_unlock(&queries->lock);
    get_fault(call, request, ctx);
}

static const struct crpc_handler fault_handlers[] = {
    {"Set", CRPC_UNARY, set_fault, NULL},
    {"Get", CRPC_UNARY, get_fault, NULL},
};

/* -- Opening ----------------------------------------------------------------------------------- */

static int serve(struct queries *queries, const char *address)
{
    for (size_t i = 0; i < queries->method_count; i++)
        queries->handlers[i] =
            (struct crpc_handler){queries->methods[i].name, CRPC_UNARY, on_request, NULL};
    int rc = crpc_loop_new(&queries->loop, NULL);
    if (rc == 0)
        rc = crpc_server_new(&queries->server, queries->loop, NULL);
    if (rc == 0 && queries->service != NULL)
        rc = crpc_server_add_service(queries->server, queries->service, queries->handlers,
                                     queries->method_count, queries);
    if (rc == 0)
        rc = crpc_server_add_service(queries->server, &samples__faults__descriptor, fault_handlers,
                                     2, queries);
    if (rc == 0)
        rc = crpc_server_listen(queries->server, address, NULL, NULL);
    return rc == 0 ? crpc_server_start(queries->server) : rc;
}

int queries_open(struct queries **out, const char *address,
                 const ProtobufCServiceDescriptor *service, const struct query_method *methods,
                 size_t method_count, struct tercet_barrier *barrier,
                 const struct db_driver *driver, char *text)
{
    struct queries *queries = calloc(1, sizeof(*queries));
    assert(method_count <= METHODS_MAX);
    if (queries == NULL)
        return -1;
    queries->service = service;
    queries->methods = methods;
    queries->method_count = method_count;
    queries->barrier = barrier;
    queries->driver = driver;
    pthread_mutex_init(&queries->lock, NULL);
    pthread_cond_init(&queries->came, NULL);
    while (queries->thread_count < THREADS &&
           pthread_create(&queries->threads[queries->thread_count], NULL, run, queries) == 0)
        queries->thread_count++;
    int rc = serve(queries, address);
    if (rc == 0 && queries->thread_count > 0) {
        *out = queries;
        return 0;
    }
    snprintf(text, TERCET_TEXT_MAX, "%s: %s", address, crpc_strerror(rc));
    queries_close(queries);
    return -1;
}

void queries_close(struct queries *queries)
{
    if (queries == NULL)
        return;
    pthread_mutex_lock(&queries->lock);
    queries->is_closing = true;
    pthread_cond_broadcast(&queries->came);
    pthread_mutex_unlock(&queries->lock);
    for (unsigned i = 0; i < queries->thread_count; i++)
        pthread_join(queries->threads[i], NULL);
    crpc_server_free(queries->server);
    crpc_loop_free(queries->loop);
    pthread_cond_destroy(&queries->came);
    pthread_mutex_destroy(&queries->lock);
    free(queries);
}

/* -- Asking ------------------------------------------------------------------------------------ */

int ask(ProtobufCMessage **reply, struct crpc_channel *channel,
        const ProtobufCServiceDescriptor *service, const char *method,
        const ProtobufCMessage *request, char *text)
{
    const struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = ASK_MS_MAX};
    struct crpc_result result = {0};
    int rc = crpc_unary(reply, channel, service, method, request, &options, &result);
    if (rc == CRPC_ESTATUS && result.code == CRPC_FAILED_PRECONDITION)
        snprintf(text, TERCET_TEXT_MAX, "%s", result.message);
    else if (rc != 0)
        snprintf(text, TERCET_TEXT_MAX, "%s does not answer just now", service->short_name);
    crpc_result_clear(&result);
    return rc == 0 ? 0 : -1;
}
