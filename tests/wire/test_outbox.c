/* SPDX-License-Identifier: Apache-2.0
 *
 * The outbox, with a call that keeps what is sent: records are gathered while a message is in
 * flight, a slow reader is told, and the end comes after the last message, once.
 */
#include "outbox.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/v1/tercet.pb-c.h>

#include "budget.h"
#include "call.h"
#include "scarce.h"

#define FIELD 1 /* AttachRequest's actions: strings, a record each */
#define BYTES_MAX (1024 * 1024)

struct bench {
    struct crpc_call call;
    struct outbox *outbox;
};

static void bench_open(struct bench *bench, size_t bytes_max)
{
    memset(bench, 0, sizeof(*bench));
    cr_assert_eq(outbox_new(&bench->outbox, &bench->call, bytes_max), 0);
    cr_assert_eq(bench->call.references, 1);
}

static void bench_close(struct bench *bench)
{
    outbox_free(bench->outbox);
    cr_assert_eq(bench->call.references, 0);
    call_clear(&bench->call);
}

/* A record of `size` bytes, all the same. */
static int put(struct bench *bench, uint8_t byte, size_t size)
{
    uint8_t *data = malloc(size + 1);
    memset(data, byte, size);
    int rc = outbox_put_bytes(bench->outbox, FIELD, (struct crpc_bytes){data, size});
    free(data);
    return rc;
}

/* Takes a record from a message that was sent. */
static struct crpc_bytes take_record(struct crpc_bytes *message)
{
    const uint8_t *at = message->data;
    const uint8_t *end = at + message->size;
    size_t size = 0;
    cr_assert_eq(*at++, FIELD << 3 | 2);
    for (unsigned shift = 0;; shift += 7) {
        size |= (size_t)(*at & 0x7f) << shift;
        if (*at++ < 0x80)
            break;
    }
    cr_assert_leq(size, (size_t)(end - at));
    *message = (struct crpc_bytes){at + size, (size_t)(end - at) - size};
    return (struct crpc_bytes){at, size};
}

/* The records of a message that was sent: their count; the first bytes of each in `firsts`. */
static size_t records_of(struct crpc_bytes message, uint8_t firsts[8])
{
    size_t count = 0;
    while (message.size > 0) {
        struct crpc_bytes record = take_record(&message);
        firsts[count++ % 8] = record.size > 0 ? *(const uint8_t *)record.data : 0;
    }
    return count;
}

static void check_sent(struct bench *bench, size_t i, const char *expected)
{
    uint8_t firsts[8];
    cr_assert_gt(bench->call.send_count, i);
    size_t count = records_of(bench->call.sends[i], firsts);
    cr_assert_eq(count, strlen(expected), "message %zu has %zu records", i, count);
    for (size_t j = 0; j < count; j++)
        cr_assert_eq(firsts[j], (uint8_t)expected[j]);
}

Test(outbox, records_are_gathered_while_a_message_is_in_flight)
{
    struct bench bench;
    bench_open(&bench, BYTES_MAX);
    cr_assert(outbox_is_empty(bench.outbox));
    cr_assert_eq(put(&bench, 'a', 1), 0);
    cr_assert_not(outbox_is_empty(bench.outbox));
    outbox_flush(bench.outbox);
    cr_assert_not(outbox_is_empty(bench.outbox), "it is in flight");
    cr_assert_eq(put(&bench, 'b', 200), 0);
    cr_assert_eq(put(&bench, 'c', 20000), 0);
    outbox_flush(bench.outbox);
    cr_assert_eq(bench.call.send_count, 1);
    outbox_sent(bench.outbox, true);
    cr_assert_eq(bench.call.send_count, 2);
    outbox_sent(bench.outbox, true);
    cr_assert(outbox_is_empty(bench.outbox));
    check_sent(&bench, 0, "a");
    check_sent(&bench, 1, "bc");
    bench_close(&bench);
}

