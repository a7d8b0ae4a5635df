/* SPDX-License-Identifier: Apache-2.0 */
#include "queue.h"

#include <criterion/criterion.h>

static struct queue queue;

static void init(void)
{
    queue_init(&queue);
    queue_take(&queue, 0, true);
}

static void fini(void)
{
    queue_destroy(&queue);
}

TestSuite(queue, .init = init, .fini = fini);

static bool post(size_t size)
{
    return queue_post_message(&queue, event_new(EVENT_SESSION), size);
}

/* Takes all, and returns how many of them were read ahead. */
static unsigned take(bool is_busy, unsigned *count)
{
    unsigned ahead = 0;
    struct event *next;
    *count = 0;
    for (struct event *event = queue_take(&queue, 0, is_busy); event != NULL; event = next) {
        next = event->next;
        ahead += event->is_read_ahead;
        ++*count;
        event_free(event);
    }
    return ahead;
}

Test(queue, a_stream_is_read_ahead_by_small_messages_only)
{
    unsigned count;
    cr_assert(post(READ_AHEAD_BYTES));
    cr_assert_not(post(READ_AHEAD_BYTES + 1));
    cr_assert_eq(take(true, &count), 1, "the owner asks for the message after the large one");
    cr_assert_eq(count, 2);
}

Test(queue, streams_are_read_ahead_while_few_events_wait)
{
    unsigned count;
    for (int i = 0; i < READ_AHEAD_EVENTS; i++)
        cr_assert(post(1));
    cr_assert_not(post(1));
    cr_assert_eq(take(true, &count), READ_AHEAD_EVENTS);
    cr_assert_eq(count, READ_AHEAD_EVENTS + 1);
    cr_assert(post(1), "those that are taken wait no more");
    take(true, &count);
}

Test(queue, streams_are_not_read_ahead_while_little_is_under_way)
{
    unsigned count;
    cr_assert_eq(take(false, &count), 0);
    cr_assert_not(post(1));
    cr_assert_eq(take(true, &count), 0);
    cr_assert(post(1));
    cr_assert_eq(take(true, &count), 1);
}
