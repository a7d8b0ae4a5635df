/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS to the server (rediss://), where hiredis can: from 1.0, which Debian 12 does not have yet.
 */
#ifndef BARRIER_REDIS_TLS_H
#define BARRIER_REDIS_TLS_H

#include "redis_driver.h"

/* What is wrong with the URL; NULL: nothing. */
const char *tls_check(const struct location *location);
/* Goes on with TLS on a new connection, when the URL says so. */
int tls_begin(struct redis *redis);
void tls_free(struct redis *redis);

#endif
