/* SPDX-License-Identifier: Apache-2.0
 *
 * outbox.h: a queue of messages being built; the last grows, the first is sent.
 */
#include "outbox.h"

#include "failpoint.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_SIZE_FIRST 512u
#define HEAD_SIZE_MAX 20u /* two varints */

struct message {
    struct message *next;
    uint8_t *data;
    size_t size;
    size_t capacity;
};

struct outbox {
    pthread_mutex_t lock;
    struct crpc_call *call;
    struct message *first; /* waiting, in order */
    struct message *last;
    size_t bytes; /* waiting */
    size_t bytes_max;
    struct budget *budget;      /* NULL: none */
    struct budget_group *group; /* NULL: none */
    size_t bytes_in_flight;     /* of the budget, as `bytes` are */
    bool is_in_flight;
    bool is_closed;
    bool is_finishing; /* ends the call when all is sent */
};

int outbox_new(struct outbox **out, struct crpc_call *call, size_t bytes_max)
{
    struct outbox *outbox = calloc(1, sizeof(*outbox));
    if (outbox == NULL)
        return CRPC_ENOMEM;
    pthread_mutex_init(&outbox->lock, NULL);
    crpc_call_ref(call);
    outbox->call = call;
    outbox->bytes_max = bytes_max;
    *out = outbox;
    return 0;
}

void outbox_set_budget(struct outbox *outbox, struct budget *budget, struct budget_group *group)
{
    outbox->budget = budget;
    outbox->group = group;
}

static void drop_all(struct outbox *outbox)
{
    while (outbox->first != NULL) {
        struct message *message = outbox->first;
        outbox->first = message->next;
        free(message->data);
        free(message);
    }
    outbox->last = NULL;
    budget_give_in(outbox->budget, outbox->group, outbox->bytes);
    outbox->bytes = 0;
}

void outbox_free(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    drop_all(outbox);
    budget_give_in(outbox->budget, outbox->group, outbox->bytes_in_flight);
    crpc_call_unref(outbox->call);
    pthread_mutex_destroy(&outbox->lock);
    free(outbox);
}

/* -- Encoding ---------------------------------------------------------------------------------- */

