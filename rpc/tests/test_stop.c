/* SPDX-License-Identifier: Apache-2.0
 *
 * Stopping: with grace, at once, twice, and from threads that still hold calls.
 */
#include "echo.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct echo echo;

static void setup(void)
{
    echo_start(&echo, NULL, NULL);
}

static void teardown(void)
{
    echo_stop(&echo);
}

TestSuite(stop, .init = setup, .fini = teardown, .timeout = 240);

struct client {
    struct event done;
    int code;
};

static void on_done(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    struct client *client = ctx;
    (void)reply;
    client->code = status->code;
    event_post(&client->done);
}

/* Without a deadline, which would end the call by itself. */
static void hold_start(struct client *client)
{
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    item.text = (char[]){"hold"};
    *client = (struct client){EVENT_INIT, -1};
    cr_assert_eq(crpc_unary_start(NULL, echo.channel, &crpc__test__echo__descriptor, "Unary",
                                  &item.base, NULL, on_done, client),
                 0);
    cr_assert(event_wait(&echo.log.opened, 1));
}

static void *stop_run(void *arg)
{
    crpc_server_stop(echo.server, WAIT_S * 1000);
    event_post(arg);
    return NULL;
}

/* New calls are refused once the stop has begun; that is how to know that it has. */
static void wait_for_refusal(void)
{
    struct crpc_channel_options options = {.size = sizeof(options), .own_connection = true};
    struct crpc_channel *channel;
    int code = 0;
    cr_assert_eq(crpc_channel_new(&channel, echo.loop, echo.target, &options), 0);
    for (int i = 0; i < 10000 && code == 0; i++)
        code = echo_unary(channel, "hello", NULL, 0, NULL, NULL);
    cr_assert_eq(code, CRPC_ESTATUS);
    crpc_channel_free(channel);
}

Test(stop, with_grace_lets_a_call_finish)
{
    struct event stopped = EVENT_INIT;
    struct client client;
    pthread_t thread;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    hold_start(&client);
    cr_assert_eq(pthread_create(&thread, NULL, stop_run, &stopped), 0);
    wait_for_refusal();
    cr_assert_eq(event_count(&stopped), 0);
    cr_assert_eq(crpc_call_reply(echo.log.held, &item.base), 0);
    cr_assert(event_wait(&stopped, 1));
    pthread_join(thread, NULL);
    cr_assert(event_wait(&client.done, 1));
    cr_assert_eq(client.code, CRPC_OK);
    cr_assert_eq(event_count(&echo.log.ended), 1);
    cr_assert_eq(echo.log.last_code, CRPC_OK);
}

Test(stop, cancels_when_the_grace_is_over)
{
    struct client client;
    hold_start(&client);
    crpc_server_stop(echo.server, 100);
    cr_assert_eq(event_count(&echo.log.ended), 1);
    cr_assert_eq(echo.log.last_code, CRPC_CANCELLED);
    cr_assert(event_wait(&client.done, 1));
    cr_assert_neq(client.code, CRPC_OK);
}

Test(stop, at_once_cancels_and_may_be_repeated)
{
    struct client client;
    hold_start(&client);
    crpc_server_stop(echo.server, 0);
    cr_assert_eq(event_count(&echo.log.ended), 1);
    cr_assert(event_wait(&client.done, 1));
    crpc_server_stop(echo.server, 1000);
    crpc_server_stop(echo.server, 0);
}

Test(stop, a_held_call_outlives_its_server)
{
    struct client client;
    struct crpc_bytes value;
    Crpc__Test__Item item = CRPC__TEST__ITEM__INIT;
    hold_start(&client);
    crpc_server_free(echo.server);
    echo.server = NULL;
    cr_assert_eq(crpc_call_reply(echo.log.held, &item.base), CRPC_ECLOSED);
    cr_assert_eq(crpc_call_read(echo.log.held), CRPC_ECLOSED);
    cr_assert_str_eq(crpc_call_method(echo.log.held), "/crpc.test.Echo/Unary");
    cr_assert_not_null(crpc_call_peer(echo.log.held));
    cr_assert(crpc_call_metadata_get(echo.log.held, "user-agent", &value));
    cr_assert(event_wait(&client.done, 1));
}

Test(outlive, a_call_may_be_the_last_to_go, .timeout = 240)
{
    struct client client;
    struct crpc_bytes value;
    echo_start(&echo, NULL, NULL);
    hold_start(&client);
    struct crpc_call *held = echo.log.held;
    echo.log.held = NULL;
    echo_stop(&echo);
    cr_assert_eq(event_count(&client.done), 1);
    cr_assert_eq(crpc_call_fail(held, CRPC_ABORTED, "late"), CRPC_ECLOSED);
    cr_assert(crpc_call_metadata_get(held, "user-agent", &value));
    cr_assert_neq(crpc_call_peer(held)[0], '\0');
    crpc_call_unref(held);
}

Test(stop, a_server_that_never_started)
{
    struct crpc_server *server;
    cr_assert_eq(crpc_server_new(&server, echo.loop, NULL), 0);
    crpc_server_stop(server, 10);
    crpc_server_free(server);
    cr_assert_eq(crpc_server_new(&server, echo.loop, NULL), 0);
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", NULL, NULL), 0);
    crpc_server_free(server);
    crpc_server_free(NULL);
    crpc_channel_free(NULL);
    crpc_loop_free(NULL);
}

Test(stop, start_wants_an_address_and_happens_once)
{
    struct crpc_server *server;
    cr_assert_eq(crpc_server_new(&server, echo.loop, NULL), 0);
    cr_assert_eq(crpc_server_start(server), CRPC_EINVAL);
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", NULL, NULL), 0);
    cr_assert_eq(crpc_server_start(server), 0);
    cr_assert_eq(crpc_server_start(server), CRPC_EINVAL);
    cr_assert_eq(crpc_server_listen(server, "127.0.0.1:0", NULL, NULL), CRPC_EINVAL);
    crpc_server_free(server);
}

/* Sends from several threads while the server is stopped under them: nothing but errors may come of
 * it. */
struct hammer {
    struct crpc_channel *channel;
    int calls;
};

static void *hammer_run(void *arg)
{
    struct hammer *hammer = arg;
    for (int i = 0; i < hammer->calls; i++)
        echo_unary(hammer->channel, "hello", NULL, 0, NULL, NULL);
    return NULL;
}

Test(stop, under_load)
{
    struct hammer hammer = {echo.channel, 400};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hammer_run, &hammer), 0);
    cr_assert(event_wait(&echo.log.opened, 100));
    crpc_server_stop(echo.server, 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}
