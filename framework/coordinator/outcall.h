/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of hooks: waiting, under way, finished. The owner's.
 *
 * A call waits in its service's queue until somebody has room for it: attached instances first,
 * else a registered target. Instances that do not answer open their service's breaker, a target its
 * own: then one probe goes out at a time, not one call a transaction; when it answers, everything
 * that waits goes, as fast as the windows allow. What waits has not failed: the core's parking
 * clock runs on all the same.
 *
 * A call that is finished, answered or not, is its own outcome: it is taken off every other list
 * and put on the list of the finished, which the loop empties (outcome.h). Nothing here knows what
 * an outcome means to the transaction.
 */
#ifndef TERCET_OUTCALL_H
#define TERCET_OUTCALL_H

#include "alarm.h"
#include "service.h"
#include "table.h"

#include <tercet/v1/tercet.pb-c.h>

/* a call that is not answered for so many times its timeout is given up; an instance that has
 * answered nothing since then is disconnected */
#define SILENCE_FACTOR 3

struct coordinator;

struct outcall {
    struct outcall *next; /* of the service's queue, of the instance's calls, or of the finished */
    struct outcall *prev;
    struct wheel_node due; /* sent to an instance: when it is late, or given up */
    struct service *service;
    struct instance *instance; /* under way there, */
    struct target *target;     /* or there; both NULL: waiting */
    struct entry *entry;       /* NULL: nobody wants the answer any more */
    uint64_t id;
    int64_t sent_ms;     /* until then: when it began to wait */
    uint32_t timeout_ms; /* how long it is waited for */
    uint32_t branch;
    uint32_t attempt;
    uint8_t kind; /* enum tercet_kind */
    bool is_sent;
    /* Its time is over, and its transaction is told so; it keeps its place in the window until the
     * answer comes, since the instance may still work on it. */
    bool is_late;
    char *name; /* for people, once it has no transaction any more; NULL: not needed yet */

    /* Once it is finished; views, of what lives until the list has been emptied. */
    bool is_finished;
    struct outcall *finished_next;
    bool is_held; /* a try that could go now, and may not before that is written */
    const Tercet__V1__CallResult *result; /* NULL: no answer, */
    const char *text;                     /* for this reason */
};

/* All of them. A call is found by its id: the low half is its place, the high half changes with
 * each use of the place. */
struct outcalls {
    struct outcall **calls;
    uint32_t *free_places;
    uint32_t free_count;
    uint32_t place_count;
    uint32_t generation;
    struct wheel wheel; /* of calls sent to instances */
    struct alarm alarm; /* of those that are given up */
    struct outcall *finished_first;
    struct outcall *finished_last;
    struct instance *touched; /* with calls to flush */
    uint64_t calls_total;
    int64_t tick_ms; /* when outcall_tick is due */
};

/* Begins the call that the core has asked for, unless the core wants it no more. It leaves now, or
 * when there is room for it. */
void outcall_begin(struct coordinator *c, struct entry *entry, uint32_t branch,
                   enum tercet_kind kind, uint32_t attempt);
/* Takes back what waits and is wanted no more: no try leaves after the decision, and nothing for a
 * branch that was settled. */
void outcall_withdraw(struct coordinator *c, struct entry *entry);
/* The entry goes: its calls go on, for nobody. */
void outcall_forget(struct coordinator *c, struct entry *entry);

/* An answer from the instance (NULL: from a target): the call is finished. NULL `result`: there is
 * none, `text` says why. Both live until the finished calls have been taken. The call's service, in
 * which there may be room now; NULL: no such call was given to it. */
struct service *outcall_answer(struct coordinator *c, const struct instance *instance, uint64_t id,
                               const Tercet__V1__CallResult *result, const char *text);
/* Finishes every call under way at the instance, without an answer. */
void outcall_lose_instance(struct coordinator *c, struct instance *instance);

/* The call that finished first, or NULL. It is the caller's until outcall_let_go; its branch may
 * have the next one. */
struct outcall *outcall_take_finished(struct coordinator *c);
void outcall_let_go(struct outcall *call);

/* Sends what waits for the service, as far as windows, breaker and pause allow. */
void outcall_pump(struct coordinator *c, struct service *service);
/* The target, or NULL: an instance, has shown that it is there. */
void outcall_close_breaker(struct coordinator *c, struct service *service, struct target *target);

/* Calls that wait or are under way. */
size_t outcall_count(const struct outcalls *calls);

/* Timeouts and probes that are due. */
void outcall_tick(struct coordinator *c);

/* The instance's outbox is to be flushed at the end of the turn; flushes them. */
void outcall_touch(struct outcalls *calls, struct instance *instance);
void outcall_flush(struct outcalls *calls);

void outcall_free_all(struct outcalls *calls);

#endif
