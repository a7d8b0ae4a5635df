/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h: what a client has done, for whoever collects it.
 */
#include "client.h"

void client_note_end(struct tercet_client *client, const struct client_request *request, int code)
{
    const unsigned place = code <= 0 && code > -CLIENT_CODES ? (unsigned)-code : 0;
    atomic_fetch_add_explicit(&client->figures.ended[place], 1, memory_order_relaxed);
    shared_histogram_add(&client->figures.took, METRIC_CLIENT_DURATION,
                         clock_monotonic_ms() - request->begun_ms);
}

static void add(struct samples *samples, enum metric metric, double value)
{
    samples_add(samples, metric, value, NULL, NULL, NULL);
}

static void measure(struct samples *samples, struct tercet_client *client)
{
    pthread_mutex_lock(&client->lock);
    const bool is_connected = client->stream != NULL && client->stream->has_answered;
    const size_t count = client->table.count, bytes = client->bytes;
    pthread_mutex_unlock(&client->lock);
    add(samples, METRIC_CLIENT_CONNECTED, is_connected);
    add(samples, METRIC_CLIENT_OPEN, (double)count);
    add(samples, METRIC_CLIENT_BYTES, (double)bytes);
}

void tercet_client_metrics(struct tercet_client *client, tercet_metric_fn each, void *ctx)
{
    struct samples samples = {0};
    struct histogram took;
    if (client_check_process(client) != NULL)
        return; /* a child's copy; its lock may be held for ever */
    measure(&samples, client);
    for (int i = 0; i < CLIENT_CODES; i++) {
        const unsigned long long count =
            atomic_load_explicit(&client->figures.ended[i], memory_order_relaxed);
        if (count > 0 || i == 0)
            samples_add(&samples, METRIC_CLIENT_REQUESTS, (double)count, tercet_error_name(-i),
                        NULL, NULL);
    }
    shared_histogram_read(&took, &client->figures.took);
    samples_add_histogram(&samples, METRIC_CLIENT_DURATION, &took, NULL);
    samples_visit(&samples, each, ctx);
    samples_clear(&samples);
}
