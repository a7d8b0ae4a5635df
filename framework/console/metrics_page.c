/* SPDX-License-Identifier: Apache-2.0
 *
 * /metrics, for collectors; /healthz and /readyz, for what starts, stops and balances.
 */
#include "parts.h"
#include "session.h"

#include <metrics.h>

#include <string.h>
#include <tercet/v1/tercet.pb-c.h>

#define HELD_UP_MS_MAX 10000 /* longer than this: the coordinator's thread is stuck */

/* -- Metrics ----------------------------------------------------------------------------------- */

/* Who may look at the statistics may scrape. 0, or a code of gRPC with `text`. */
static int check_rights(const struct request *request, char *text)
{
    const Tercet__V1__StatisticsRequest none = TERCET__V1__STATISTICS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    if (!request->console->has_access || request->console->are_metrics_open)
        return CRPC_OK;
    struct session session;
    struct link_caller caller = {.token = request_bearer(request)};
    if (caller.token == NULL && request_session(request, &session)) /* the console's own pages */
        caller.token = session.token;
    certificate_names(caller.names, request);
    int code = link_call(&reply, request->console, &tercet__v1__admin__descriptor, "GetStatistics",
                         &none.base, &caller, text);
    crpc_message_free(reply);
    return code;
}

static enum MHD_Result refuse(const struct request *request, int code, const char *text)
{
    static const char advice[] = "give a token of the role reader (Authorization: Bearer ...), or "
                                 "start tercetd with --metrics-open";
    const bool is_about_rights = code == CRPC_UNAUTHENTICATED || code == CRPC_PERMISSION_DENIED;
    return reply_text(request, link_http_status(code), "%s%s%s", text, is_about_rights ? ": " : "",
                      is_about_rights ? advice : "");
}

static bool wants_openmetrics(const struct request *request)
{
    const char *accept = request_header(request, "Accept");
    return accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
}

static enum MHD_Result send_text(const struct request *request, struct tercet_metrics_text *text,
                                 bool is_open)
{
    const char *data;
    size_t size;
    if (tercet_metrics_text_end(text, &data, &size) != 0)
        return reply_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    return reply_copy(request, MHD_HTTP_OK,
                      is_open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                              : "text/plain; version=0.0.4; charset=utf-8",
                      data, size);
}

static void add_connections(struct console *console, struct tercet_metrics_text *text)
{
    struct samples samples = {0};
    struct door *door = &console->door;
    samples_add(&samples, METRIC_HTTP_CONNECTIONS, (double)atomic_load(&door->accepted), "accepted",
                NULL, NULL);
    samples_add(&samples, METRIC_HTTP_CONNECTIONS, (double)atomic_load(&door->refused), "refused",
                NULL, NULL);
    samples_add(&samples, METRIC_HTTP_CONNECTIONS, (double)atomic_load(&door->cut), "cut", NULL,
                NULL);
    samples_visit(&samples, tercet_metrics_text_add, text);
    samples_clear(&samples);
}

enum MHD_Result serve_metrics(const struct request *request)
{
    struct console *console = request->console;
    struct tercet_metrics_text *text = NULL;
    char why[CRPC_STATUS_TEXT_MAX + 1];
    const bool is_open = wants_openmetrics(request);
    int code = check_rights(request, why);
    if (code != CRPC_OK)
        return refuse(request, code, why);
    if (tercet_metrics_text_new(&text, is_open ? TERCET_METRICS_OPENMETRICS
                                               : TERCET_METRICS_PROMETHEUS) != 0)
        return reply_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
    enum MHD_Result rc;
    if (tercet_coordinator_metrics(console->coordinator, tercet_metrics_text_add, text) != 0) {
        rc = reply_text(request, MHD_HTTP_SERVICE_UNAVAILABLE, "the coordinator does not answer");
    } else {
        add_connections(console, text);
        if (console->add_metrics != NULL)
            console->add_metrics(tercet_metrics_text_add, text);
        rc = send_text(request, text, is_open);
    }
    tercet_metrics_text_free(text);
    return rc;
}

/* -- Health ------------------------------------------------------------------------------------ */

/* Why it is not alive; NULL: it is. Whoever may ask without a token must cost nothing. */
static const char *what_ails(struct tercet_coordinator_health *health,
                             const struct request *request)
{
    *health = (struct tercet_coordinator_health){.size = sizeof(*health)};
    tercet_coordinator_health(request->console->coordinator, health);
    if (health->held_up_ms > HELD_UP_MS_MAX)
        return "the coordinator does not answer";
    return health->has_failed ? "the store has failed: restart the coordinator" : NULL;
}

enum MHD_Result serve_health(const struct request *request)
{
    struct tercet_coordinator_health health;
    const char *wrong = what_ails(&health, request);
    return reply_text(request, wrong == NULL ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "%s",
                      wrong == NULL ? "ok" : wrong);
}

enum MHD_Result serve_ready(const struct request *request)
{
    struct tercet_coordinator_health health;
    const char *wrong = what_ails(&health, request);
    if (wrong == NULL && !health.is_accepting)
        wrong = "new transactions are refused: see tercetctl stats";
    return reply_text(request, wrong == NULL ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, "%s",
                      wrong == NULL ? "ok" : wrong);
}
