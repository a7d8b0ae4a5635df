/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans: what a copy keeps, what is encoded, and the queue's bounds.
 */
#include "otlp.h"
#include "spans.h"

#include <collector.pb-c.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct span_draft draft;

/* A span with a bit of everything; its texts are gone after the test has cleared `texts`. */
static char texts[4][32];

static struct span *full_span(void)
{
    strcpy(texts[0], "try stock/reserve");
    strcpy(texts[1], "one");
    strcpy(texts[2], "disk full");
    strcpy(texts[3], "vendor=1");
    span_begin(&draft, texts[0], SPAN_CLIENT);
    span_add_text(&draft, "a", texts[1]);
    span_add_text(&draft, "none", "");
    span_add_text(&draft, "none", NULL);
    span_add_number(&draft, "n", -7);
    span_add_event(&draft, "retry", 1700000000123, "error", texts[2]);
    span_add_event(&draft, "end", 1700000000124, NULL, NULL);
    draft.span.error = texts[2];
    draft.span.state = texts[3];
    draft.span.start_ms = 1700000000001;
    draft.span.end_ms = 1700000000002;
    memset(draft.span.context.trace_id, 1, TRACE_ID_SIZE);
    memset(draft.span.context.span_id, 2, SPAN_ID_SIZE);
    memset(draft.span.parent_id, 3, SPAN_ID_SIZE);
    draft.span.context.flags = TRACE_SAMPLED;
    return &draft.span;
}

static Collector__Span *read_back(const struct span *span)
{
    ProtobufCBinaryData bytes = span_encode(span);
    Collector__Span *out = collector__span__unpack(NULL, bytes.len, bytes.data);
    cr_assert_not_null(out);
    cr_assert_eq(out->base.n_unknown_fields, 0, "each number is one of the specification");
    free(bytes.data);
    return out;
}

Test(spans, a_copy_has_its_own_texts_and_is_encoded_as_otlp_says)
{
    struct span *copy = span_copy(full_span());
    memset(texts, 'x', sizeof(texts));
    memset(&draft, 0, sizeof(draft));
    Collector__Span *span = read_back(copy);
    cr_assert_str_eq(span->name, "try stock/reserve");
    cr_assert_str_eq(span->trace_state, "vendor=1");
    cr_assert_eq(span->kind, COLLECTOR__KIND__CLIENT);
    cr_assert_eq(span->trace_id.len, 16);
    cr_assert_eq(span->span_id.len, 8);
    cr_assert_eq(span->span_id.data[7], 2);
    cr_assert_eq(span->parent_span_id.len, 8);
    cr_assert_eq(span->flags, 1);
    cr_assert_eq(span->start_time_unix_nano, 1700000000001000000u);
    cr_assert_eq(span->end_time_unix_nano, 1700000000002000000u);
    cr_assert_eq(span->status->code, COLLECTOR__CODE__ERROR);
    cr_assert_str_eq(span->status->message, "disk full");
    cr_assert_eq(span->n_attributes, 2);
    cr_assert_str_eq(span->attributes[0]->key, "a");
    cr_assert_str_eq(span->attributes[0]->value->string_value, "one");
    cr_assert_eq(span->attributes[1]->value->int_value, -7);
    cr_assert_eq(span->n_events, 2);
    cr_assert_eq(span->events[0]->time_unix_nano, 1700000000123000000u);
    cr_assert_str_eq(span->events[0]->attributes[0]->value->string_value, "disk full");
    cr_assert_eq(span->events[1]->n_attributes, 0);
    collector__span__free_unpacked(span, NULL);
    free(copy);
}

Test(spans, no_parent_no_status_and_no_end_before_the_begin)
{
    span_begin(&draft, "transaction", SPAN_SERVER);
    draft.span.start_ms = 20;
    draft.span.end_ms = 10;
    Collector__Span *span = read_back(&draft.span);
    cr_assert_eq(span->parent_span_id.len, 0);
    cr_assert_null(span->status);
    cr_assert_str_eq(span->trace_state, "");
    cr_assert_eq(span->end_time_unix_nano, span->start_time_unix_nano);
    collector__span__free_unpacked(span, NULL);
}