Test(outbox, what_is_put_decodes)
{
    struct bench bench;
    Tercet__V1__Transaction transaction = TERCET__V1__TRANSACTION__INIT;
    bench_open(&bench, BYTES_MAX);
    transaction.gid = (char *)"gid-1";
    transaction.number = 1234567;
    cr_assert_eq(outbox_put(bench.outbox, FIELD, &transaction.base), 0);
    cr_assert_eq(outbox_put_bytes(bench.outbox, FIELD, (struct crpc_bytes){NULL, 0}), 0);
    outbox_flush(bench.outbox);
    const uint8_t *data = bench.call.sends[0].data;
    Tercet__V1__Transaction *copy = tercet__v1__transaction__unpack(NULL, data[1], data + 2);
    cr_assert_not_null(copy);
    cr_assert_str_eq(copy->gid, "gid-1");
    cr_assert_eq(copy->number, 1234567);
    tercet__v1__transaction__free_unpacked(copy, NULL);
    cr_assert_eq(bench.call.sends[0].size, data[1] + 4u, "and an empty record");
    bench_close(&bench);
}

static void check_branch(struct crpc_bytes record, uint32_t number, size_t payload_size)
{
    Tercet__V1__Branch *branch = tercet__v1__branch__unpack(NULL, record.size, record.data);
    cr_assert_not_null(branch);
    cr_expect_eq(branch->number, number);
    cr_expect_str_eq(branch->action, "a/b");
    cr_expect_eq(branch->payload.len, payload_size);
    for (size_t i = 0; i < branch->payload.len; i++)
        cr_assert_eq(branch->payload.data[i], (uint8_t)i);
    tercet__v1__branch__free_unpacked(branch, NULL);
}

/* Of how many bytes a record is, is known when it has been packed; its length in front of it is as
 * short as it can be. */
Test(outbox, records_around_every_length_of_a_length)
{
    static const size_t around[] = {0, 100, 128, 16256, 16384};
    uint8_t payload[17000];
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)i;
    for (size_t a = 0; a < sizeof(around) / sizeof(around[0]); a++) {
        struct bench bench;
        bench_open(&bench, 64 * BYTES_MAX);
        for (uint32_t i = 0; i < 40; i++) {
            Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT;
            branch.number = i + 1;
            branch.action = (char *)"a/b";
            branch.payload.data = payload;
            branch.payload.len = around[a] + i;
            cr_assert_eq(outbox_put(bench.outbox, FIELD, &branch.base), 0);
        }
        outbox_flush(bench.outbox);
        while (!outbox_is_empty(bench.outbox))
            outbox_sent(bench.outbox, true);
        uint32_t count = 0;
        for (size_t i = 0; i < bench.call.send_count; i++)
            for (struct crpc_bytes message = bench.call.sends[i]; message.size > 0; count++)
                check_branch(take_record(&message), count + 1, around[a] + count);
        cr_expect_eq(count, 40);
        bench_close(&bench);
    }
}

Test(outbox, a_large_backlog_goes_in_pieces)
{
    struct bench bench;
    bench_open(&bench, BYTES_MAX);
    cr_assert_eq(put(&bench, 'a', OUTBOX_MESSAGE_SIZE / 2), 0);
    cr_assert_eq(put(&bench, 'b', OUTBOX_MESSAGE_SIZE / 2), 0);
    cr_assert_eq(put(&bench, 'c', 2 * OUTBOX_MESSAGE_SIZE), 0, "one record may be larger");
    cr_assert_eq(put(&bench, 'd', 1), 0);
    outbox_flush(bench.outbox);
    for (size_t i = 0; i < 4; i++)
        outbox_sent(bench.outbox, true);
    cr_assert_eq(bench.call.send_count, 4);
    check_sent(&bench, 0, "a");
    check_sent(&bench, 1, "b");
    check_sent(&bench, 2, "c");
    check_sent(&bench, 3, "d");
    cr_assert(outbox_is_empty(bench.outbox));
    bench_close(&bench);
}

