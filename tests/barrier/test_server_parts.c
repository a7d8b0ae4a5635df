/* SPDX-License-Identifier: Apache-2.0
 *
 * What the drivers of servers share, without a server.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "drivers.h"
#include "server.h"

static int closed;

static void count_close(void *state)
{
    (void)state;
    closed++;
}

static int open_nothing(void **out, const char *url, const struct tercet_barrier_options *options,
                        char *text)
{
    (void)url;
    (void)options;
    (void)text;
    *out = &closed;
    return 0;
}

Test(barrier_server_parts, a_barrier_needs_a_url_and_options)
{
    const struct tercet_barrier_options sizeless = {.size = 0};
    struct tercet_barrier *barrier = NULL;
    struct tercet_barrier_driver table = memory_driver;
    char text[TERCET_TEXT_MAX] = "";
    table.close = count_close;
    cr_assert_eq(server_open_barrier(NULL, "url", NULL, text, open_nothing, &table),
                 TERCET_INVALID);
    cr_assert_eq(server_open_barrier(&barrier, NULL, NULL, text, open_nothing, &table),
                 TERCET_INVALID);
    cr_assert_eq(server_open_barrier(&barrier, "url", &sizeless, text, open_nothing, &table),
                 TERCET_INVALID);
    cr_assert_not_null(strstr(text, "no URL"), "%s", text);
    cr_assert_eq(closed, 0);
    table.size--;
    cr_assert_eq(server_open_barrier(&barrier, "url", NULL, text, open_nothing, &table),
                 TERCET_INVALID);
    cr_assert_eq(closed, 1, "what was opened for a barrier that there is not is closed");
}

static const char *tell_why(void *state)
{
    (void)state;
    return "the server says no";
}

Test(barrier_server_parts, what_does_not_connect_says_why_and_is_freed)
{
    const struct tercet_barrier_driver table = {.error_text = tell_why, .close = count_close};
    void *out = NULL;
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(server_hand_over(&out, &table, &closed, TERCET_STORE, text), TERCET_STORE);
    cr_assert_str_eq(text, "the server says no");
    cr_assert_eq(closed, 1);
    cr_assert_null(out);
    cr_assert_eq(server_hand_over(&out, &table, &closed, 0, NULL), 0);
    cr_assert_eq(out, (void *)&closed);
    cr_assert_eq(closed, 1);
}

Test(barrier_server_parts, pauses_between_connections_grow_to_a_limit)
{
    struct server_retry retry = {0};
    int64_t last_ms = 0;
    cr_assert(server_retry_is_due(&retry));
    for (int i = 0; i < 8; i++) {
        bench_random_is_gone = i == 0;
        server_retry_plan(&retry);
        cr_assert(retry.pause_ms >= last_ms && retry.pause_ms <= 2000, "%lld",
                  (long long)retry.pause_ms);
        last_ms = retry.pause_ms;
    }
    cr_assert_eq(last_ms, 2000);
    server_retry_clear(&retry);
    cr_assert_eq(retry.pause_ms, 0);
}
