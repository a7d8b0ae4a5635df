/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may call what. A caller proves roles by a token or by a name in its certificate; initiators'
 * and participants' may be bound to names. The same rules hold on every port and for every method,
 * reflection included; health is for everybody unless it is guarded.
 */
#ifndef TERCET_ACCESS_H
#define TERCET_ACCESS_H

#include "rights.h"

#include <crpc/crpc.h>
#include <refusal.h>
#include <tercet/types.h>

#define ACCESS_LINES_MAX 1000
#define ACCESS_NAME_MAX 47   /* bytes of whose a token is */
#define ACCESS_WHO_SIZE 256u /* and of who acts, with a NUL */

struct access;

/* Reads the lines of tercet_coordinator_options.access; NULL: everybody may do everything. 0,
 * TERCET_INVALID with a text that names the line, or TERCET_NOMEM. */
int access_new(struct access **out, const char *lines, struct refusal *no);
void access_free(struct access *access);
/* From here on health, too, is for those who have some role. Before calls come. */
void access_guard_health(struct access *access);

/* Calls that bring the secret (tercet_coordinator_options.own_secret) are believed whom they come
 * from. Before calls come; NULL: none is. */
void access_believe(struct access *access, const char *own_secret);

/* Takes these lines in place of its own, which stay when TERCET_INVALID is returned. Any thread. */
int access_replace(struct access *access, const char *lines, struct refusal *no);

/* What the caller may do, by the rules as they are now; rights_clear it. false: no memory. */
bool access_rights(struct access *access, struct crpc_call *call, struct rights *out);

/* Who it is that operates, for the audit log: the name behind the token or identity in the rules,
 * the identity itself, or the line; "": there are no rules, or none of them lets it. */
void access_name(struct access *access, struct crpc_call *call, char out[ACCESS_WHO_SIZE]);

/* For crpc_server_options.authorize, with the struct access as ctx. */
bool access_authorize(struct crpc_call *call, struct crpc_status *why, void *ctx);

#endif
