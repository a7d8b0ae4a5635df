/* SPDX-License-Identifier: Apache-2.0
 *
 * What cases are made of: branches of transactions that never were, calls of them, and what is
 * right. A step that goes wrong says what was wanted and what came, and its case ends.
 */
#ifndef CONFORMANCE_RUN_H
#define CONFORMANCE_RUN_H

#include "effects.h"
#include "link.h"

#define GROUP_MAX 32 /* calls at once */
#define SAID_MAX 1600

struct options {
    const char *listen;
    const char *target;
    const char *call_token;
    const char *token;
    const char *cert_file, *key_file, *ca_file;
    const char *call_cert_file, *call_key_file, *call_ca_file;
    const char *action;
    const char *payload;
    const char *payload_file;
    const char *refused_payload;
    const char *probe;
    const char *restart_command;
    const char *only;
    uint64_t source;
    uint32_t timeout_ms; /* of a call, and of asking again */
    uint32_t start_ms;   /* until the participant has come */
    bool keeps_rows;
    bool lists;
    bool wants_help;
    bool wants_version;
    char *const *command; /* NULL: the participant is started by somebody else */
};

struct run {
    const struct options *options;
    struct link *link;
    struct introduction participant;
    struct tercet_bytes payload;
    char action[TERCET_ACTION_MAX + 1];
    struct effects effects;
    char prefix[TERCET_GID_MAX + 1]; /* of this run's gids */
    unsigned transaction_count;
    uint64_t last_number;

    /* Of the case that is played. */
    int step;
    const char *section;   /* of docs/protocol.md, when a step knows better than the case */
    char before[SAID_MAX]; /* what went well, in words */
    char wanted[SAID_MAX];
    char came[SAID_MAX];
};

/* One branch, and what calls of it carry; cases change what they are about. */
struct part {
    char gid[96]; /* longer than a gid may be */
    uint32_t branch;
    uint64_t number;
    uint64_t low_water;
    uint64_t source;
    const char *action;
    struct tercet_bytes payload;
    Tercet__V1__Metadata **metadata;
    size_t metadata_count;
    ProtobufCMessageUnknownField *unknown;
    bool is_hasty; /* nobody waits longer than a millisecond */
    bool has_reply;
    void *reply; /* of the first try that was done */
    size_t reply_size;
};

enum effect {
    NO_EFFECT,
    ONE_EFFECT,
    ANY_EFFECT /* not looked at: expect_pairs_or_nothing or forget_effects follows */
};

/* Branch 1 of a new transaction, the youngest. */
struct part part_new(struct run *run);
void part_clear(struct part *part);
/* As many new ones; of transactions of their own. */
void parts_new(struct run *run, struct part *parts, size_t count);
void parts_clear(struct part *parts, size_t count);

/* Each of these is a step; false: the case has failed, and says why. -------------------------- */

/* A call, asked again while the answer is AGAIN or the connection is lost. Its outcome and its
 * effect are to be these. A try that is done has the reply of the first one. */
bool expect(struct run *run, struct part *part, enum tercet_kind kind, Tercet__V1__Outcome outcome,
            enum effect effect);

/* A call that is none, or that the participant may do or not: asked once. Any answer will do but
 * DONE (unless `may_be_done`), or the loss of the connection; *outcome (may be NULL) is what it
 * was, 0 when it was lost. */
bool expect_some_answer(struct run *run, struct part *part, int kind, bool may_be_done,
                        int *outcome);

/* Calls of all these branches at once, `times` of each, asked again as above. Each is to be DONE;
 * every branch has this effect once, unless it is ANY_EFFECT. */
bool expect_at_once(struct run *run, struct part *parts, size_t count, size_t times,
                    enum tercet_kind kind, enum effect effect);

/* Sends calls of all these branches, waits until `wanted` are answered, and leaves the others. No
 * answer may be a refusal. */
bool send_and_leave(struct run *run, struct part *parts, size_t count, enum tercet_kind kind,
                    size_t wanted);

/* The effects of the branches may be there, or not: whoever left them cannot know. From here on
 * they are counted anew. */
bool expect_pairs_or_nothing(struct run *run, size_t count);
/* Nothing is known of effects from here on: they are counted anew. */
void forget_effects(struct run *run);

/* Waits until the participant has come more often than `count` times. false: `why` says what is
 * the matter. */
bool wait_for_participant(struct run *run, unsigned count, char *why, size_t size);
/* Kills the participant, starts it again, and waits until it is there. */
bool restart(struct run *run);
/* Ends its stream, and waits until it is there again. */
bool reconnect(struct run *run);

/* Whether the participant at the target answers: a call that is none. Waits for it. */
bool reach(struct run *run);

/* Fails the case. */
bool fail(struct run *run, const char *wanted, const char *came, ...)
    __attribute__((format(printf, 3, 4)));

/* For texts: "DONE" and so on. */
const char *outcome_name(int outcome);

/* -- The cases --------------------------------------------------------------------------------- */

enum need {
    NEEDS_REFUSAL = 1, /* a payload whose try is refused */
    NEEDS_RESTART = 2,
    NEEDS_ATTACH = 4,
    NEEDS_MARKS = 8,  /* the participant deletes rows */
    NEEDS_HELLO = 16, /* it has come to us */
    IS_BASIC = 32,    /* is played whatever was chosen: others build on it */
};

struct test_case {
    const char *name;
    const char *section;
    const char *title;
    bool (*play)(struct run *run);
    unsigned needs;
};

/* In groups, each ended by one without a name. */
extern const struct test_case cases_table[], cases_refusal[], cases_crowd[], cases_time[],
    cases_odd[], cases_mark[], cases_restart[], cases_last[];

#endif
