/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a request was refused, for machines: the bytes that other gRPC implementations read.
 */
#include "detail.h"

#include "caller.h"

#include <criterion/criterion.h>
#include <string.h>
#include <tercet/wire/status.pb-c.h>

static struct refusal refusal_of(int code, uint32_t branch, const char *field)
{
    struct refusal no;
    refusal_set(&no, code, "text");
    no.branch = branch;
    no.field = field;
    return no;
}

/* Written down by hand, from google.rpc's definitions. */
Test(detail, is_a_status_with_error_info)
{
    static const char expected[] = "\x08\x06\x12\x04"
                                   "text"
                                   "\x1a\x62\x0a\x28type.googleapis.com/google.rpc.ErrorInfo"
                                   "\x12\x36\x0a\x06"
                                   "EXISTS"
                                   "\x12\x06tercet"
                                   "\x1a\x0b\x0a\x06"
                                   "branch"
                                   "\x12\x01"
                                   "2"
                                   "\x1a\x17\x0a\x05"
                                   "field"
                                   "\x12\x0e"
                                   "branch.payload";
    struct arena arena = {0};
    struct refusal no = refusal_of(TERCET_EXISTS, 2, "branch.payload");
    struct crpc_bytes bytes = detail_encode(&arena, CRPC_ALREADY_EXISTS, &no, NULL);
    cr_assert_eq(bytes.size, sizeof(expected) - 1);
    cr_assert_eq(memcmp(bytes.data, expected, bytes.size), 0);
    arena_free(&arena);
}

static const char *value_of(const Tercet__Wire__ErrorInfo *info, const char *key)
{
    for (size_t i = 0; i < info->n_metadata; i++)
        if (strcmp(info->metadata[i]->key, key) == 0)
            return info->metadata[i]->value;
    return "";
}

/* The details in an answer to a session, which are those of a single call. */
Test(detail, comes_with_a_session_s_answer)
{
    struct arena arena = {0};
    const struct caller session = {.kind = CALLER_SESSION};
    struct refusal no = refusal_of(TERCET_DECIDED, 0, NULL);
    Tercet__V1__Transaction transaction = TERCET__V1__TRANSACTION__INIT;
    transaction.state = TERCET__V1__STATE__CANCELLED;
    transaction.cause = TERCET__V1__CAUSE__OPERATOR;
    const struct reply reply = {&no, &transaction.base};
    struct answer answer = caller_encode(&session, &arena, 7, &reply);
    Tercet__V1__SessionResponse *response =
        tercet__v1__session_response__unpack(NULL, answer.bytes.size, answer.bytes.data);
    cr_assert_not_null(response);
    cr_assert_eq(response->code, CRPC_FAILED_PRECONDITION);
    cr_assert_eq(response->details.len, answer.details.size);
    Tercet__Wire__Status *status =
        tercet__wire__status__unpack(NULL, response->details.len, response->details.data);
    cr_assert_not_null(status);
    cr_assert_eq(status->code, CRPC_FAILED_PRECONDITION);
    cr_assert_eq(status->n_details, 1);
    Tercet__Wire__ErrorInfo *info = tercet__wire__error_info__unpack(
        NULL, status->details[0]->value.len, status->details[0]->value.data);
    cr_assert_not_null(info);
    cr_assert_str_eq(info->reason, "DECIDED");
    cr_assert_str_eq(value_of(info, "state"), "CANCELLED");
    cr_assert_str_eq(value_of(info, "cause"), "OPERATOR");
    cr_assert_str_eq(value_of(info, "branch"), "");
    tercet__wire__error_info__free_unpacked(info, NULL);
    tercet__wire__status__free_unpacked(status, NULL);
    tercet__v1__session_response__free_unpacked(response, NULL);
    arena_free(&arena);
}

Test(detail, what_was_done_has_none)
{
    struct arena arena = {0};
    const struct caller session = {.kind = CALLER_SESSION};
    Tercet__V1__Transaction transaction = TERCET__V1__TRANSACTION__INIT;
    const struct reply reply = {NULL, &transaction.base};
    cr_assert_eq(caller_encode(&session, &arena, 7, &reply).details.size, 0);
    arena_free(&arena);
}
