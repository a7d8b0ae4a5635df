/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd's HTTP door: metrics for a collector, health for a load balancer, and the console for
 * people. It stands beside the coordinator as any other client does: what it shows and does goes
 * through the service Admin with the rights of whoever is signed in.
 */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdbool.h>
#include <tercet/coordinator.h>

struct console;

struct console_options {
    const char *address;    /* "host:port" */
    const char *cert, *key; /* PEM texts: HTTPS; NULL: plaintext */
    /* PEM text: clients are asked for a certificate of this CA, and who has none signs in by a
     * token. Needs `secret`, the coordinator's own_secret. NULL: none is asked for */
    const char *ca;
    const char *secret;
    const char *link;      /* address of the coordinator's Admin service, plaintext */
    bool has_access;       /* the coordinator has access rules: calls need tokens */
    bool are_metrics_open; /* the metrics need none */
    tercet_log_fn on_log;  /* any thread */
    /* Adds series of the program's own to the metrics; NULL: there are none. Any thread. */
    void (*add_metrics)(tercet_metric_fn each, void *ctx);
};

/* Serves until closed. An error says in `text` (TERCET_TEXT_MAX bytes) what to do. The options'
 * strings are copied; the coordinator outlives the console. */
int console_open(struct console **out, struct tercet_coordinator *coordinator,
                 const struct console_options *options, char *text);

/* Where it listens: "http://127.0.0.1:7421". Lives as long as the console. */
const char *console_url(const struct console *console);

/* New PEM texts (`ca` as it was: NULL or not) for connections that begin from now on; those that
 * are there end. TERCET_TLS: the old ones stay. Not from two threads at once. */
int console_set_tls(struct console *console, const char *cert, const char *key, const char *ca,
                    char *text);

/* Ends every connection and waits for what is being answered, some seconds at most. */
void console_close(struct console *console);

#endif
