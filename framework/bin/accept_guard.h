/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps the gRPC library's listeners alive when descriptors run out. gRPC 1.51 gives a listener up
 * for good at the first accept4 that fails with anything but EAGAIN and EINTR (CVE-2023-4785). The
 * program's own accept4, which is found before the C library's, refuses connections instead: it
 * accepts and closes them, so that those who wait are told and the listener is drained.
 */
#ifndef TERCET_ACCEPT_GUARD_H
#define TERCET_ACCEPT_GUARD_H

#include <tercet/types.h>

/* Connections leave so many descriptors free (of a limit below twice of it, half), for the calls of
 * registered targets and whatever else releases resources. */
#define ACCEPT_GUARD_RESERVE 32

/* Takes the descriptor that is given up when even the reserve is gone, and says who is told of
 * refused connections: at most one line in ten seconds, from any thread. Before the first listener.
 */
void accept_guard_open(tercet_log_fn on_log, void *log_ctx);

#endif
