/* SPDX-License-Identifier: Apache-2.0
 *
 * The scenarios. Each is small: it is run once for every crash point, for every pair of them, and
 * for every call that can fail.
 */
#include "faults.h"

#define DECIDED 0 /* tercet.v1.Wait */
#define RESOLVED 1
#define NOT 2
#define ONE_SCRIPT .script_count = 1, .job_count = 1
#define ALL_STEPS(...) .steps = {__VA_ARGS__}

const struct scenario scenarios[] = {
    {.name = "run",
     ONE_SCRIPT,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_RUN, DECIDED}, {OP_RESOLVED, 0}), .branch_count = 2,
                  .end = TXN_CONFIRMED}}},

    {.name = "run-ordered",
     ONE_SCRIPT,
     .is_ordered = true,
     .has_committer = true,
     .scripts = {{ALL_STEPS({OP_RUN, RESOLVED}), .branch_count = 3, .end = TXN_CONFIRMED}}},

    {.name = "run-refused",
     ONE_SCRIPT,
     .overlap = 2,
     .scripts = {{ALL_STEPS({OP_RUN, DECIDED}, {OP_RESOLVED, 0}), .habits[1] = {.refuses = true},
                  .branch_count = 2, .end = TXN_CANCELLED}}},

    {.name = "try-unknown",
     ONE_SCRIPT,
     .has_committer = true,
     .scripts = {{ALL_STEPS({OP_BEGIN, 0}, {OP_TRY, 1}, {OP_TRY, 2}, {OP_CANCEL, RESOLVED}),
                  .habits[1] = {.silent_tries = ALWAYS}, .end = TXN_CANCELLED}}},

    {.name = "confirm",
     ONE_SCRIPT,
     .uses_session = true,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_BEGIN, 0}, {OP_TRY, 1}, {OP_TRY, 2}, {OP_CONFIRM, DECIDED},
                            {OP_CLOSE, 0}, {OP_RESOLVED, 0}),
                  .end = TXN_CONFIRMED}}},

    {.name = "cancel",
     ONE_SCRIPT,
     .has_committer = true,
     .scripts = {{ALL_STEPS({OP_BEGIN, 0}, {OP_TRY, 1}, {OP_TRY, 2}, {OP_CANCEL, RESOLVED}),
                  .end = TXN_CANCELLED}}},

    {.name = "own-calls",
     ONE_SCRIPT,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_BEGIN, 0}, {OP_ENLIST, 1}, {OP_OWN, 1}, {OP_ENLIST, 2}, {OP_OWN, 2},
                            {OP_CONFIRM, RESOLVED}),
                  .end = TXN_CONFIRMED}}},

    /* Each restart gives it its 200 ms once more; the confirm comes after all of them. */
    {.name = "deadline",
     ONE_SCRIPT,
     .deadline_ms = 200,
     .has_committer = true,
     .scripts = {{ALL_STEPS({OP_BEGIN, 0}, {OP_TRY, 1}, {OP_WAIT, 2000}, {OP_CONFIRM, DECIDED},
                            {OP_RESOLVED, 0}),
                  .end = TXN_CANCELLED}}},

    {.name = "initiator-gone",
     ONE_SCRIPT,
     .deadline_ms = 300,
     .scripts = {{ALL_STEPS({OP_BEGIN, 0}, {OP_TRY, 1}, {OP_TRY, 2}, {OP_CONFIRM_ONCE, DECIDED},
                            {OP_WAIT, 600}, {OP_RESOLVED, 0})}}},

    {.name = "confirm-repeated",
     ONE_SCRIPT,
     .overlap = 2,
     .scripts = {{ALL_STEPS({OP_BEGIN, 0}, {OP_TRY, 1}, {OP_CONFIRM, DECIDED},
                            {OP_CONFIRM, RESOLVED}, {OP_CONFIRM, DECIDED}, {OP_CANCEL, DECIDED}),
                  .end = TXN_CONFIRMED}}},

    {.name = "again",
     ONE_SCRIPT,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_RUN, RESOLVED}),
                  .habits = {{.again_tries = 2, .again_ends = 3}, {.again_ends = 2}},
                  .branch_count = 2, .end = TXN_CONFIRMED}}},

    {.name = "parked-retried",
     ONE_SCRIPT,
     .park_after = 2,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_RUN, DECIDED}, {OP_PARKED, 0}, {OP_RETRY, 2}, {OP_RESOLVED, 0}),
                  .habits[1] = {.again_ends = 2}, .branch_count = 2, .end = TXN_CONFIRMED}}},

    {.name = "parked-settled",
     ONE_SCRIPT,
     .park_after = 2,
     .has_committer = true,
     .scripts = {{ALL_STEPS({OP_RUN, DECIDED}, {OP_PARKED, 0}, {OP_SETTLE, 2}, {OP_RESOLVED, 0}),
                  .habits[1] = {.broken_ends = ALWAYS}, .branch_count = 2, .end = TXN_CONFIRMED,
                  .settled_branch = 2}}},

    {.name = "paused",
     ONE_SCRIPT,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_PAUSE, 1}, {OP_RUN, NOT}, {OP_WAIT, 300}, {OP_RESUME, 1},
                            {OP_RESOLVED, 0}),
                  .branch_count = 2, .end = TXN_CONFIRMED}}},

    {.name = "target",
     ONE_SCRIPT,
     .targets = 1,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_REGISTER, 0}, {OP_RUN, RESOLVED}), .branch_count = 2,
                  .end = TXN_CONFIRMED}}},

    {.name = "two-in-a-batch",
     .script_count = 2,
     .job_count = 2,
     .uses_session = true,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_RUN, RESOLVED}), .branch_count = 2, .end = TXN_CONFIRMED},
                 {ALL_STEPS({OP_RUN, RESOLVED}), .habits[0] = {.refuses = true}, .branch_count = 2,
                  .end = TXN_CANCELLED}}},

    {.name = "fifty-in-a-batch",
     .script_count = 1,
     .job_count = JOBS_MAX,
     .uses_session = true,
     .scripts = {{ALL_STEPS({OP_RUN, RESOLVED}), .branch_count = 1, .end = TXN_CONFIRMED}}},

    {.name = "one-gid-twice",
     .script_count = 1,
     .job_count = 2,
     .has_one_gid = true,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_RUN, DECIDED}, {OP_RESOLVED, 0}, {OP_RUN, RESOLVED}),
                  .branch_count = 1, .end = TXN_CONFIRMED}}},

    {.name = "retention",
     ONE_SCRIPT,
     .retention_ms = 70000,
     .scripts = {{ALL_STEPS({OP_RUN, RESOLVED}, {OP_GONE, 0}), .branch_count = 1,
                  .end = TXN_CONFIRMED}}},

    {.name = "broken-session",
     ONE_SCRIPT,
     .uses_session = true,
     .has_committer = true,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_BREAK, 0}, {OP_BEGIN, 0}, {OP_BREAK, 0}, {OP_TRY, 1}, {OP_BREAK, 0},
                            {OP_CONFIRM, DECIDED}, {OP_BREAK, 0}, {OP_RESOLVED, 0}),
                  .end = TXN_CONFIRMED}}},

    {.name = "every-state",
     .script_count = 5,
     .job_count = 5,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_BEGIN, 0}, {OP_TRY, 1}, {OP_WAIT, 60}, {OP_CONFIRM, RESOLVED}),
                  .end = TXN_CONFIRMED},
                 {ALL_STEPS({OP_RUN, DECIDED}, {OP_RESOLVED, 0}), .habits[0] = {.again_ends = 3},
                  .branch_count = 1, .end = TXN_CONFIRMED},
                 {ALL_STEPS({OP_RUN, DECIDED}, {OP_RESOLVED, 0}),
                  .habits = {{.again_ends = 3}, {.refuses = true}}, .branch_count = 2,
                  .end = TXN_CANCELLED},
                 {ALL_STEPS({OP_RUN, RESOLVED}), .branch_count = 1, .end = TXN_CONFIRMED},
                 {ALL_STEPS({OP_RUN, RESOLVED}), .habits[0] = {.again_tries = 3}, .branch_count = 1,
                  .end = TXN_CONFIRMED}}},

    {.name = "large-payloads",
     ONE_SCRIPT,
     .payload_size = 60000,
     .scripts = {{ALL_STEPS({OP_RUN, RESOLVED}), .branch_count = 2, .end = TXN_CONFIRMED}}},

    {.name = "watched",
     ONE_SCRIPT,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_BEGIN, 0}, {OP_TRY, 1}, {OP_CONFIRM, DECIDED}, {OP_WATCH, 0},
                            {OP_RESOLVED, 0}),
                  .habits[0] = {.again_ends = 1}, .end = TXN_CONFIRMED}}},

    {.name = "stopped",
     .script_count = 2,
     .job_count = 2,
     .uses_session = true,
     .has_committer = true,
     .overlap = 1,
     .scripts = {{ALL_STEPS({OP_BEGIN, 0}, {OP_TRY, 1}, {OP_STOP, 0}, {OP_CONFIRM, DECIDED},
                            {OP_AWAIT, 0}),
                  .end = TXN_CONFIRMED},
                 {ALL_STEPS({OP_RUN, RESOLVED}), .habits[0] = {.again_ends = 2}, .branch_count = 2,
                  .end = TXN_CONFIRMED}}},
};

const size_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);
