/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeded traffic: many transactions at once, each told to people and to a log as what it is known
 * to be. Nothing is guessed: what got no answer is unknown, and is asked for again at the end,
 * under its gid.
 *
 * The log has a line "gid confirmed", "gid cancelled" or "gid unknown" for each transaction; of an
 * unknown one that became known a second line follows. The audits read it.
 */
#ifndef SAMPLES_TRAFFIC_H
#define SAMPLES_TRAFFIC_H

#include <tercet/tercet.h>

#include "options.h"

/* Random numbers that depend on the seed and the transaction's number only, whichever thread draws
 * them. */
struct random {
    uint64_t state;
};

/* 0 to limit - 1. */
uint32_t random_below(struct random *random, uint32_t limit);

/* One transaction to be done. */
struct traffic_job {
    struct tercet_client *client;
    uint64_t number; /* from 1 */
    struct random random;
    bool is_stepwise;                  /* step by step; else Run */
    struct tercet_begin_options begin; /* gid, deadline: for tercet_run or tercet_begin */
    char what[96];                     /* set by the sample: what it does, for people */
};

struct traffic {
    const char *program;
    const char *summary;
    const char *noun;                   /* of one transaction: "order" */
    const struct option_entry *options; /* the sample's own */
    size_t option_count;
    /* Does the job and fills `result`, which says TERCET_UNKNOWN before. Any of the driver's
     * threads. The same job may be done again, when the coordinator turns out not to know it: it is
     * the same plan under the same gid then. */
    void (*transact)(struct traffic_job *job, struct tercet_result *result);
};

/* The whole program. Returns main's exit status: 0 when every outcome is known. */
int traffic_main(const struct traffic *traffic, int argc, char **argv);

/* The end of a step-by-step transaction: confirms when `tried` says that the last try was done,
 * else cancels; fills `result`; frees both. */
void traffic_decide(struct tercet_transaction *transaction, struct tercet_tried *tried,
                    struct tercet_result *result);

#endif
