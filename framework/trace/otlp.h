/* SPDX-License-Identifier: Apache-2.0
 *
 * Sends spans to a collector, by OTLP over gRPC (opentelemetry.io/docs/specs/otlp), from a thread
 * of its own: a batch at a time, again while the collector cannot take it, and never for ever.
 */
#ifndef TERCET_OTLP_H
#define TERCET_OTLP_H

#include "spans.h"

#include <crpc/crpc.h>
#include <refusal.h>

#define OTLP_PORT_DEFAULT "4317"
#define OTLP_HEADERS_MAX 16
#define OTLP_TIMEOUT_MS 10000 /* of one export */
#define OTLP_ATTEMPTS_MAX 5   /* of one batch */
#define OTLP_PAUSE_MS 1000    /* before the second; each further one is twice as long */
#define OTLP_END_MS 2000      /* for what is left when it is closed */
#define OTLP_TELL_MS 10000    /* between two lines about spans that were lost */

struct otlp;

struct otlp_options {
    const char *url;      /* "http://host[:port]" or "https://host[:port]" */
    const char *ca;       /* https: PEM of who signs its certificate; NULL: the system's roots */
    const char *headers;  /* lines "name: value", such as a token; # comments; NULL: none */
    const char *version;  /* of the program: service.version */
    const char *instance; /* service.instance.id */
    tercet_log_fn on_log;
    void *log_ctx;
};

/* Where a URL leads: "host:port" in out. NULL, or what is wrong with it. */
const char *otlp_target(char out[TERCET_TEXT_MAX], bool *is_https, const char *url);

/* Begins to send what is put into `spans`, which outlives it, over a loop that does, too. Options
 * are copied. TERCET_INVALID, TERCET_TLS, TERCET_NOMEM with a refusal. Whether there is a collector
 * is seen later. */
int otlp_open(struct otlp **out, struct crpc_loop *loop, struct spans *spans,
              const struct otlp_options *options, struct refusal *no);

/* Sends what is left, for OTLP_END_MS at most, and ends. Blocks. NULL is fine. */
void otlp_close(struct otlp *otlp);

#endif
