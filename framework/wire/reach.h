/* SPDX-License-Identifier: Apache-2.0
 *
 * How far an address reaches. Pure functions of its text; any thread.
 */
#ifndef TERCET_WIRE_REACH_H
#define TERCET_WIRE_REACH_H

#include <stdbool.h>
#include <stdint.h>

/* The address without "dns:///", "dns:", "ipv4:" or "ipv6:" before it: a view. */
const char *reach_host(const char *address);

/* Whether nobody on another machine can be meant: a unix socket, localhost, ::1, or a number from
 * 127.0.0.0/8. A name that only begins so ("127.example.org") is not local. */
bool reach_is_local(const char *address);

/* The same, and what is this machine's own address in other words: 0.0.0.0, [::], and peers as gRPC
 * writes them. */
bool reach_is_here(const char *address);

/* Bytes of an IPv6 address that are a network, such as one customer gets: who has one has all the
 * addresses in it. */
#define REACH_NETWORK_SIZE 8

/* What counts as one where something is limited by address: an IPv4 address (mapped into IPv6), or
 * an IPv6 network with zeros behind it. `peer` is as gRPC writes peers; false: it is none of
 * these, such as a unix socket. */
bool reach_origin(uint8_t out[16], const char *peer);

#endif
