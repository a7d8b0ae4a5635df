/* SPDX-License-Identifier: Apache-2.0
 *
 * span.h
 */
#include "span.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* -- Filling ----------------------------------------------------------------------------------- */

void span_begin(struct span_draft *draft, const char *name, enum span_kind kind)
{
    draft->span = (struct span){
        .name = name, .kind = kind, .attributes = draft->attributes, .events = draft->events};
}

static void add_attribute(struct span_draft *draft, const char *key, const char *text,
                          int64_t number)
{
    struct span *span = &draft->span;
    assert(span->attribute_count < SPAN_ATTRIBUTES_MAX);
    span->attributes[span->attribute_count++] =
        (struct span_attribute){.key = key, .text = text, .number = number};
}

void span_add_text(struct span_draft *draft, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0')
        add_attribute(draft, key, text, 0);
}

void span_add_number(struct span_draft *draft, const char *key, int64_t number)
{
    add_attribute(draft, key, NULL, number);
}

void span_add_event(struct span_draft *draft, const char *name, int64_t at_ms, const char *key,
                    const char *text)
{
    struct span *span = &draft->span;
    assert(span->event_count < SPAN_EVENTS_MAX);
    span->events[span->event_count++] = (struct span_event){
        .name = name, .at_ms = at_ms, .detail = {.key = key, .text = key != NULL ? text : NULL}};
}

/* -- Copying ----------------------------------------------------------------------------------- */

static size_t text_size(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

size_t span_size(const struct span *span)
{
    size_t size = sizeof(*span) + span->attribute_count * sizeof(*span->attributes) +
                  span->event_count * sizeof(*span->events);
    size += text_size(span->name) + text_size(span->state) + text_size(span->error);
    for (size_t i = 0; i < span->attribute_count; i++)
        size += text_size(span->attributes[i].text);
    for (size_t i = 0; i < span->event_count; i++)
        size += text_size(span->events[i].detail.text);
    return size;
}

/* Moves one text behind those that were moved before. */
static void keep_text(const char **text, char **to)
{
    if (*text == NULL)
        return;
    size_t size = strlen(*text) + 1;
    *text = memcpy(*to, *text, size);
    *to += size;
}

struct span *span_copy(const struct span *span)
{
    const size_t size = span_size(span);
    struct span *copy = malloc(size);
    if (copy == NULL)
        return NULL;
    *copy = *span;
    copy->size = size;
    copy->next = NULL;
    copy->attributes = (struct span_attribute *)(copy + 1);
    copy->events = (struct span_event *)(copy->attributes + span->attribute_count);
    char *texts = (char *)(copy->events + span->event_count);
    memcpy(copy->attributes, span->attributes, span->attribute_count * sizeof(*span->attributes));
    memcpy(copy->events, span->events, span->event_count * sizeof(*span->events));
    keep_text(&copy->name, &texts);
    keep_text(&copy->state, &texts);
    keep_text(&copy->error, &texts);
    for (size_t i = 0; i < span->attribute_count; i++)
        keep_text(&copy->attributes[i].text, &texts);
    for (size_t i = 0; i < span->event_count; i++)
        keep_text(&copy->events[i].detail.text, &texts);
    assert(texts == (char *)copy + size);
    return copy;
}
