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

struct access;

/* Reads the lines of tercet_coordinator_options.access; NULL: everybody may do everything. 0,
 * TERCET_INVALID with a text that names the line, or TERCET_NOMEM. */
int access_new(struct access **out, const char *lines, struct refusal *no);
void access_free(struct access *access);
/* From here on health, too, is for those who have some role. Before calls come. */
void access_guard_health(struct access *access);

/* Takes these lines in place of its own, which stay when TERCET_INVALID is returned. Any thread. */
int access_replace(struct access *access, const char *lines, struct refusal *no);

/* What the caller may do, by the rules as they are now; rights_clear it. false: no memory. */
bool access_rights(struct access *access, struct crpc_call *call, struct rights *out);

/* For crpc_server_options.authorize, with the struct access as ctx. */
bool access_authorize(struct crpc_call *call, struct crpc_status *why, void *ctx);

#endif