Test(outbox, a_slow_reader_is_told)
{
    struct bench bench;
    bench_open(&bench, 100);
    cr_assert_eq(put(&bench, 'a', 98), 0);
    cr_assert_eq(put(&bench, 'b', 0), CRPC_ETOOBIG);
    outbox_flush(bench.outbox);
    cr_assert_eq(put(&bench, 'c', 98), 0, "what is in flight does not wait");
    cr_assert_eq(outbox_put_bytes(bench.outbox, FIELD, (struct crpc_bytes){"d", 1}), CRPC_ETOOBIG);
    outbox_sent(bench.outbox, true);
    check_sent(&bench, 1, "c");
    bench_close(&bench);
}

Test(outbox, the_end_comes_after_the_last_message_and_once)
{
    struct bench bench;
    bench_open(&bench, BYTES_MAX);
    cr_assert_eq(put(&bench, 'a', 1), 0);
    outbox_finish(bench.outbox);
    cr_assert_eq(put(&bench, 'b', 1), 0);
    cr_assert_eq(bench.call.finish_count, 0);
    outbox_flush(bench.outbox);
    outbox_sent(bench.outbox, true);
    outbox_finish(bench.outbox);
    cr_assert_eq(bench.call.finish_count, 0, "the last is in flight");
    outbox_sent(bench.outbox, true);
    cr_assert_eq(bench.call.finish_count, 1);
    cr_assert_eq(bench.call.code, CRPC_OK);
    outbox_flush(bench.outbox);
    outbox_finish(bench.outbox);
    cr_assert_eq(bench.call.finish_count, 1);
    cr_assert_eq(put(&bench, 'c', 1), CRPC_ECLOSED);
    bench_close(&bench);
}

Test(outbox, nothing_is_sent_after_the_call_has_ended)
{
    struct bench bench;
    Tercet__V1__Transaction transaction = TERCET__V1__TRANSACTION__INIT;
    bench_open(&bench, BYTES_MAX);
    cr_assert_eq(put(&bench, 'a', 1), 0);
    cr_assert_eq(put(&bench, 'b', OUTBOX_MESSAGE_SIZE), 0);
    outbox_close(bench.outbox);
    cr_assert(outbox_is_empty(bench.outbox));
    outbox_flush(bench.outbox);
    outbox_finish(bench.outbox);
    cr_assert_eq(put(&bench, 'c', 1), CRPC_ECLOSED);
    cr_assert_eq(outbox_put(bench.outbox, FIELD, &transaction.base), CRPC_ECLOSED);
    cr_assert_eq(bench.call.send_count + bench.call.finish_count, 0);
    bench_close(&bench);
}

Test(outbox, a_send_that_fails_drops_what_waits)
{
    struct bench bench;
    bench_open(&bench, BYTES_MAX);
    bench.call.send_result = CRPC_ECLOSED;
    cr_assert_eq(put(&bench, 'a', 1), 0);
    outbox_flush(bench.outbox);
    cr_assert_eq(put(&bench, 'b', 1), CRPC_ECLOSED);
    bench_close(&bench);
    bench_open(&bench, BYTES_MAX);
    cr_assert_eq(put(&bench, 'a', 1), 0);
    outbox_flush(bench.outbox);
    cr_assert_eq(put(&bench, 'b', 1), 0);
    outbox_sent(bench.outbox, false);
    cr_assert_eq(bench.call.send_count, 1);
    cr_assert(outbox_is_empty(bench.outbox));
    bench_close(&bench);
    outbox_free(NULL);
}

static void append(char text[4], const uint8_t *bytes, size_t count)
{
    size_t size = strlen(text);
    cr_assert_leq(size + count, 3);
    memcpy(text + size, bytes, count);
    text[size + count] = '\0';
}

/* Puts three records while one allocation fails; appends the first bytes of those that were
 * taken. */
