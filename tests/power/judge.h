/* SPDX-License-Identifier: Apache-2.0
 *
 * The judge of an image: it opens, nothing contradicts itself, and nothing that had been told
 * before the power went is missing. judge.c is that of the coordinator's store, judge_till.c that
 * of a participant's SQLite file.
 */
#ifndef TERCET_POWER_JUDGE_H
#define TERCET_POWER_JUDGE_H

#include "truth.h"

#define JUDGE_TEXT_MAX 400

struct judge {
    const struct truth *truth; /* stands at the cut */
    const struct power_log *log;
    int64_t retention_ms;
    uint64_t stamp;   /* of the image */
    uint64_t told;    /* transactions that had been told of and were looked for, in all images */
    uint64_t decided; /* with a decision */
    uint64_t over;    /* not there, with a retention that was over */
    uint64_t live, resolved;
    char text[JUDGE_TEXT_MAX];
};

/* What judge.live and judge.resolved count. */
extern const char *const judge_words[2];

/* Whether the image in the folder, cut after `cut` records, is right; `text` says what is not. The
 * folder is changed by it. `reads_all`: every resolved transaction is looked up by its gid, too. */
bool judge_image(struct judge *judge, const char *folder, size_t cut, bool reads_all);

#endif