static size_t varint_encode(uint8_t *out, uint64_t value)
{
    size_t n = 0;
    while (value >= 0x80) {
        out[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    out[n++] = (uint8_t)value;
    return n;
}

static bool make_room(struct message *message, size_t size)
{
    size_t needed = message->size + size;
    size_t capacity = message->capacity != 0 ? message->capacity : MESSAGE_SIZE_FIRST;
    if (needed <= message->capacity)
        return true;
    while (capacity < needed)
        capacity *= 2;
    uint8_t *data = realloc(message->data, capacity);
    if (data == NULL)
        return false;
    message->data = data;
    message->capacity = capacity;
    return true;
}

/* A new last message, with room for `size` bytes: an empty one that nobody fills would never be
 * sent. */
static struct message *append_message(struct outbox *outbox, size_t size)
{
    struct message *message = calloc(1, sizeof(*message));
    if (message == NULL || !make_room(message, size)) {
        free(message);
        return NULL;
    }
    if (outbox->last != NULL)
        outbox->last->next = message;
    else
        outbox->first = message;
    outbox->last = message;
    return message;
}

/* The message that takes the next `size` bytes, with room for them; NULL without memory. */
static struct message *message_for(struct outbox *outbox, size_t size)
{
    struct message *last = outbox->last;
    if (last == NULL || last->size + size > OUTBOX_MESSAGE_SIZE)
        return append_message(outbox, size);
    return make_room(last, size) ? last : NULL;
}

/* An element's tag and length. */
static size_t head_encode(uint8_t *out, unsigned field, size_t size)
{
    size_t tag_size = varint_encode(out, (uint64_t)field << 3 | 2);
    return tag_size + varint_encode(out + tag_size, size);
}

/* Where an element of at most `size_max` bytes begins: its head, then the bytes at *body_out. */
static int begin_record(struct outbox *outbox, unsigned field, size_t size_max, uint8_t **body_out)
{
    uint8_t head[HEAD_SIZE_MAX];
    size_t head_size = head_encode(head, field, size_max);
    if (outbox->is_closed)
        return CRPC_ECLOSED;
    if (outbox->bytes + head_size + size_max > outbox->bytes_max ||
        !budget_take_in(outbox->budget, outbox->group, outbox->bytes + outbox->bytes_in_flight,
                        head_size + size_max))
        return CRPC_ETOOBIG;
    struct message *message = message_for(outbox, head_size + size_max);
    if (message == NULL) {
        budget_give_in(outbox->budget, outbox->group, head_size + size_max);
        return CRPC_ENOMEM;
    }
    *body_out = message->data + message->size + head_size;
    return 0;
}

/* The element has `size` bytes of the `size_max` that room was made for. Its head may have become
 * shorter than the room that was left for it. */
static void end_record(struct outbox *outbox, unsigned field, const uint8_t *body, size_t size,
                       size_t size_max)
{
    uint8_t head[HEAD_SIZE_MAX];
    struct message *message = outbox->last;
    uint8_t *start = message->data + message->size;
    size_t head_size = head_encode(start, field, size);
    if (start + head_size != body)
        memmove(start + head_size, body, size);
    message->size += head_size + size;
    outbox->bytes += head_size + size;
    budget_give_in(outbox->budget, outbox->group,
                   head_encode(head, field, size_max) + size_max - (head_size + size));
}

int outbox_put(struct outbox *outbox, unsigned field, const ProtobufCMessage *record)
{
    uint8_t *body = NULL;
    size_t size_max = crpc_message_size_max(record);
    pthread_mutex_lock(&outbox->lock);
    int rc = begin_record(outbox, field, size_max, &body);
    if (rc == 0)
        end_record(outbox, field, body, protobuf_c_message_pack(record, body), size_max);
    pthread_mutex_unlock(&outbox->lock);
    return rc;
}

int outbox_put_bytes(struct outbox *outbox, unsigned field, struct crpc_bytes record)
{
    uint8_t *body = NULL;
    pthread_mutex_lock(&outbox->lock);
    int rc = begin_record(outbox, field, record.size, &body);
    if (rc == 0 && record.size > 0)
        memcpy(body, record.data, record.size);
    if (rc == 0)
        end_record(outbox, field, body, record.size, record.size);
    pthread_mutex_unlock(&outbox->lock);
    return rc;
}

/* -- Sending ----------------------------------------------------------------------------------- */

/* The next message, which is then in flight; NULL when there is none or one is. */
static struct message *take_message(struct outbox *outbox)
{
    struct message *message = NULL;
    pthread_mutex_lock(&outbox->lock);
    if (!outbox->is_in_flight && !outbox->is_closed && outbox->first != NULL) {
        message = outbox->first;
        outbox->first = message->next;
        if (outbox->first == NULL)
            outbox->last = NULL;
        outbox->bytes -= message->size;
        outbox->bytes_in_flight = message->size;
        outbox->is_in_flight = true;
    }
    pthread_mutex_unlock(&outbox->lock);
    return message;
}

/* Whether this is the moment to end the call; once. */
static bool take_finish(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    bool is_moment = outbox->is_finishing && outbox->first == NULL && !outbox->is_in_flight &&
                     !outbox->is_closed;
    outbox->is_closed = outbox->is_closed || is_moment;
    pthread_mutex_unlock(&outbox->lock);
    return is_moment;
}

void outbox_flush(struct outbox *outbox)
{
    struct message *message = take_message(outbox);
    if (message == NULL) {
        struct crpc_status ok = {.code = CRPC_OK, .message = ""};
        if (take_finish(outbox))
            FAILPOINT_AROUND("send.stream.end", crpc_call_finish(outbox->call, &ok));
        return;
    }
    int rc;
    FAILPOINT_AROUND("send.stream",
                     rc = crpc_call_send_owned(outbox->call, message->data, message->size));
    if (rc != 0) {
        free(message->data);
        outbox_close(outbox);
    }
    free(message);
}

void outbox_sent(struct outbox *outbox, bool ok)
{
    pthread_mutex_lock(&outbox->lock);
    outbox->is_in_flight = false;
    budget_give_in(outbox->budget, outbox->group, outbox->bytes_in_flight);
    outbox->bytes_in_flight = 0;
    pthread_mutex_unlock(&outbox->lock);
    if (ok)
        outbox_flush(outbox);
    else
        outbox_close(outbox);
}

void outbox_close(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    outbox->is_closed = true;
    drop_all(outbox);
    pthread_mutex_unlock(&outbox->lock);
}

void outbox_finish(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    outbox->is_finishing = true;
    pthread_mutex_unlock(&outbox->lock);
    outbox_flush(outbox);
}

bool outbox_is_empty(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    bool is_empty = outbox->first == NULL && !outbox->is_in_flight;
    pthread_mutex_unlock(&outbox->lock);
    return is_empty;
}
