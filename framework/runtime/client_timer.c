/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h: the thread that ends what waited too long, asks again after a pause, and opens streams.
 */
#include "client.h"

static void end_expired(struct tercet_client *client, struct client_request *request)
{
    char text[TERCET_TEXT_MAX];
    if (request->kind == CLIENT_DROP) {
        struct client_answer answer = client_answer_new(request);
        answer.result.state = TERCET_CANCELLED;
        answer.result.cause = TERCET_CAUSE_INITIATOR;
        client_end(client, request, &answer);
        return;
    }
    pthread_mutex_lock(&client->lock);
    bool has_error = client->last_error[0] != '\0';
    runtime_text(text, "%s within the timeout; %s%s%s",
                 request->kind == CLIENT_AWAIT ? "what is awaited has not come" : "no answer",
                 request->kind == CLIENT_AWAIT ? "tercet_get tells how the transaction stands"
                                               : "ask again under the same gid",
                 has_error ? "; " : "", client->last_error);
    pthread_mutex_unlock(&client->lock);
    client_end_with(client, request, TERCET_UNKNOWN, text);
}

/* Takes the next request whose timeout has passed. Requests whose pause is over are sent again on
 * the way. */
static struct client_request *take_expired(struct tercet_client *client, int64_t now_ms)
{
    struct client_request *first;
    while ((first = client_table_first(&client->table)) != NULL && first->entry.wake_ms <= now_ms) {
        if (first->kind == CLIENT_DROP || first->deadline_ms <= now_ms) {
            client_take(client, first);
            return first;
        }
        client_ask(client, first, now_ms);
    }
    return NULL;
}

static void flush_unlocked(struct tercet_client *client)
{
    if (client->stream == NULL)
        return;
    struct client_stream *stream = client_stream_ref(client->stream);
    pthread_mutex_unlock(&client->lock);
    client_stream_flush(stream);
    client_stream_unref(stream);
    pthread_mutex_lock(&client->lock);
}

/* When the log will say that the stream is slow; never when it has said so, or when no answer is
 * due. */
static int64_t slow_ms(const struct tercet_client *client)
{
    const struct client_stream *stream = client->stream;
    if (stream == NULL || stream->has_answered || stream->is_slow_told || client->table.count == 0)
        return RUNTIME_NEVER;
    return stream->opened_ms + CLIENT_SLOW_MS;
}

/* Without this, nothing would be heard for long of a connection that is neither made nor refused.
 */
static void tell_slow(struct tercet_client *client, int64_t now_ms)
{
    if (slow_ms(client) > now_ms)
        return;
    client->stream->is_slow_told = true;
    pthread_mutex_unlock(&client->lock);
    runtime_log(&client->log, TERCET_LOG_WARNING,
                "client: no answer from the coordinator for %d ms: it cannot be reached, or all "
                "that it was asked takes long",
                CLIENT_SLOW_MS);
    pthread_mutex_lock(&client->lock);
}

/* One turn of the timer thread; releases the lock during callbacks. */
static void turn(struct tercet_client *client)
{
    struct client_request *expired;
    int64_t now_ms = clock_monotonic_ms();
    if (client->stream == NULL && client->reconnect_ms <= now_ms)
        client_stream_open(client, now_ms);
    tell_slow(client, now_ms);
    while ((expired = take_expired(client, now_ms)) != NULL) {
        pthread_mutex_unlock(&client->lock);
        end_expired(client, expired);
        pthread_mutex_lock(&client->lock);
    }
    flush_unlocked(client);
}

static int64_t next_wake_ms(const struct tercet_client *client)
{
    const struct client_request *first = client_table_first(&client->table);
    int64_t wake_ms = first != NULL ? first->entry.wake_ms : RUNTIME_NEVER;
    if (client->stream == NULL && client->reconnect_ms < wake_ms)
        wake_ms = client->reconnect_ms;
    return slow_ms(client) < wake_ms ? slow_ms(client) : wake_ms;
}

static void end_all(struct tercet_client *client)
{
    struct client_request *request;
    while ((request = client->table.oldest) != NULL) {
        client_take(client, request);
        pthread_mutex_unlock(&client->lock);
        if (request->kind == CLIENT_DROP)
            end_expired(client, request);
        else
            client_end_with(client, request, TERCET_UNKNOWN,
                            "the client was closed; ask again under the same gid");
        pthread_mutex_lock(&client->lock);
    }
}

void *client_timer_run(void *ctx)
{
    struct tercet_client *client = ctx;
    pthread_mutex_lock(&client->lock);
    while (!client->is_closing) {
        turn(client);
        client->wake_ms = next_wake_ms(client);
        if (!client->is_closing && client->wake_ms > clock_monotonic_ms())
            runtime_wait_until(&client->wake, &client->lock, client->wake_ms);
    }
    end_all(client);
    pthread_mutex_unlock(&client->lock);
    return NULL;
}
