/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of integer and text arguments for a server or channel.
 */
#ifndef CRPC_ARGS_H
#define CRPC_ARGS_H

#include <grpc/grpc.h>

#define ARGS_MAX 48

struct args {
    grpc_arg list[ARGS_MAX];
    size_t count;
};

/* The key, and the text, must outlive the list. */
void args_add(struct args *args, const char *key, size_t value);
void args_add_text(struct args *args, const char *key, const char *text);

void args_add_pointer(struct args *args, const char *key, void *pointer,
                      const grpc_arg_pointer_vtable *table);

/* What servers and channels have in common. A window of 0 is gRPC's own. */
void args_add_common(struct args *args, size_t message_size_max, size_t metadata_size_max,
                     size_t stream_window_size);

#endif
