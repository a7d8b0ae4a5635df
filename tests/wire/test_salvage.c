/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches of which some elements cannot be decoded.
 */
#include <criterion/criterion.h>
#include <salvage.h>
#include <scarce.h>
#include <string.h>
#include <tercet/v1/tercet.pb-c.h>

#define SIZE_MAX_OF_TESTS 4096
#define FIELD 1u /* of SessionRequests */

struct batch {
    uint8_t bytes[SIZE_MAX_OF_TESTS];
    size_t size;
};

/* Adds an element { id, get { gid } } whose gid has these bytes. */
static void add(struct batch *batch, uint64_t id, const char *gid, size_t gid_size)
{
    uint8_t element[SIZE_MAX_OF_TESTS];
    uint8_t *at = element;
    *at++ = 1 << 3;
    for (; id >= 128; id >>= 7)
        *at++ = (uint8_t)(id | 128);
    *at++ = (uint8_t)id;
    *at++ = 8 << 3 | 2;
    *at++ = (uint8_t)(gid_size + 2);
    *at++ = 1 << 3 | 2;
    *at++ = (uint8_t)gid_size;
    memcpy(at, gid, gid_size);
    at += gid_size;
    batch->bytes[batch->size++] = FIELD << 3 | 2;
    batch->bytes[batch->size++] = (uint8_t)(at - element);
    memcpy(batch->bytes + batch->size, element, (size_t)(at - element));
    batch->size += (size_t)(at - element);
}

static int decode(ProtobufCMessage **out, const struct batch *batch)
{
    return salvage_decode(out, &tercet__v1__session_requests__descriptor, FIELD,
                          (struct crpc_bytes){NULL, 0},
                          (struct crpc_bytes){batch->bytes, batch->size});
}

static Tercet__V1__SessionRequests *decoded(const struct batch *batch)
{
    ProtobufCMessage *message = NULL;
    cr_assert_eq(decode(&message, batch), 0);
    return (Tercet__V1__SessionRequests *)message;
}

Test(salvage, a_batch_without_a_fault_is_as_it_was)
{
    struct batch batch = {.size = 0};
    add(&batch, 1, "one", 3);
    add(&batch, UINT64_MAX, "two", 3);
    Tercet__V1__SessionRequests *requests = decoded(&batch);
    cr_assert_eq(requests->n_requests, 2);
    cr_assert_str_eq(requests->requests[0]->get->gid, "one");
    cr_assert_eq(requests->requests[1]->id, UINT64_MAX);
    crpc_message_free(&requests->base);
}

Test(salvage, what_is_at_fault_keeps_its_id_and_its_place)
{
    static const struct {
        const char *gid;
        size_t size;
    } faults[] = {{"a\0b", 3}, {"\xff", 1}, {"\xc3", 1}, {"\0", 1}};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct batch batch = {.size = 0};
        add(&batch, 7, "before", 6);
        add(&batch, 0x1234567890abcdef, faults[i].gid, faults[i].size);
        add(&batch, 9, "after", 5);
        add(&batch, 3, faults[i].gid, faults[i].size);
        Tercet__V1__SessionRequests *requests = decoded(&batch);
        cr_assert_eq(requests->n_requests, 4);
        cr_assert_str_eq(requests->requests[0]->get->gid, "before");
        cr_assert_eq(requests->requests[1]->id, 0x1234567890abcdef);
        cr_assert_eq(requests->requests[1]->request_case,
                     TERCET__V1__SESSION_REQUEST__REQUEST__NOT_SET);
        cr_assert_str_eq(requests->requests[2]->get->gid, "after");
        cr_assert_eq(requests->requests[3]->id, 3);
        cr_assert_null(requests->requests[3]->get);
        crpc_message_free(&requests->base);
    }
}

/* Each at fault becomes longer than it was. */
Test(salvage, the_replacement_carries_the_rest)
{
    enum { COUNT = 200 };
    struct batch batch = {.size = 0};
    uint8_t rest[300] = {4 << 3 | 2, 128 + 41, 2}; /* CallResult.reason of 297 bytes */
    ProtobufCMessage *message = NULL;
    memset(rest + 3, 'r', sizeof(rest) - 3);
    for (int i = 0; i < COUNT; i++) {
        const uint8_t result[] = {2 << 3 | 2, 5, 1 << 3, 0, 4 << 3 | 2, 1, 0xff};
        memcpy(batch.bytes + batch.size, result, sizeof(result));
        batch.bytes[batch.size + 3] = (uint8_t)(i & 0x7f);
        batch.size += sizeof(result);
    }
    cr_assert_eq(salvage_decode(&message, &tercet__v1__attach_request__descriptor, 2,
                                (struct crpc_bytes){rest, sizeof(rest)},
                                (struct crpc_bytes){batch.bytes, batch.size}),
                 0);
    const Tercet__V1__AttachRequest *request = (const Tercet__V1__AttachRequest *)message;
    cr_assert_eq(request->n_results, COUNT);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(request->results[i]->id, i & 0x7f);
        cr_assert_eq(strlen(request->results[i]->reason), 297);
    }
    crpc_message_free(message);
}