static void put_three(struct bench *bench, char taken[4])
{
    static const size_t sizes[] = {1, 600, OUTBOX_MESSAGE_SIZE};
    static uint8_t data[OUTBOX_MESSAGE_SIZE];
    for (size_t i = 0; i < 3; i++) {
        data[0] = (uint8_t)('a' + i);
        int rc = outbox_put_bytes(bench->outbox, FIELD, (struct crpc_bytes){data, sizes[i]});
        cr_assert(rc == 0 || (rc == CRPC_ENOMEM && scarce_has_failed()), "%d", rc);
        if (rc == 0)
            append(taken, data, 1);
    }
}

/* Sends all; appends the first bytes of the records sent. */
static void send_all(struct bench *bench, char sent[4])
{
    for (size_t i = 0; i < 3; i++)
        outbox_sent(bench->outbox, true);
    for (size_t i = 0; i < bench->call.send_count; i++) {
        uint8_t firsts[8];
        size_t count = records_of(bench->call.sends[i], firsts);
        append(sent, firsts, count);
    }
}

/* One allocation after the other fails: that record is not taken, and no other suffers. */
Test(outbox, without_memory_the_record_is_not_taken)
{
    bool has_failed = true;
    int fault_count = 0;
    for (int at = 1; has_failed; at++) {
        struct bench bench;
        char taken[4] = "", sent[4] = "";
        bench_open(&bench, BYTES_MAX);
        scarce_fail_at(at);
        put_three(&bench, taken);
        has_failed = scarce_has_failed();
        scarce_fail_at(0);
        send_all(&bench, sent);
        cr_assert_str_eq(sent, taken, "fault %d", at);
        cr_assert_eq(strlen(taken), has_failed ? 2 : 3, "fault %d", at);
        fault_count += has_failed;
        bench_close(&bench);
    }
    cr_assert_eq(fault_count, 5,
                 "two messages, the room of each, and more of it for the second record");
}

Test(outbox, none_is_made_without_memory)
{
    struct crpc_call call = {.references = 0};
    struct outbox *outbox = NULL;
    scarce_fail_at(1);
    cr_assert_eq(outbox_new(&outbox, &call, BYTES_MAX), CRPC_ENOMEM);
    cr_assert_null(outbox);
    cr_assert_eq(call.references, 0);
}

Test(outbox, a_record_that_was_not_taken_does_not_keep_the_call_from_ending)
{
    for (int at = 1; at <= 2; at++) {
        struct bench bench;
        bench_open(&bench, BYTES_MAX);
        scarce_fail_at(at);
        cr_assert_eq(outbox_put_bytes(bench.outbox, FIELD, (struct crpc_bytes){"a", 1}),
                     CRPC_ENOMEM);
        scarce_fail_at(0);
        cr_assert(outbox_is_empty(bench.outbox), "fault %d", at);
        outbox_finish(bench.outbox);
        cr_assert_eq(bench.call.finish_count, 1, "fault %d", at);
        bench_close(&bench);
    }
}

/* -- A budget that it shares ------------------------------------------------------------------- */

Test(outbox, takes_from_the_budget_what_waits_and_gives_it_back)
{
    struct budget budget = {.max = 4 * BUDGET_OWN_MIN};
    struct bench bench;
    bench_open(&bench, BYTES_MAX);
    outbox_set_budget(bench.outbox, &budget, NULL);
    cr_assert_eq(put(&bench, 'a', BUDGET_OWN_MIN), 0);
    cr_assert_geq(atomic_load(&budget.used), BUDGET_OWN_MIN);
    cr_assert_eq(put(&bench, 'b', 4 * BUDGET_OWN_MIN), CRPC_ETOOBIG, "more than there is");
    cr_assert_eq(put(&bench, 'c', 10), 0, "what fits is taken after that");
    outbox_close(bench.outbox);
    bench_close(&bench);
    cr_assert_eq(atomic_load(&budget.used), 0);
}
