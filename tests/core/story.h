/* SPDX-License-Identifier: Apache-2.0
 *
 * Golden traces. A story is lines "<ms> <command> : <what the core said>"; the commands are carried
 * out, the story is written again with what was really said, and both texts must be equal.
 *
 *  - begin [ordered] [itself] [keeps] [queues] [deadline=1000] [park_attempts=N] [park_after=MS]:
 *    a new transaction; "queues": a try leaves only when the story says so, else when it is called
 *  - enlist N [own] [held] [timeout=MS] [digest=N]; confirm [forced]; cancel [operator]
 *  - leaves N: its try is sent; may-go N: it was held, and can be
 *  - tried N, refused N, failed N: answers to a try
 *  - confirmed N, confirm-failed N, confirm-broken N, cancelled N, cancel-failed N, cancel-broken
 *    N
 *  - retry [N], settle N [forced], wake
 *  - restart: everything marked had been written, woken; crash: only what was persisted is left,
 *    woken
 *  - show: state, cause and branches ("unsent": owed nothing); due: when the next wake is
 *
 * A retry comes 1 ms after the failure (base, cap and parked pace are all 1).
 */
#ifndef TERCET_TESTS_CORE_STORY_H
#define TERCET_TESTS_CORE_STORY_H

void story_expect(const char *story);

#endif