Test(salvage, what_nobody_can_name_is_refused_whole)
{
    static const uint8_t without_id[] = {FIELD << 3 | 2, 5, 8 << 3 | 2, 3, 1 << 3 | 2, 1, 0};
    static const uint8_t id_is_text[] = {FIELD << 3 | 2, 3, 1 << 3 | 2, 1, 0};
    static const uint8_t cut[] = {FIELD << 3 | 2, 9, 1 << 3, 1};
    static const uint8_t element_cut[] = {FIELD << 3 | 2, 4, 1 << 3, 1, 8 << 3 | 2, 9};
    static const uint8_t tag_cut[] = {FIELD << 3 | 2, 3, 1 << 3, 1, 0x88};
    static const uint8_t tag_endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                          0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t length_cut[] = {FIELD << 3 | 2, 0x80};
    static const uint8_t other_type[] = {FIELD << 3 | 0, 5};
    static const uint8_t group[] = {FIELD << 3 | 3, FIELD << 3 | 4};
    static const struct crpc_bytes bad[] = {{without_id, sizeof(without_id)},
                                            {id_is_text, sizeof(id_is_text)},
                                            {cut, sizeof(cut)},
                                            {element_cut, sizeof(element_cut)},
                                            {tag_cut, sizeof(tag_cut)},
                                            {tag_endless, sizeof(tag_endless)},
                                            {length_cut, sizeof(length_cut)},
                                            {other_type, sizeof(other_type)},
                                            {group, sizeof(group)}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct batch batch = {.size = 0};
        ProtobufCMessage *message = NULL;
        add(&batch, 1, "good", 4);
        memcpy(batch.bytes + batch.size, bad[i].data, bad[i].size);
        batch.size += bad[i].size;
        cr_assert_eq(decode(&message, &batch), CRPC_EDECODE, "%zu", i);
        cr_assert_null(message);
    }
}

/* What a later version may have added stays beside an element at fault. */
Test(salvage, fields_that_are_not_known_are_passed_over)
{
    static const uint8_t unknown[] = {13 << 3 | 5, 1, 2, 3, 4, 14 << 3 | 1, 1, 2, 3, 4, 5, 6, 7, 8};
    struct batch batch = {.size = 0};
    add(&batch, 5, "\xff", 1);
    memcpy(batch.bytes + batch.size, unknown, sizeof(unknown));
    batch.size += sizeof(unknown);
    Tercet__V1__SessionRequests *requests = decoded(&batch);
    cr_assert_eq(requests->n_requests, 1);
    cr_assert_eq(requests->requests[0]->id, 5);
    cr_assert_null(requests->requests[0]->get);
    crpc_message_free(&requests->base);
}

Test(salvage, want_of_memory_is_no_fault_of_the_batch)
{
    struct batch batch = {.size = 0};
    bool has_failed = true;
    add(&batch, 1, "good", 4);
    add(&batch, 2, "\xff", 1);
    for (int at = 1; has_failed; at++) {
        ProtobufCMessage *message = NULL;
        cr_assert_lt(at, 100);
        scarce_fail_at(at);
        int rc = decode(&message, &batch);
        has_failed = scarce_has_failed();
        scarce_fail_at(0);
        cr_assert_eq(rc, has_failed ? CRPC_ENOMEM : 0, "%d: %d", at, rc);
        cr_assert_eq(message != NULL, rc == 0);
        crpc_message_free(message);
    }
}

/* The hello's text is no element's. */
Test(salvage, a_fault_outside_the_elements_is_refused)
{
    static const uint8_t bytes[] = {1 << 3 | 2, 3, 1 << 3 | 2, 1, 0xff, 2 << 3 | 2, 2, 1 << 3, 1};
    ProtobufCMessage *message = NULL;
    cr_assert_eq(salvage_decode(&message, &tercet__v1__attach_request__descriptor, 2,
                                (struct crpc_bytes){NULL, 0},
                                (struct crpc_bytes){bytes, sizeof(bytes)}),
                 CRPC_EDECODE);
    cr_assert_null(message);
}
