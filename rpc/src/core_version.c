/* SPDX-License-Identifier: Apache-2.0
 *
 * core_version.h, for the gRPC cores 29 (1.51) and 56 (1.83).
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
#ifdef CRPC_CORE_HAS_LOG_FUNCTION
#include <grpc/support/log.h>
#endif
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
    static const char *const known[] = {"29.", "56."}; /* 1.51, 1.83 */
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strncmp(grpc_version_string(), known[i], strlen(known[i])) == 0)
            return true;
    return false;
}

const char *crpc_core_version(void)
{
    return grpc_version_string();
}

#ifdef CRPC_CORE_HAS_LOG_FUNCTION
static core_log_fn on_core_line;

static void on_line(gpr_log_func_args *line)
{
    on_core_line(line->severity == GPR_LOG_SEVERITY_ERROR, line->message);
}

void core_set_log(core_log_fn on_line_said)
{
    on_core_line = on_line_said;
    gpr_set_log_function(on_line);
}
#else
void core_set_log(core_log_fn on_line_said)
{
    (void)on_line_said;
}
#endif

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
