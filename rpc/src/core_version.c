/* SPDX-License-Identifier: Apache-2.0
 *
 * core_version.h, for the gRPC core 29 (1.51).
 *
 * A port named "external:..." has no socket. gRPC then looks for an argument of that name and
 * writes a handler there, an object with one method that takes connected sockets as if the port had
 * accepted them: with TLS and all. Only its C++ library uses this; from C the method is called
 * through the object's table, whose layout the C++ ABI of the platform (Itanium) lays down.
 */
#include "core_version.h"

#include <assert.h>
#include <crpc/crpc.h>
#include <grpc/byte_buffer.h>
#include <grpc/grpc_security.h>
#include <stdio.h>
#include <string.h>

struct fd_handler;

struct fd_handler_table {
    void (*destroy)(struct fd_handler *self);
    void (*destroy_and_free)(struct fd_handler *self);
    void (*handle)(struct fd_handler *self, int listener, int fd, grpc_byte_buffer *pending);
};

struct fd_handler {
    const struct fd_handler_table *table;
};

bool core_can_adopt(void)
{
    return strncmp(grpc_version_string(), "29.", 3) == 0;
}

const char *crpc_core_version(void)
{
    return grpc_version_string();
}

static void *pointer_copy(void *pointer)
{
    return pointer;
}

static void pointer_destroy(void *pointer)
{
    (void)pointer;
}

static int pointer_compare(void *a, void *b)
{
    return (a > b) - (a < b);
}

void adopters_add_args(struct args *args, struct adopter adopters[ADOPTERS_MAX])
{
    static const grpc_arg_pointer_vtable table = {pointer_copy, pointer_destroy, pointer_compare};

    for (int i = 0; i < ADOPTERS_MAX && core_can_adopt(); i++) {
        snprintf(adopters[i].name, sizeof(adopters[i].name), "external:%d", i);
        args_add_pointer(args, adopters[i].name, &adopters[i].handler, &table);
    }
}

bool adopter_open(struct adopter *adopter, grpc_server *core, grpc_server_credentials *credentials)
{
    /* The answer is a port, of which there is none. */
    grpc_server_add_http2_port(core, adopter->name, credentials);
    return adopter->handler != NULL;
}

void adopter_take(const struct adopter *adopter, int listener, int fd)
{
    struct fd_handler *handler = adopter->handler;
    assert(handler != NULL);
    handler->table->handle(handler, listener, fd, NULL);
}
