/* SPDX-License-Identifier: Apache-2.0
 *
 * PEM texts made into gRPC's credentials.
 */
#ifndef CRPC_TLS_H
#define CRPC_TLS_H

#include "core_version.h"

#include <crpc/crpc.h>

/* Credentials; both: NULL tls means plaintext. Errors: CRPC_ETLS when the texts are not PEM or one
 * is missing; CRPC_EINVAL. */
int tls_server_credentials(grpc_server_credentials **out, const struct crpc_tls *tls);
int tls_channel_credentials(grpc_channel_credentials **out, const struct crpc_tls *tls);

/* What one listener shows, which may change while it listens. */
struct tls_feed;
int tls_feed_new(struct tls_feed **out, const struct crpc_tls *tls);
void tls_feed_free(struct tls_feed *feed);
/* For one listener; two would each miss half of what is new. */
int tls_feed_credentials(grpc_server_credentials **out, struct tls_feed *feed);
/* New texts for handshakes that begin from now on. CRPC_EINVAL: a client's certificate is asked for
 * as before, or not. */
int tls_feed_set(struct tls_feed *feed, const struct crpc_tls *tls);

/* Whether gRPC takes these credentials, tried on a port of its own: it does not tell a bad
 * certificate from a bad address. */
bool tls_server_usable(grpc_server_credentials *credentials);

#endif
