/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults put into the product from outside: an engine that does not find them proves nothing by
 * finding nothing. Those at the product's seams (the linker's --wrap) are in mutants.c; the others
 * are in the engines, where the seam is theirs.
 */
#ifndef TERCET_TESTS_MUTANTS_H
#define TERCET_TESTS_MUTANTS_H

#include <loop.h>
#include <stdbool.h>

/* Name, text, whether the simulator looks for it, and the scenario in which the fault engine looks
 * for it first (NULL: it does not). */
#define MUTANT_MAP(X)                                                                              \
    X(NONE, "none", false, NULL)                                                                   \
    X(EARLY_EFFECTS, "early-effects", true, "run")                                                 \
    X(EARLY_ANSWERS, "early-answers", true, "run")                                                 \
    X(LAZY_DECISION, "lazy-decision", true, "initiator-gone")                                      \
    X(PERSIST_LAST, "persist-last", true, "run-refused")                                           \
    X(FAILED_COMMIT_GOES_ON, "failed-commit-goes-on", true, "run")                                 \
    X(RESTART_FORGETS, "restart-forgets", true, "confirm")                                         \
    X(RESTART_TURNS, "restart-turns", true, "run")                                                 \
    X(HIGH_MARK, "high-mark", true, NULL)                                                          \
    X(NO_EMPTY_CANCEL, "no-empty-cancel", true, NULL)                                              \
    X(NO_MARK_CHECK, "no-mark-check", true, NULL)                                                  \
    X(NO_ROW_ON_TRY, "no-row-on-try", true, NULL)                                                  \
    X(WRONG_CALL, "wrong-call", true, "again")                                                     \
    X(LOST_RETRY, "lost-retry", true, "again")                                                     \
    X(LAZY_SHOWN, "lazy-shown", true, "confirm")                                                   \
    X(LOST_MARK, "lost-mark", true, "confirm")                                                     \
    X(LOST_BRANCH, "lost-branch", true, "run")                                                     \
    X(LOST_META, "lost-meta", false, "paused")                                                     \
    X(NO_DEADLINE, "no-deadline", true, "deadline")                                                \
    X(CONFIRM_DOES_NOT_WAIT, "confirm-does-not-wait", true, "confirm")                             \
    X(LOST_REPLY, "lost-reply", true, NULL)                                                        \
    X(WALL_RETENTION, "wall-retention", true, NULL)                                                \
    X(NO_FENCE, "no-fence", true, NULL)                                                            \
    X(KEPT_FOR_EVER, "kept-for-ever", true, "retention")                                           \
    X(LOST_PAYLOAD, "lost-payload", true, "large-payloads")                                        \
    X(SENT_IS_FORGOTTEN, "sent-is-forgotten", true, NULL)                                          \
    X(HELD_GOES, "held-goes", true, NULL)                                                          \
    X(UNSENT_IS_OWED, "unsent-is-owed", true, NULL)                                                \
    X(PART_IS_CONFIRMED, "part-is-confirmed", true, NULL)
enum mutant {
#define MUTANT_ENUM(name, text, is_simulated, scenario) MUTANT_##name,
    MUTANT_MAP(MUTANT_ENUM)
#undef MUTANT_ENUM
        MUTANTS
};

struct mutant_info {
    const char *name;
    bool is_simulated;
    const char *scenario;
};
extern const struct mutant_info mutants[MUTANTS];

/* The one that is in the product now; the engine says which. */
enum mutant mutant_now(void);

/* To be called when the coordinator has been restored. */
void mutate_restored(struct coordinator *c);

#endif
