/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS credentials.
 */
#include "tls.h"

#include "util.h"

#include <grpc/support/time.h>
#include <string.h>

static bool is_certificate(const char *pem)
{
    return strstr(pem, "-----BEGIN CERTIFICATE-----") != NULL;
}

static bool is_key(const char *pem)
{
    return strstr(pem, "PRIVATE KEY-----") != NULL;
}

/* All texts that are there look right, and a certificate has its key. */
static int tls_read(struct crpc_tls *out, const struct crpc_tls *given)
{
    if (options_copy(out, sizeof *out, given) != 0)
        return CRPC_EINVAL;
    if ((out->cert == NULL) != (out->key == NULL))
        return CRPC_ETLS;
    if (out->cert != NULL && (!is_certificate(out->cert) || !is_key(out->key)))
        return CRPC_ETLS;
    return out->ca != NULL && !is_certificate(out->ca) ? CRPC_ETLS : 0;
}

int tls_server_credentials(grpc_server_credentials **out, const struct crpc_tls *given)
{
    struct crpc_tls tls;

    if (given == NULL) {
        *out = grpc_insecure_server_credentials_create();
        return 0;
    }
    int result = tls_read(&tls, given);
    if (result != 0)
        return result;
    if (tls.cert == NULL)
        return CRPC_ETLS;
    grpc_ssl_pem_key_cert_pair pair = {tls.key, tls.cert};
    *out = grpc_ssl_server_credentials_create_ex(
        tls.ca, &pair, 1,
        tls.ca != NULL ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                       : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        NULL);
    return *out != NULL ? 0 : CRPC_ETLS;
}

/* A server that has ports must be shut down before it is destroyed. */
static void probe_free(grpc_server *probe, grpc_completion_queue *queue)
{
    grpc_server_shutdown_and_notify(probe, queue, probe);
    grpc_completion_queue_pluck(queue, probe, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_server_destroy(probe);
    grpc_completion_queue_shutdown(queue);
    grpc_completion_queue_destroy(queue);
}

bool tls_server_usable(grpc_server_credentials *credentials)
{
    grpc_completion_queue *queue = grpc_completion_queue_create_for_pluck(NULL);
    grpc_server *probe = grpc_server_create(NULL, NULL);
    int port = grpc_server_add_http2_port(probe, "127.0.0.1:0", credentials);
    probe_free(probe, queue);
    return port > 0;
}

int tls_channel_credentials(grpc_channel_credentials **out, const struct crpc_tls *given)
{
    struct crpc_tls tls;

    if (given == NULL) {
        *out = grpc_insecure_credentials_create();
        return 0;
    }
    int result = tls_read(&tls, given);
    if (result != 0)
        return result;
    grpc_ssl_pem_key_cert_pair pair = {tls.key, tls.cert};
    *out = grpc_ssl_credentials_create_ex(tls.ca, tls.cert != NULL ? &pair : NULL, NULL, NULL);
    return *out != NULL ? 0 : CRPC_ETLS;
}
