/* SPDX-License-Identifier: Apache-2.0
 *
 * What is checked at the door: ids, names, sizes, counts, text. Each check returns NULL, or a
 * constant text that names the limit and says what to do; it becomes the text of an
 * INVALID_ARGUMENT or a TERCET_INVALID.
 */
#ifndef TERCET_CHECK_H
#define TERCET_CHECK_H

#include <refusal.h>
#include <stdbool.h>
#include <stddef.h>
#include <tercet/types.h>

const char *check_gid(const char *gid);

/* "service/name"; both parts 1 or more of [A-Za-z0-9_.-]. */
const char *check_action(const char *action);
const char *check_service(const char *service);
const char *check_action_name(const char *name);

/* Where a participant is called: "host:port" with or without a scheme such as "dns:///", or
 * "unix:/path". gRPC itself takes anything and finds out when it connects. */
const char *check_target(const char *target);

/* What a bearer of it may do: printable ASCII without spaces, at most CHECK_TOKEN_MAX; "": none. */
#define CHECK_TOKEN_MAX 255
const char *check_token(const char *token);

/* A person's or a program's words: UTF-8, at most TERCET_TEXT_MAX bytes. */
const char *check_text(const char *text);
const char *check_payload_size(size_t size);
const char *check_branch_number(uint32_t number);
const char *check_metadata_entry(const char *key, const char *value);
/* Metadata that tells of one attempt, not of the transaction: trace context, which a repeat has its
 * own of. */
bool check_is_trace(const char *key);
const char *check_metadata_size(size_t entry_count, size_t byte_count);

/* The PEM texts of one end's options: a certificate and its key belong together; a server needs
 * them to ask for its clients' (`ca`), a client needs `ca` ("" where the system's roots will do) to
 * show its own. */
const char *check_tls_server(const char *ca, const char *cert, const char *key);
const char *check_tls_client(const char *ca, const char *cert, const char *key);

#endif
