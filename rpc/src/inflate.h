/* SPDX-License-Identifier: Apache-2.0
 *
 * Compressed messages are made plain here and not by gRPC, which would inflate all of a message
 * before it looks at its size.
 */
#ifndef CRPC_INFLATE_H
#define CRPC_INFLATE_H

#include <grpc/grpc.h>

/* The plain bytes of a message compressed by gzip or deflate; never more than size_max bytes are
 * made. Errors: CRPC_ETOOBIG, CRPC_EDECODE (not compressed so, cut short, or with something behind
 * it), CRPC_ENOMEM. */
int inflate_message(grpc_slice *out, const grpc_byte_buffer *buffer, size_t size_max);

#endif
