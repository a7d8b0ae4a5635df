/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls of hooks that there are, each found by its id and on one list at a time: waiting in its
 * service's queue, under way at an instance, finished. Whom a call goes to is decided in send.h,
 * when in outcall.h. The owner's.
 */
#ifndef TERCET_OUTCALLS_H
#define TERCET_OUTCALLS_H

#include "alarm.h"
#include "service.h"
#include "table.h"

#include <tercet/v1/tercet.pb-c.h>

#define OUTCALLS_TICK_MS 20 /* how often probes and what was not sent are tried again */
/* a call that is not answered for so many times its timeout is given up; an instance that has
 * answered nothing since then is disconnected */
#define SILENCE_FACTOR 3

/* tries that were held and may go in one turn of the loop */
#define HELD_PER_TURN 1000

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
    int64_t tick_ms;       /* when outcall_tick is due */
    uint32_t let_go_count; /* tries that were held, and could go, in this turn */
};

/* The call gets an id, and waits: it stands last in its service's queue. */
void outcalls_add(struct outcalls *calls, struct outcall *call);
/* The call with this id, waiting or under way, or NULL. */
struct outcall *outcalls_find(const struct outcalls *calls, uint64_t id);
/* Those that wait or are under way. */
size_t outcalls_count(const struct outcalls *calls);

/* Off its service's queue, and onto its end. */
void outcalls_unqueue(struct outcall *call);
void outcalls_queue(struct outcall *call);
/* Under way at the instance, from sent_ms on; late when its timeout is over. */
void outcalls_give(struct outcalls *calls, struct outcall *call, struct instance *instance);

/* Its outcome is to be reported: it goes on the list of the finished. NULL `result`: there is none,
 * `text` says why. A late call also stays where it is. */
void outcalls_finish(struct outcalls *calls, struct outcall *call,
                     const Tercet__V1__CallResult *result, const char *text);
/* It is over, off its other list, and no longer found: finished, or, when nobody wants its outcome,
 * freed. */
void outcalls_end(struct outcalls *calls, struct outcall *call,
                  const Tercet__V1__CallResult *result, const char *text);
/* Nobody wants the answer to the branch's call any more. One under way keeps its place in the
 * window until the answer comes, a finished one its place on the list. */
void outcalls_abandon(struct outcalls *calls, struct branch_info *info);
/* An abandoned call is forgotten, although it was not answered. */
void outcalls_drop(struct outcalls *calls, struct outcall *call);
/* Notes for people which call it is, before it loses its transaction. */
void outcalls_name(struct outcall *call);

/* The call that finished first, or NULL. It is the caller's until outcalls_let_go; its branch may
 * have the next one. */
struct outcall *outcalls_take_finished(struct outcalls *calls);
void outcalls_let_go(struct outcall *call);

/* The tick (overdue.h) is due at the latest OUTCALLS_TICK_MS from now. */
void outcalls_tick_soon(struct outcalls *calls, int64_t now_ms);

/* The instance's outbox is to be flushed at the end of the turn; ends it, and flushes them. */
void outcalls_touch(struct outcalls *calls, struct instance *instance);
void outcalls_flush(struct outcalls *calls);

void outcalls_free_all(struct outcalls *calls);

#endif
