/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls to participants: which services there are, who serves them, what waits for them, and
 * whether they answer. The owner's.
 *
 * A call waits in its service's queue until an instance has room for it: attached instances first,
 * else the registered target. A service that does not answer opens its breaker: then one probe goes
 * out at a time, not one call a transaction; when it answers, everything that waits goes, as fast
 * as the windows allow. What waits has not failed: the core's parking clock runs on all the same.
 */
#ifndef TERCET_DISPATCH_H
#define TERCET_DISPATCH_H

#include "breaker.h"
#include "table.h"

#include <crpc/crpc.h>
#include <outbox.h>
#include <stdatomic.h>
#include <tercet/v1/tercet.pb-c.h>

#define SERVICES_MAX 4096           /* services known at once, with or without a participant */
#define SERVICE_ACTIONS_MAX 256     /* actions an instance or a target may offer */
#define INSTANCE_WINDOW_DEFAULT 256 /* calls an instance has at once, unless it says less */
#define INSTANCE_WINDOW_MAX 4096
#define INSTANCE_OUTBOX_MAX (64u * 1024 * 1024)
#define TARGET_WINDOW 64 /* calls a registered target has at once */
/* an instance that owes an answer for so many call timeouts is disconnected */
#define SILENCE_FACTOR 3

struct coordinator;

/* An attached stream. Made on an RPC thread; all but references, call and outbox are the
 * owner's. */
struct instance {
    atomic_uint references;
    struct crpc_call *call;
    struct outbox *outbox;
    struct service *service; /* NULL before the hello and after the end */
    struct instance *next;   /* of the service */
    struct outcall *sent;    /* calls under way */
    char **actions;
    size_t action_count;
    char *name;
    uint32_t window;
    uint32_t call_count;
    bool is_touched;
    struct instance *touched_next;
};

struct service {
    char name[TERCET_SERVICE_MAX + 1];
    struct service *next;
    uint64_t branch_count; /* unresolved branches that name it */
    struct instance *instances;
    char **actions; /* of the registered target */
    size_t action_count;
    char *target;
    struct crpc_channel *channel;
    uint32_t target_calls; /* under way there */
    uint64_t call_count;   /* under way in all */
    struct outcall *waiting_first;
    struct outcall *waiting_last;
    uint64_t waiting_count;
    bool is_paused;
    /* the transport did not take a call, for want of memory or room: the tick tries again */
    bool was_not_sent;
    struct breaker breaker;
    char last_error[TERCET_TEXT_MAX];
};

/* One call of a hook, waiting or under way. */
struct outcall {
    struct outcall *next; /* of the service's queue, or of the instance's calls */
    struct outcall *prev;
    struct outcall *sent_next; /* of all calls sent to instances, oldest first */
    struct outcall *sent_prev;
    struct service *service;
    struct instance *instance; /* under way there; NULL: waiting, or at the target */
    struct entry *entry;       /* NULL: nobody wants the answer any more */
    uint64_t id;
    int64_t sent_ms;
    uint32_t branch;
    uint32_t attempt;
    uint8_t kind; /* enum tercet_kind */
    bool is_sent;
    /* has been told as failed; keeps its place in the window until the answer comes */
    bool is_late;
};

/* All of it. Calls are found by id: the low half is the place, the high half changes with each
 * use. */
struct dispatch {
    struct service *services;
    size_t service_count;
    struct outcall **calls;
    uint32_t *free_places;
    uint32_t free_count;
    uint32_t place_count;
    uint32_t generation;
    struct outcall *sent_first;
    struct outcall *sent_last;
    struct instance *touched;
    uint64_t calls_total;
    int64_t tick_ms; /* when dispatch_tick is due */
};

void dispatch_free(struct coordinator *c);

/* The service with this name, made when missing; NULL when there are SERVICES_MAX. */
struct service *dispatch_service(struct coordinator *c, const char *name, size_t name_size);
/* The same without the limit: what is in the store is served whatever came first. */
struct service *dispatch_service_restored(struct coordinator *c, const char *name,
                                          size_t name_size);
struct service *dispatch_find(const struct coordinator *c, const char *name);
/* Forgets it when nothing speaks of it any more. */
void dispatch_service_release(struct coordinator *c, struct service *service);

/* The same for all services: after a request that named some came to nothing. */
void dispatch_sweep(struct coordinator *c);

/* NULL when the service offers the action or nobody serves it yet; else an error text (in
 * `text`). */
const char *dispatch_check_action(const struct service *service, const char *action,
                                  char text[TERCET_TEXT_MAX]);

/* Begins the call that the core has asked for. */
void dispatch_call(struct coordinator *c, struct entry *entry, uint32_t branch,
                   enum tercet_kind kind, uint32_t attempt);
/* The entry goes: its calls go on, for nobody. */
void dispatch_forget(struct coordinator *c, struct entry *entry);

/* An answer from the instance (NULL: from a target); one to a call that was not given to it is not
 * listened to. `message` NULL: no answer, `text` says why. */
void dispatch_result(struct coordinator *c, const struct instance *instance, uint64_t call_id,
                     const Tercet__V1__CallResult *message, const char *text);

/* An instance's hello. Returns an error text, or NULL when it is accepted. */
const char *dispatch_attach(struct coordinator *c, struct instance *instance,
                            const Tercet__V1__Hello *hello);
void dispatch_detach(struct coordinator *c, struct instance *instance);

/* A service's target; `target` NULL or "": none any more. An error text, or NULL. */
const char *dispatch_register(struct coordinator *c, const char *name, char **actions,
                              size_t action_count, const char *target);
void dispatch_pause(struct coordinator *c, struct service *service, bool is_paused);

/* Timeouts and probes that are due. */
void dispatch_tick(struct coordinator *c);
/* Sends what the turn has put into the instances' outboxes. */
void dispatch_flush(struct coordinator *c);

struct instance *instance_new(struct crpc_call *call);
void instance_ref(struct instance *instance);
void instance_unref(struct instance *instance);

#endif
