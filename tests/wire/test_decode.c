/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding and copying while memory runs out: it is told as that, not as a malformed message. What
 * is malformed, and the budget, are in crpc's own tests.
 */
#include <criterion/criterion.h>
#include <string.h>
#include <tercet/v1/tercet.pb-c.h>

#include <crpc/crpc.h>

#include "scarce.h"

#define PACKED_MAX 2048

/* A transaction with a branch: texts, a message inside, more bytes than one chunk has room for. */
static struct crpc_bytes pack(uint8_t bytes[PACKED_MAX])
{
    static uint8_t payload[1000];
    Tercet__V1__EnlistRequest request = TERCET__V1__ENLIST_REQUEST__INIT;
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT;
    branch.action = (char *)(uintptr_t) "stock/reserve";
    branch.payload = (ProtobufCBinaryData){sizeof(payload), payload};
    request.gid = (char *)(uintptr_t) "g";
    request.branch = &branch;
    cr_assert_leq(protobuf_c_message_get_packed_size(&request.base), PACKED_MAX);
    return (struct crpc_bytes){bytes, protobuf_c_message_pack(&request.base, bytes)};
}

Test(decode_scarce, want_of_memory_is_no_malformed_message)
{
    const ProtobufCMessageDescriptor *type = &tercet__v1__enlist_request__descriptor;
    uint8_t bytes[PACKED_MAX];
    struct crpc_bytes packed = pack(bytes);
    int at = 1;
    for (bool has_failed = true; has_failed; at++) {
        ProtobufCMessage *message = NULL;
        scarce_fail_at(at);
        int result = crpc_message_decode(&message, type, packed, 0);
        has_failed = scarce_has_failed();
        scarce_fail_at(0);
        cr_assert_eq(result, has_failed ? CRPC_ENOMEM : 0, "fault %d: %d", at, result);
        cr_assert_eq(message == NULL, has_failed);
        crpc_message_free(message);
    }
    cr_assert_gt(at, 3, "the message's first chunk, and its second");
    ProtobufCMessage *none = NULL;
    cr_assert_eq(crpc_message_decode(&none, type, packed, 8), CRPC_EDECODE,
                 "the budget is not memory");
    cr_assert_null(none);
}

Test(decode_scarce, a_copy_has_all_or_is_none)
{
    uint8_t bytes[PACKED_MAX];
    ProtobufCMessage *original = NULL;
    cr_assert_eq(
        crpc_message_decode(&original, &tercet__v1__enlist_request__descriptor, pack(bytes), 0), 0);
    int at = 1;
    for (bool has_failed = true; has_failed; at++) {
        ProtobufCMessage *copy = NULL;
        scarce_fail_at(at);
        int result = crpc_message_copy(&copy, original);
        has_failed = scarce_has_failed();
        scarce_fail_at(0);
        cr_assert_eq(result, has_failed ? CRPC_ENOMEM : 0, "fault %d: %d", at, result);
        cr_assert_eq(copy == NULL, has_failed);
        crpc_message_free(copy);
    }
    cr_assert_gt(at, 3, "the bytes, and the message's chunks");
    crpc_message_free(original);
}

/* All chunks count: the message has more bytes than the first has room for. */
Test(decode_scarce, what_a_message_takes_is_told)
{
    Tercet__V1__EnlistRequest empty = TERCET__V1__ENLIST_REQUEST__INIT;
    ProtobufCMessage *small = NULL, *large = NULL;
    uint8_t bytes[PACKED_MAX];
    struct crpc_bytes packed = pack(bytes);
    cr_assert_eq(crpc_message_copy(&small, &empty.base), 0);
    cr_assert_eq(crpc_message_decode(&large, empty.base.descriptor, packed, 0), 0);
    cr_assert_geq(crpc_message_memory(small), sizeof(empty));
    cr_assert_lt(crpc_message_memory(small), crpc_message_memory(large));
    cr_assert_gt(crpc_message_memory(large), packed.size);
    crpc_message_free(small);
    crpc_message_free(large);
}
