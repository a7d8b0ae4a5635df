/* SPDX-License-Identifier: Apache-2.0
 *
 * Cases: calls that are none, and calls at the limits. After each the participant still serves.
 */
#include "run.h"

#include <stdio.h>
#include <string.h>

#define DONE TERCET__V1__OUTCOME__DONE

static bool still_serves(struct run *run)
{
    struct part part = part_new(run);
    bool is_right = expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_CANCEL, DONE, ONE_EFFECT);
    part_clear(&part);
    return is_right;
}

static bool play_unknown_action(struct run *run)
{
    struct part part = part_new(run);
    char action[TERCET_ACTION_MAX + 20];
    snprintf(action, sizeof(action), "%.63s/no-such-action", run->participant.service);
    part.action = action;
    return expect_some_answer(run, &part, TERCET_TRY, false, NULL) && still_serves(run);
}

static bool play_unknown_kind(struct run *run)
{
    static const int kinds[] = {0, 4, 77};
    bool is_right = true;
    for (size_t i = 0; i < 3 && is_right; i++) {
        struct part part = part_new(run);
        is_right = expect_some_answer(run, &part, kinds[i], false, NULL);
    }
    return is_right && still_serves(run);
}

static bool play_bad_gid(struct run *run)
{
    static const char *const gids[] = {"", "a b", "na\xc3\xafve", "a/b"};
    struct part part = part_new(run);
    bool is_right = true;
    for (size_t i = 0; i < 4 && is_right; i++) {
        snprintf(part.gid, sizeof(part.gid), "%s", gids[i]);
        is_right = expect_some_answer(run, &part, TERCET_TRY, false, NULL);
    }
    memset(part.gid, 'x', TERCET_GID_MAX + 1);
    part.gid[TERCET_GID_MAX + 1] = '\0';
    return is_right && expect_some_answer(run, &part, TERCET_TRY, false, NULL) && still_serves(run);
}

static bool play_bad_branch(struct run *run)
{
    static const uint32_t branches[] = {0, TERCET_BRANCHES_MAX + 1, UINT32_MAX};
    bool is_right = true;
    for (size_t i = 0; i < 3 && is_right; i++) {
        struct part part = part_new(run);
        part.branch = branches[i];
        is_right = expect_some_answer(run, &part, TERCET_TRY, false, NULL);
    }
    return is_right && still_serves(run);
}

static bool try_payload(struct run *run, struct tercet_bytes payload)
{
    struct part part = part_new(run);
    part.payload = payload;
    bool is_right = expect_some_answer(run, &part, TERCET_TRY, true, NULL) &&
                    expect(run, &part, TERCET_CANCEL, DONE, ANY_EFFECT);
    forget_effects(run);
    return is_right && still_serves(run);
}

/* What it means is the participant's business: it may do it, refuse it, or fail. */
static bool play_odd_payload(struct run *run)
{
    static uint8_t bytes[TERCET_PAYLOAD_MAX];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(255 - i % 256);
    return try_payload(run, (struct tercet_bytes){.data = bytes, .size = sizeof(bytes)}) &&
           try_payload(run, (struct tercet_bytes){.data = "a\0b", .size = 3}) &&
           try_payload(run, (struct tercet_bytes){.data = NULL, .size = 0});
}

static bool play_metadata(struct run *run)
{
    Tercet__V1__Metadata items[TERCET_METADATA_MAX];
    Tercet__V1__Metadata *pointers[TERCET_METADATA_MAX];
    char keys[TERCET_METADATA_MAX][16], value[200];
    struct part part = part_new(run);
    memset(value, '~', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (size_t i = 0; i < TERCET_METADATA_MAX; i++) {
        tercet__v1__metadata__init(&items[i]);
        snprintf(keys[i], sizeof(keys[i]), "key-%zu", i);
        items[i].key = keys[i];
        items[i].value = value;
        pointers[i] = &items[i];
    }
    part.metadata = pointers;
    part.metadata_count = TERCET_METADATA_MAX;
    bool is_right = expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_CONFIRM, DONE, ONE_EFFECT);
    part_clear(&part);
    return is_right;
}

static bool play_unknown_field(struct run *run)
{
    uint8_t data[] = {4, 'n', 'e', 'w', '!'};
    ProtobufCMessageUnknownField field = {.tag = 1000,
                                          .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED,
                                          .len = sizeof(data),
                                          .data = data};
    struct part part = part_new(run);
    part.unknown = &field;
    bool is_right = expect(run, &part, TERCET_TRY, DONE, ONE_EFFECT) &&
                    expect(run, &part, TERCET_CANCEL, DONE, ONE_EFFECT);
    part_clear(&part);
    return is_right;
}

const struct test_case cases_odd[] = {
    {"unknown-action", "2.4", "an action that it does not have", play_unknown_action, 0},
    {"unknown-kind", "2.4", "a kind of call that it does not know", play_unknown_kind, 0},
    {"bad-gid", "2.4", "gids that are none", play_bad_gid, 0},
    {"bad-branch", "2.4", "branch numbers that are none", play_bad_branch, 0},
    {"odd-payload", "8", "payloads of 64 KiB, with NULs, and empty", play_odd_payload, 0},
    {"metadata", "8", "as much metadata as there may be", play_metadata, 0},
    {"unknown-field", "2.6", "a call with a field that it does not know", play_unknown_field, 0},
    {NULL, NULL, NULL, NULL, 0}};
