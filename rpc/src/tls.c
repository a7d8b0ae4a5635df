/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS credentials.
 */
#include "tls.h"

#include "util.h"

#include <grpc/support/time.h>
#include <pthread.h>
#include <stdlib.h>
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
    if (options_copy(out, sizeof(*out), given) != 0)
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
    int rc = tls_read(&tls, given);
    if (rc != 0)
        return rc;
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
    int rc = tls_read(&tls, given);
    if (rc != 0)
        return rc;
    grpc_ssl_pem_key_cert_pair pair = {tls.key, tls.cert};
    *out = grpc_ssl_credentials_create_ex(tls.ca, tls.cert != NULL ? &pair : NULL, NULL, NULL);
    return *out != NULL ? 0 : CRPC_ETLS;
}

/* -- Feeds ------------------------------------------------------------------------------------- */

/* gRPC asks at each handshake and does not say when it has asked for the last time, which may be
 * after the server was freed. So a feed is never given back to the system, but used again. */
struct tls_feed {
    struct tls_feed *next; /* of those that are not in use */
    char *ca, *cert, *key; /* cert NULL: not in use */
    bool has_news;
};

static struct {
    pthread_mutex_t lock; /* over this and all feeds */
    struct tls_feed *unused;
} feeds = {.lock = PTHREAD_MUTEX_INITIALIZER};

static grpc_ssl_certificate_config_reload_status
feed_fetch(void *feed_given, grpc_ssl_server_certificate_config **config)
{
    struct tls_feed *feed = feed_given;
    grpc_ssl_certificate_config_reload_status status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    pthread_mutex_lock(&feeds.lock);
    if (feed->has_news && feed->cert != NULL) {
        grpc_ssl_pem_key_cert_pair pair = {feed->key, feed->cert};
        /* gRPC wants roots even where no client is asked for a certificate. */
        const char *roots = feed->ca != NULL ? feed->ca : feed->cert;
        *config = grpc_ssl_server_certificate_config_create(roots, &pair, 1);
        feed->has_news = false;
        status = GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
    }
    pthread_mutex_unlock(&feeds.lock);
    return status;
}

static void texts_free(char *ca, char *cert, char *key)
{
    free(ca);
    free(cert);
    free(key);
}

/* Under no lock. */
static int feed_fill(struct tls_feed *feed, const struct crpc_tls *tls)
{
    char *ca = tls->ca != NULL ? strdup(tls->ca) : NULL;
    char *cert = strdup(tls->cert);
    char *key = strdup(tls->key);
    if (cert == NULL || key == NULL || (ca == NULL && tls->ca != NULL)) {
        texts_free(ca, cert, key);
        return CRPC_ENOMEM;
    }
    pthread_mutex_lock(&feeds.lock);
    struct tls_feed old = *feed;
    feed->ca = ca;
    feed->cert = cert;
    feed->key = key;
    feed->has_news = true;
    pthread_mutex_unlock(&feeds.lock);
    texts_free(old.ca, old.cert, old.key);
    return 0;
}

static struct tls_feed *feed_take(void)
{
    pthread_mutex_lock(&feeds.lock);
    struct tls_feed *feed = feeds.unused;
    if (feed != NULL)
        feeds.unused = feed->next;
    pthread_mutex_unlock(&feeds.lock);
    return feed != NULL ? feed : calloc(1, sizeof(*feed));
}

int tls_feed_new(struct tls_feed **out, const struct crpc_tls *given)
{
    struct crpc_tls tls;
    int rc = tls_read(&tls, given);
    if (rc != 0 || tls.cert == NULL)
        return rc != 0 ? rc : CRPC_ETLS;
    struct tls_feed *feed = feed_take();
    if (feed == NULL)
        return CRPC_ENOMEM;
    rc = feed_fill(feed, &tls);
    if (rc != 0) {
        tls_feed_free(feed);
        return rc;
    }
    *out = feed;
    return 0;
}

void tls_feed_free(struct tls_feed *feed)
{
    if (feed == NULL)
        return;
    pthread_mutex_lock(&feeds.lock);
    texts_free(feed->ca, feed->cert, feed->key);
    *feed = (struct tls_feed){.next = feeds.unused};
    feeds.unused = feed;
    pthread_mutex_unlock(&feeds.lock);
}

int tls_feed_credentials(grpc_server_credentials **out, struct tls_feed *feed)
{
    *out = grpc_ssl_server_credentials_create_with_options(
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            feed->ca != NULL ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                             : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
            feed_fetch, feed));
    return *out != NULL ? 0 : CRPC_ETLS;
}

int tls_feed_set(struct tls_feed *feed, const struct crpc_tls *given)
{
    struct crpc_tls tls;
    int rc = tls_read(&tls, given);
    if (rc != 0 || tls.cert == NULL)
        return rc != 0 ? rc : CRPC_ETLS;
    if ((tls.ca == NULL) != (feed->ca == NULL))
        return CRPC_EINVAL;
    return feed_fill(feed, &tls);
}
