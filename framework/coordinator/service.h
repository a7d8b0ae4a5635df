/* SPDX-License-Identifier: Apache-2.0
 *
 * The services that are known, and who serves them: instances that are attached, or registered
 * targets. The owner's, but for what struct instance says.
 */
#ifndef TERCET_SERVICE_H
#define TERCET_SERVICE_H

#include "breaker.h"
#include "offer.h"
#include "rights.h"
#include "target.h"

#include <crpc/crpc.h>
#include <outbox.h>
#include <refusal.h>
#include <stdatomic.h>
#include <tercet/types.h>

#define SERVICES_MAX 4096           /* services that have been served, known at once */
#define SERVICES_UNSERVED_MAX 4096  /* and those that nobody has served yet, named by plans */
#define SERVICES_UNSERVED_EACH 256  /* of these, by plans of one initiator */
#define INSTANCE_WINDOW_DEFAULT 256 /* calls an instance has at once, unless it says less */
#define INSTANCE_WINDOW_MAX 4096
#define INSTANCE_OUTBOX_MAX (64u * 1024 * 1024)

struct meter_service; /* meter.h */
struct outcall;       /* outcall.h */

/* An attached stream. Made on an RPC thread; all but references, call and outbox are the
 * owner's. */
struct instance {
    atomic_uint references;
    struct crpc_call *call;
    struct outbox *outbox;
    struct rights rights;    /* set before it is shared */
    struct service *service; /* NULL before the hello and after the end */
    struct instance *next;   /* of the service */
    struct outcall *sent;    /* calls under way */
    struct offer offer;
    char *name;
    char *database;  /* as told in the hello; "" when not */
    bool is_sharded; /* others of the service have other databases */
    uint32_t window;
    uint32_t call_count;
    uint64_t last_given; /* calls of all services before its last; 0: none yet */
    int64_t heard_ms;    /* when it last gave an answer */
    bool is_touched;     /* has calls to flush */
    bool is_ending;      /* its stream was ended for its silence */
    bool is_refused;     /* its call has been failed: what it sent after that is dropped */
    struct instance *touched_next;
};

struct service {
    char name[TERCET_SERVICE_MAX + 1];
    struct service *next;
    uint64_t branch_count; /* unresolved branches of this service */
    uint64_t initiator;    /* who named it first (caller_initiator); 0: nobody, or not known */
    bool was_served;       /* somebody has attached or was registered for it, since the start */
    struct instance *instances;
    struct targets targets;
    int64_t target_oldest_ms; /* when the oldest call at one was sent: why_date_targets */
    uint64_t call_count;      /* under way in all */
    struct outcall *waiting_first;
    struct outcall *waiting_last;
    uint64_t waiting_count;
    bool is_paused;
    int64_t paused_ms;   /* wall clock; 0: before the process has started, or not paused */
    int64_t unserved_ms; /* wall clock: nobody serves it and calls wait, or the last one left */
    /* lines of the log that tell of failed calls: when the next may be written, */
    int64_t tell_failures_ms;
    uint64_t failures_untold; /* and how many went without one */
    int64_t tell_waiting_ms;  /* the same of calls that wait for long */
    /* the transport did not take a call, for want of memory or room: the tick tries again */
    bool was_not_sent;
    struct breaker breaker;        /* of the instances */
    struct meter_service *figures; /* set with its first call */
    char last_error[TERCET_TEXT_MAX];
};

struct services {
    struct service *first;
    size_t count;
};

/* The service with this name, made when missing. NULL, with a refusal, past a limit: for those who
 * serve it, SERVICES_MAX; for a plan of `initiator`, those of what nobody has served yet. So who
 * misspells names shuts out no participant, and not the other initiators. */
struct service *service_get_to_serve(struct services *services, const char *name, size_t name_size,
                                     struct refusal *no);
struct service *service_get_to_call(struct services *services, uint64_t initiator, const char *name,
                                    size_t name_size, struct refusal *no);
/* The same without a limit: what is in the store is served whatever came first. */
struct service *service_get_restored(struct services *services, const char *name, size_t name_size);
/* The service with this name, or NULL. */
struct service *service_find(const struct services *services, const char *name);

/* Frees the service when nothing refers to it any more. */
void service_release(struct services *services, struct service *service);
/* The same for all services: after a request that named some came to nothing. */
void service_sweep(struct services *services);
/* Frees all of them, with their instances. */
void service_free_all(struct services *services);

/* Whether it has an instance or a target that can be called now. */
bool service_is_served(const struct service *service);

/* Whether its instances have databases of their own on purpose. */
bool service_is_sharded(const struct service *service);
/* 0 when the service offers the action or nobody serves it yet; else TERCET_INVALID. */
int service_check_action(const struct service *service, const char *action, struct refusal *no);

/* An instance at this stream, with one reference. NULL when memory is short. Any thread, as the two
 * below. */
struct instance *instance_new(struct crpc_call *call);
void instance_ref(struct instance *instance);
void instance_unref(struct instance *instance);

#endif
