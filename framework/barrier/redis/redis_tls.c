/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_tls.h. Not with hiredis's own context: that one looks at no names.
 */
#include "redis_tls.h"

#include <string.h>

static bool is_wanted(const struct location *location)
{
    return strncmp(location->url, "rediss://", 9) == 0;
}

#ifdef TERCET_REDIS_TLS
#include <arpa/inet.h>
#include <hiredis/hiredis_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

const char *tls_check(const struct location *location)
{
    char value[256] = "";
    bool has_file = location_option(location, "tls-ca", value, sizeof(value)) ||
                    location_option(location, "tls-cert", value, sizeof(value)) ||
                    location_option(location, "tls-key", value, sizeof(value));
    if (is_wanted(location) && location->host[0] == '\0')
        return "rediss:// needs a host, whose name is that of the certificate";
    return has_file && !is_wanted(location) ? "tls-ca, tls-cert and tls-key are for rediss:// only"
                                            : NULL;
}

static bool use_files(SSL_CTX *context, const struct location *location)
{
    char file[256] = "";
    bool ok = location_option(location, "tls-ca", file, sizeof(file))
                  ? SSL_CTX_load_verify_locations(context, file, NULL) == 1
                  : SSL_CTX_set_default_verify_paths(context) == 1;
    if (ok && location_option(location, "tls-cert", file, sizeof(file)))
        ok = SSL_CTX_use_certificate_chain_file(context, file) == 1;
    if (ok && location_option(location, "tls-key", file, sizeof(file)))
        ok = SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) == 1;
    return ok;
}

static int make_context(struct redis *redis)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL)
        return TERCET_NOMEM;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (use_files(context, &redis->location)) {
        redis->tls = context;
        return 0;
    }
    SSL_CTX_free(context);
    const char *reason = ERR_reason_error_string(ERR_get_error());
    return redis_fail(redis, "tls-ca, tls-cert or tls-key cannot be used",
                      reason != NULL ? reason : "is it there?");
}

/* The server is who the URL says. */
static bool expect_name(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

int tls_begin(struct redis *redis)
{
    if (!is_wanted(&redis->location))
        return 0;
    int rc = redis->tls == NULL ? make_context(redis) : 0;
    if (rc != 0)
        return rc;
    SSL *ssl = SSL_new(redis->tls);
    if (ssl == NULL)
        return TERCET_NOMEM;
    if (!expect_name(ssl, redis->location.host)) {
        SSL_free(ssl);
        return redis_fail(redis, "TLS", "the host's name cannot be checked");
    }
    if (redisInitiateSSL(redis->conn, ssl) == REDIS_OK) /* takes it over, then only */
        return 0;
    long verified = SSL_get_verify_result(ssl);
    SSL_free(ssl);
    return redis_fail(redis, "TLS",
                      verified != X509_V_OK ? X509_verify_cert_error_string(verified)
                                            : redis->conn->errstr);
}

void tls_free(struct redis *redis)
{
    SSL_CTX_free(redis->tls);
}

#else

const char *tls_check(const struct location *location)
{
    return is_wanted(location)
               ? "this build has no TLS to Redis: it needs hiredis 1.0 or newer with its library "
                 "hiredis_ssl; or let a tunnel (stunnel, a sidecar) on this machine speak TLS"
               : NULL;
}

int tls_begin(struct redis *redis)
{
    (void)redis;
    return 0;
}

void tls_free(struct redis *redis)
{
    (void)redis;
}
#endif
