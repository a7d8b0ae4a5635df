/* SPDX-License-Identifier: Apache-2.0
 *
 * Reflection, over the public API. The messages of v1 and v1alpha are the same on the wire, so one
 * handler serves both. A file is answered together with all that it imports.
 */
#include "reflection.h"

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"
#include "server.h"

#include <stdlib.h>
#include <string.h>

typedef Grpc__Reflection__V1__ServerReflectionRequest reflection_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflection_response;

struct reflection_stream {
    struct reflection_stream *next, *prev;
    struct reflection *reflection;
    struct crpc_call *call;
};

struct reflection {
    struct crpc_server *server;
    pthread_mutex_t lock;
    struct reflection_stream *streams;
};

/* A file and its imports, each once, as a growing list. */
struct closure {
    const struct catalog_file **files;
    size_t count;
};

static bool closure_has(const struct closure *closure, const struct catalog_file *file)
{
    for (size_t i = 0; i < closure->count; i++)
        if (closure->files[i] == file)
            return true;
    return false;
}

/* Breadth first: the list is its own queue, and has room for every file there is. */
static void closure_fill(struct closure *closure, const struct catalog *catalog,
                         const struct catalog_file *first)
{
    closure->files[closure->count++] = first;
    for (size_t i = 0; i < closure->count; i++) {
        const Crpc__Descriptor__File *file = closure->files[i]->file;
        for (size_t k = 0; k < file->n_dependency; k++) {
            const struct catalog_file *import = catalog_file_named(catalog, file->dependency[k]);
            if (import != NULL && !closure_has(closure, import))
                closure->files[closure->count++] = import;
        }
    }
}

/* As bytes, because the type's name differs between the versions. */
static int response_send(struct crpc_call *call, const reflection_response *response)
{
    size_t size = protobuf_c_message_get_packed_size(&response->base);
    void *data = malloc(size);
    if (data == NULL)
        return CRPC_ENOMEM;
    protobuf_c_message_pack(&response->base, data);
    int rc = crpc_call_send_owned(call, data, size);
    if (rc != 0)
        free(data);
    return rc;
}

static int error_send(struct crpc_call *call, reflection_response *response, enum crpc_code code,
                      const char *text)
{
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    error.error_code = code;
    error.error_message = (char *)(uintptr_t)text;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response->error_response = &error;
    return response_send(call, response);
}

/* Answers with the serialised files of the closure. */
static int closure_send(struct crpc_call *call, reflection_response *response,
                        const struct closure *closure)
{
    Grpc__Reflection__V1__FileDescriptorResponse files =
        GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    files.file_descriptor_proto = calloc(closure->count, sizeof(*files.file_descriptor_proto));
    if (files.file_descriptor_proto == NULL)
        return CRPC_ENOMEM;
    files.n_file_descriptor_proto = closure->count;
    for (size_t i = 0; i < closure->count; i++) {
        files.file_descriptor_proto[i].data = (uint8_t *)(uintptr_t)closure->files[i]->bytes.data;
        files.file_descriptor_proto[i].len = closure->files[i]->bytes.size;
    }
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response->file_descriptor_response = &files;
    int rc = response_send(call, response);
    free(files.file_descriptor_proto);
    return rc;
}

static int file_send(struct crpc_call *call, reflection_response *response,
                     const struct catalog *catalog, const struct catalog_file *file)
{
    struct closure closure = {.count = 0};

    if (file == NULL)
        return error_send(call, response, CRPC_NOT_FOUND, "no such file or symbol");
    closure.files = calloc(catalog->count, sizeof(*closure.files));
    if (closure.files == NULL)
        return CRPC_ENOMEM;
    closure_fill(&closure, catalog, file);
    int rc = closure_send(call, response, &closure);
    free(closure.files);
    return rc;
}

static int services_send(struct crpc_call *call, reflection_response *response,
                         const struct crpc_server *server)
{
    Grpc__Reflection__V1__ListServiceResponse list =
        GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1__ServiceResponse *services =
        calloc(server->service_count, sizeof(*services));
    list.service = calloc(server->service_count, sizeof(*list.service));
    int rc = CRPC_ENOMEM;
    if (services != NULL && list.service != NULL) {
        for (size_t i = 0; i < server->service_count; i++) {
            grpc__reflection__v1__service_response__init(&services[i]);
            services[i].name = (char *)(uintptr_t)server->services[i]->name;
            list.service[i] = &services[i];
        }
        list.n_service = server->service_count;
        response->message_response_case =
            GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
        response->list_services_response = &list;
        rc = response_send(call, response);
    }
    free(services);
    free(list.service);
    return rc;
}

