/* SPDX-License-Identifier: Apache-2.0
 *
 * W3C Trace Context: what is a traceparent and what is none, by the rules of its chapter 3.2.
 */
#include "traceparent.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define GOOD "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

Test(traceparent, is_read_and_written_again)
{
    struct trace_context context;
    char text[TRACEPARENT_MAX + 1], id[2 * TRACE_ID_SIZE + 1];
    cr_assert(traceparent_parse(&context, GOOD));
    cr_assert_eq(context.flags, TRACE_SAMPLED);
    cr_assert_eq(context.trace_id[0], 0x4b);
    cr_assert_eq(context.trace_id[15], 0x36);
    cr_assert_eq(context.span_id[1], 0xf0);
    traceparent_format(text, &context);
    cr_assert_str_eq(text, GOOD);
    traceparent_hex(id, context.trace_id, TRACE_ID_SIZE);
    cr_assert_str_eq(id, "4bf92f3577b34da6a3ce929d0e0e4736");
}

Test(traceparent, later_versions_are_read_as_this_one)
{
    struct trace_context context;
    char text[TRACEPARENT_MAX + 1];
    cr_assert(traceparent_parse(
        &context, "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-what-comes"));
    traceparent_format(text, &context);
    cr_assert_str_eq(text, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03",
                     "flags that nobody knows here are cleared");
    cr_assert(
        traceparent_parse(&context, "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"));
    cr_assert_eq(context.flags, 0);
}

Test(traceparent, what_is_none)
{
    static const char *const wrong[] = {
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-010",
        "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-010",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b -01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x",
        "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7_01",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct trace_context context = {.flags = 0x55};
        cr_assert_not(traceparent_parse(&context, wrong[i]), "%s", wrong[i]);
        cr_assert_eq(context.flags, 0x55, "%s: untouched", wrong[i]);
    }
}

/* No byte past the end of the text is looked at. */
Test(traceparent, a_text_may_end_anywhere)
{
    struct trace_context context;
    for (size_t size = 0; size < TRACEPARENT_MAX; size++) {
        char *text = strndup(GOOD, size);
        cr_assert_not(traceparent_parse(&context, text), "%s", text);
        free(text);
    }
}
