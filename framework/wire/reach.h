/* SPDX-License-Identifier: Apache-2.0
 *
 * How far an address reaches. Pure functions of its text; any thread.
 */
#ifndef TERCET_WIRE_REACH_H
#define TERCET_WIRE_REACH_H

#include <stdbool.h>

/* The address without "dns:///", "dns:", "ipv4:" or "ipv6:" before it: a view. */
const char *reach_host(const char *address);

/* Whether nobody on another machine can be meant: a unix socket, localhost, ::1, or a number from
 * 127.0.0.0/8. A name that only begins so ("127.example.org") is not local. */
bool reach_is_local(const char *address);

/* The same, and what is this machine's own address in other words: 0.0.0.0, [::], and peers as gRPC
 * writes them. */
bool reach_is_here(const char *address);

#endif
