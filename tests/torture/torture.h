/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything at once: tercetd on a small disk, the shop's services behind a proxy, two clients, and
 * faults.
 */
#ifndef TERCET_TORTURE_TORTURE_H
#define TERCET_TORTURE_TORTURE_H

#include "crowd.h"
#include "stage.h"

#define FAULT_MAP(X)                                                                               \
    X(FAULT_KILL, "kill")                                                                          \
    X(FAULT_STOP, "stop")                                                                          \
    X(FAULT_PROXY, "proxy")                                                                        \
    X(FAULT_DISK, "disk")                                                                          \
    X(FAULT_DESCRIPTORS, "descriptors")

enum fault_kind {
#define FAULT_ENUM(name, text) name,
    FAULT_MAP(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_KINDS
};

struct settings {
    const char *tercetd, *tercetctl, *shop, *tools, *stock;
    int64_t seed, minutes, faults_count, stop_ms_max;
    bool kinds[FAULT_KINDS], spoils;
};

/* What counts, and what had too little traffic to count. */
struct tally {
    uint64_t faults[FAULT_KINDS], quiet[FAULT_KINDS];
    uint64_t stopped_ms, stopped_ms_max, disk_deaths, refused;
    uint64_t dropped, twice, late, held, stalled, cut, half_closed, late_delivered, late_answered;
    uint64_t confirmed, cancelled, unknown, audits, stages;
};

struct torture {
    const struct settings *settings;
    struct tally tally;
    struct stage stage;
    struct process proxy;
    struct crowd crowd;
    char proxy_address[64];
    uint64_t state; /* of the random numbers */
    bool is_storm;  /* at the proxy */
    int64_t storm_until_ms;
    bool has_small_disk; /* under the store */
    bool may_die;        /* tercetd, because the disk is or was full just now */
};

/* Says it on standard error. false. */
bool torture_fail(const struct torture *torture, const char *what);

/* Waits until so many transactions more are confirmed. Nobody may have ended by himself, but for
 * tercetd when it may die, which is started again. */
bool torture_await_confirmed(struct torture *torture, uint64_t count);

/* One fault of the kind, with whatever brings everybody back, and progress after it. false: a
 * violation, told on standard error. A storm goes on until the next fault of its kind, or
 * fault_end_storm. */
bool fault_do(struct torture *torture, enum fault_kind kind);
bool fault_end_storm(struct torture *torture);

/* What there is for a small disk: in a mount namespace of our own, so that nothing is left. false:
 * not permitted. */
bool fault_can_mount(void);
bool fault_mount_disk(struct torture *torture);
void fault_unmount_disk(struct torture *torture);

/* Nothing is under way: the logs must be one story, and fit the databases in `folder` ("": where
 * they are). */
bool torture_judge(struct torture *torture, const char *folder, const char *logs);

/* Spoils what the judge looks at, in many ways, on copies; it must see each. */
bool spoil_all(struct torture *torture);

#endif