/* protobuf-c knows no extensions, so a type that exists has none. */
static int extensions_send(struct crpc_call *call, reflection_response *response,
                           const struct catalog *catalog, char *type)
{
    Grpc__Reflection__V1__ExtensionNumberResponse numbers =
        GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    if (catalog_file_defining(catalog, type) == NULL)
        return error_send(call, response, CRPC_NOT_FOUND, "no such type");
    numbers.base_type_name = type;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    response->all_extension_numbers_response = &numbers;
    return response_send(call, response);
}

static int answer(struct crpc_call *call, const struct crpc_server *server,
                  reflection_request *request)
{
    const struct catalog *catalog = &server->catalog;
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;

    response.valid_host = request->host;
    response.original_request = request;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        return file_send(call, &response, catalog,
                         catalog_file_named(catalog, request->file_by_filename));
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        return file_send(call, &response, catalog,
                         catalog_file_defining(catalog, request->file_containing_symbol));
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        return services_send(call, &response, server);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        return extensions_send(call, &response, catalog, request->all_extension_numbers_of_type);
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        return error_send(call, &response, CRPC_NOT_FOUND, "no such extension");
    default:
        return error_send(call, &response, CRPC_INVALID_ARGUMENT, "nothing is asked for");
    }
}

static void on_message(struct crpc_call *call, struct crpc_bytes bytes, void *ctx)
{
    struct reflection_stream *stream = ctx;
    ProtobufCMessage *message;
    const ProtobufCMessageDescriptor *type =
        &grpc__reflection__v1__server_reflection_request__descriptor;

    if (crpc_message_decode(&message, type, bytes, 0) != 0) {
        crpc_call_fail(call, CRPC_INVALID_ARGUMENT, "not a reflection request");
        return;
    }
    if (answer(call, stream->reflection->server, (reflection_request *)message) != 0)
        crpc_call_fail(call, CRPC_INTERNAL, "no answer could be made");
    crpc_message_free(message);
}

static void on_sent(struct crpc_call *call, bool ok, void *ctx)
{
    (void)ctx;
    if (ok)
        crpc_call_read(call);
}

static void on_half_closed(struct crpc_call *call, void *ctx)
{
    struct crpc_status ok = {.code = CRPC_OK, .message = ""};
    (void)ctx;
    crpc_call_finish(call, &ok);
}

static void on_end(struct crpc_call *call, const struct crpc_status *status, void *ctx)
{
    struct reflection_stream *stream = ctx;
    struct reflection *reflection = stream->reflection;
    (void)status;
    pthread_mutex_lock(&reflection->lock);
    if (stream->prev != NULL)
        stream->prev->next = stream->next;
    else
        reflection->streams = stream->next;
    if (stream->next != NULL)
        stream->next->prev = stream->prev;
    pthread_mutex_unlock(&reflection->lock);
    free(stream);
    crpc_call_unref(call);
}

static void on_open(struct crpc_call *call, void *ctx)
{
    static const struct crpc_call_events events = {.on_message = on_message,
                                                   .on_half_closed = on_half_closed,
                                                   .on_sent = on_sent,
                                                   .on_end = on_end};
    struct reflection *reflection = ctx;
    struct reflection_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL) {
        crpc_call_fail(call, CRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    stream->reflection = reflection;
    stream->call = call;
    crpc_call_ref(call);
    crpc_call_events_set(call, &events, stream);
    pthread_mutex_lock(&reflection->lock);
    stream->next = reflection->streams;
    if (reflection->streams != NULL)
        reflection->streams->prev = stream;
    reflection->streams = stream;
    pthread_mutex_unlock(&reflection->lock);
    crpc_call_read(call);
}

static const struct crpc_handler handlers[] = {
    {.method = "ServerReflectionInfo", .kind = CRPC_BIDIRECTIONAL, .on_open = on_open},
};

int reflection_new(struct reflection **out, struct crpc_server *server)
{
    struct reflection *reflection = calloc(1, sizeof(*reflection));
    if (reflection == NULL)
        return CRPC_ENOMEM;
    pthread_mutex_init(&reflection->lock, NULL);
    reflection->server = server;
    int rc = crpc_server_add_service(server, &grpc__reflection__v1__server_reflection__descriptor,
                                     handlers, 1, reflection);
    if (rc == 0)
        rc = crpc_server_add_service(server,
                                     &grpc__reflection__v1alpha__server_reflection__descriptor,
                                     handlers, 1, reflection);
    if (rc != 0) {
        reflection_free(reflection);
        return rc;
    }
    *out = reflection;
    return 0;
}

void reflection_free(struct reflection *reflection)
{
    if (reflection == NULL)
        return;
    pthread_mutex_destroy(&reflection->lock);
    free(reflection);
}

void reflection_stop(struct reflection *reflection)
{
    pthread_mutex_lock(&reflection->lock);
    for (struct reflection_stream *stream = reflection->streams; stream != NULL;
         stream = stream->next)
        crpc_call_fail(stream->call, CRPC_UNAVAILABLE, "the server is stopping");
    pthread_mutex_unlock(&reflection->lock);
}