/* -- The queue --------------------------------------------------------------------------------- */

static size_t count_of(const struct span *batch)
{
    size_t count = 0;
    for (; batch != NULL; batch = batch->next)
        count++;
    return count;
}

Test(spans, past_its_bytes_nothing_is_taken_and_all_is_counted)
{
    struct spans spans;
    const size_t size = span_size(full_span());
    spans_init(&spans, 10 * size + 1);
    for (int i = 0; i < 25; i++)
        spans_put(&spans, &draft.span);
    struct spans_counts counts = spans_read(&spans);
    cr_assert_eq(counts.dropped, 15);
    cr_assert_eq(counts.waiting_bytes, 10 * size);
    spans_end(&spans);
    struct span *batch = spans_take(&spans);
    cr_assert_eq(count_of(batch), 10);
    spans_put(&spans, &draft.span);
    cr_assert_eq(spans_read(&spans).dropped, 16, "what is being exported takes its room");
    spans_give_back(&spans, batch, 7);
    counts = spans_read(&spans);
    cr_assert_eq(counts.exported, 7);
    cr_assert_eq(counts.failed, 3);
    cr_assert_eq(counts.waiting_bytes, 0);
    spans_put(&spans, &draft.span);
    cr_assert_eq(spans_read(&spans).dropped, 16);
    batch = spans_take(&spans);
    cr_assert_eq(count_of(batch), 1);
    spans_give_back(&spans, batch, 1);
    cr_assert_null(spans_take(&spans), "it ends");
    spans_destroy(&spans);
}

Test(spans, batches_are_cut_in_order_by_count_and_by_bytes)
{
    struct spans spans;
    spans_init(&spans, 64u << 20);
    span_begin(&draft, "small", SPAN_INTERNAL);
    for (int i = 0; i <= SPANS_BATCH_MAX; i++) {
        draft.span.start_ms = i;
        spans_put(&spans, &draft.span);
    }
    struct span *batch = spans_take(&spans);
    cr_assert_eq(count_of(batch), SPANS_BATCH_MAX);
    cr_assert_eq(batch->start_ms, 0);
    spans_give_back(&spans, batch, SPANS_BATCH_MAX);
    char *text = calloc(1, SPANS_BATCH_BYTES / 4);
    memset(text, 'x', SPANS_BATCH_BYTES / 4 - 1);
    span_add_text(&draft, "long", text);
    for (int i = 0; i < 6; i++)
        spans_put(&spans, &draft.span);
    batch = spans_take(&spans);
    cr_assert_eq(batch->start_ms, SPANS_BATCH_MAX, "the one that was left comes first");
    cr_assert_eq(count_of(batch), 5);
    spans_give_back(&spans, batch, 5);
    spans_end(&spans);
    batch = spans_take(&spans);
    cr_assert_eq(count_of(batch), 2);
    spans_give_back(&spans, batch, 0);
    spans_destroy(&spans);
    free(text);
}

/* -- Where they go ----------------------------------------------------------------------------- */

Test(spans, urls)
{
    static const struct {
        const char *url, *target;
        bool is_https;
    } good[] = {{"http://localhost:4317", "localhost:4317", false},
                {"http://localhost", "localhost:4317", false},
                {"https://collector.example/", "collector.example:4317", true},
                {"https://collector.example:443/", "collector.example:443", true},
                {"http://[::1]:5", "[::1]:5", false},
                {"http://[::1]", "[::1]:4317", false},
                {"http://h:", "h:4317", false}};
    static const char *const wrong[] = {
        "",           "localhost:4317", "grpc://localhost", "http://",  "http://h/v1/traces",
        "http://h:x", "http://:5",      "http://u:p@h",     "http:///", "http://h?a"};
    char target[TERCET_TEXT_MAX];
    bool is_https;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert_null(otlp_target(target, &is_https, good[i].url), "%s", good[i].url);
        cr_assert_str_eq(target, good[i].target);
        cr_assert_eq(is_https, good[i].is_https);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_not_null(otlp_target(target, &is_https, wrong[i]), "%s", wrong[i]);
}
