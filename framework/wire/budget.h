/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that many share, so that few cannot have it all: each may take as much as is left free
 * (dynamic thresholds, Choudhury and Hahne 1998). One alone gets half; n that never give back get
 * one share in n + 1 each, and one share is left to whoever comes next. Any thread.
 */
#ifndef TERCET_BUDGET_H
#define TERCET_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Who has less than this may take it as long as there is any: it never waits for others to read. */
#define BUDGET_OWN_MIN (64u * 1024)

struct budget {
    atomic_size_t used;
    size_t max; /* set before it is used */
};

/* Takes `size` bytes for one who has `own` already. false: nothing was taken. NULL: always. */
bool budget_take(struct budget *budget, size_t own, size_t size);
void budget_give(struct budget *budget, size_t size);

/* Many who are counted as one besides, such as all of one address: together they may take as much
 * as is left free, and each of them as much as that leaves beside the group. */
struct budget_group {
    atomic_size_t used;
};
/* A group that has less than this may take it as long as there is any. */
#define BUDGET_GROUP_MIN (256u * 1024)

/* The same for one of a group; NULL: of none. */
bool budget_take_in(struct budget *budget, struct budget_group *group, size_t own, size_t size);
/* Takes it in any case. */
void budget_force_in(struct budget *budget, struct budget_group *group, size_t size);
void budget_give_in(struct budget *budget, struct budget_group *group, size_t size);

#endif
