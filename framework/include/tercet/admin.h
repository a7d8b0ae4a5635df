/* SPDX-License-Identifier: Apache-2.0
 *
 * For operators' own programs: what tercetctl does, from C. Every call blocks for at most the
 * options' timeout, and needs the role admin. On an error `text` (may be NULL, TERCET_TEXT_MAX
 * bytes) says what is wrong. Errors of all: TERCET_INVALID, TERCET_DENIED, TERCET_NOT_FOUND,
 * TERCET_UNKNOWN (no answer in time: it may have been done or not; asking again does no harm).
 */
#ifndef TERCET_ADMIN_H
#define TERCET_ADMIN_H

#include <tercet/client.h>
#include <tercet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tercet_admin;

/* `options`: as for a client; requests_max and fails_fast mean nothing here. Default timeout: 60 s
 * for each call. */
int tercet_admin_open(struct tercet_admin **out, const char *coordinator,
                      const struct tercet_client_options *options, char *text);
void tercet_admin_close(struct tercet_admin *admin);

/* -- Looking ----------------------------------------------------------------------------------- */

/* A branch as it stands. Only the library makes these, and may append fields. */
struct tercet_branch_view {
    struct tercet_branch_id branch;
    const char *action;    /* "service/name" */
    const char *try_state; /* as tercet.proto names it: "TRY_DONE" */
    const char *end_state; /* of the confirm or cancel: "END_WAITING" */
    uint32_t failures;     /* calls that failed, of what is under way */
    bool is_parked;        /* needs a person */
    bool is_broken;        /* the participant's rows contradict the decision */
    bool is_settled;       /* a person said that it is resolved */
    const char *reason;    /* of a refusal, or of the settling */
    const char *last_error;
    uint32_t next_attempt_ms; /* from now; 0: under way, or none */
    struct tercet_bytes reply;
    const char *waits_for; /* in words, as of now; "": for nothing */
    /* What failed of the try, also after the decision, and of the confirm or cancel: how many
     * calls, why the last one did, and the instance that was called then. */
    uint32_t try_failures;
    const char *try_error;
    const char *try_instance;
    uint32_t end_failures;
    const char *end_error;
    const char *end_instance;
    /* what the decision asks of it, as tercet.proto names it: "OWED_NOTHING" when its try was never
     * sent to anybody */
    const char *owed;
    /* an open try: when it counts as not known, ms since 1970; 0: its turn has not come, or it is
     * over, or the coordinator does not say */
    int64_t try_until_ms;
};

/* A transaction as it stands. Only the library makes these, and may append fields. Times are ms
 * since 1970, 0: not yet. */
struct tercet_transaction_view {
    struct tercet_gid gid;
    enum tercet_state state;
    enum tercet_cause cause;
    const char *reason; /* why it was cancelled */
    int64_t created_ms, deadline_ms, decided_ms, resolved_ms;
    uint64_t number;
    bool is_parked; /* some branch is */
    const struct tercet_metadata *metadata;
    size_t metadata_count;
    const struct tercet_branch_view *const *branches;
    size_t branch_count;
    /* TRYING: when it is cancelled unless something changes, and the branch whose try has no time
     * left then, 0: its deadline. 0, 0: the coordinator is too old to say */
    int64_t cancels_ms;
    struct tercet_branch_id cancels_for;
};

/* Is given a view that lives until it returns. false: no more of them. */
typedef bool (*tercet_view_fn)(const struct tercet_transaction_view *view, void *ctx);

int tercet_admin_show(struct tercet_admin *admin, const char *gid, tercet_view_fn on_view,
                      void *ctx, char *text);

struct tercet_list_options {
    size_t size;
    const enum tercet_state *states; /* only those in one of these; none: all */
    size_t state_count;
    bool is_parked;      /* only those with a parked branch */
    const char *service; /* only those with a branch of this service */
    /* only those begun with all of these; a value of "" stands for any */
    const struct tercet_metadata *metadata;
    size_t metadata_count;
    bool is_resolved; /* those that are over, newest first; else the others, oldest first */
    uint64_t limit;   /* 0: no limit */
};

/* Calls on_view for each, page by page, without replies. `options` may be NULL. */
int tercet_admin_list(struct tercet_admin *admin, const struct tercet_list_options *options,
                      tercet_view_fn on_view, void *ctx, char *text);

/* -- Acting ------------------------------------------------------------------------------------ */

/* Asks the branch again now, or with the number 0 all that wait. */
int tercet_admin_retry(struct tercet_admin *admin, const char *gid, struct tercet_branch_id branch,
                       char *text);

/* Declares a branch resolved by hand; tercetctl settle --help says when. The reason is kept. */
int tercet_admin_settle(struct tercet_admin *admin, const char *gid, struct tercet_branch_id branch,
                        const char *reason, char *text);

/* The same for a branch that is not parked, too, once its transaction is decided: TERCET_NOT_READY
 * before. */
int tercet_admin_settle_now(struct tercet_admin *admin, const char *gid,
                            struct tercet_branch_id branch, const char *reason, char *text);

/* Decides an undecided transaction. TERCET_DECIDED: it was decided the other way. */
int tercet_admin_decide(struct tercet_admin *admin, const char *gid, bool is_confirmed,
                        const char *reason, char *text);

/* Holds the calls of a service back, or lets them go again. */
int tercet_admin_pause(struct tercet_admin *admin, const char *service, bool is_paused, char *text);

/* -- Registered targets ------------------------------------------------------------------------ */

/* Has calls of the service sent to this target, too: "host:port", "dns:///host:port" or
 * "unix:/path". Targets of a service share its calls and must use one database. No actions: it
 * offers all. TERCET_EXHAUSTED past 64 targets that answer. */
int tercet_admin_register(struct tercet_admin *admin, const char *service, const char *target,
                          const char *const *actions, size_t action_count, char *text);
/* Removes a target of the service; NULL: all of them. 0 also where there is none. */
int tercet_admin_unregister(struct tercet_admin *admin, const char *service, const char *target,
                            char *text);

/* A registered target as it stands; lives until the function that is given it returns. */
struct tercet_target_view {
    const char *service;
    const char *target;
    uint32_t calls;    /* under way */
    uint32_t failures; /* in a row */
    bool is_breaker_open;
    const char *last_error;
};
/* false: no more of them. */
typedef bool (*tercet_target_fn)(const struct tercet_target_view *view, void *ctx);
/* Calls on_target for each target of the service; NULL: of all. */
int tercet_admin_targets(struct tercet_admin *admin, const char *service,
                         tercet_target_fn on_target, void *ctx, char *text);

#ifdef __cplusplus
}
#endif
#endif
