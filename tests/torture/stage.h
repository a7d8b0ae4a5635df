/* SPDX-License-Identifier: Apache-2.0
 *
 * The shop on a stage: tercetd, the services, buyers, and the audit; each a process of its own that
 * can be killed.
 */
#ifndef TERCET_TORTURE_STAGE_H
#define TERCET_TORTURE_STAGE_H

#include "daemon.h"

/* stock twice, on one database; payment, which is called at a port of its own; order */
#define STAGE_SERVICES 4
#define STAGE_DATABASES 3

struct stage {
    const char *shop; /* the folder with the shop's programs */
    const char *tercetctl;
    const char *front; /* where services and buyers go; NULL: straight to tercetd */
    const char *stock; /* the warehouse's program; NULL: the shop's own */
    /* each a SQLite file's name or a server's URL; the script that kills that server, or NULL */
    char databases[STAGE_DATABASES][256];
    const char *server;
    struct daemon daemon;
    struct process services[STAGE_SERVICES];
    struct process traffic;
    uint64_t traffic_count; /* traffics begun, for their seeds */
    uint64_t seed;
    char log_path[160];                     /* what the buyers were told */
    int log_watch;                          /* inotify: it has more */
    long log_offset;                        /* read so far */
    uint64_t confirmed, cancelled, unknown; /* lines of the log */
};

/* Its parts: the directory, the coordinator, the services. false, here and below: it did not work,
 * and was told on standard error. */
bool stage_prepare(struct stage *stage, const char *tercetd, const char *tercetctl,
                   const char *shop, uint64_t seed);
bool stage_start_daemon(struct stage *stage);
bool stage_start_services(struct stage *stage);
/* Starts the coordinator and the services; these on SQLite, or (on_server) on the database server
 * that scripts/with-* runs this program under. */
bool stage_open(struct stage *stage, const char *tercetd, const char *tercetctl, const char *shop,
                uint64_t seed, bool on_server);
/* Kills what runs. Removes the directory unless it is to be looked at. */
void stage_close(struct stage *stage, bool is_kept);

/* Starts one, armed with a crash point when `failpoint` is not NULL; stage_await_service waits
 * until it is attached. */
void stage_start_service(struct stage *stage, size_t i, const char *failpoint);
bool stage_await_service(struct stage *stage, size_t i);

/* Kills the database server, and after a while starts it again. */
bool stage_kill_server(struct stage *stage, uint64_t away_ms);

/* Sleeps: for as long as a fault is to last, or until the next look. */
void stage_sleep_ms(int64_t ms);

/* Holds a service back for a while, as an operator does. */
bool stage_pause_service(struct stage *stage, size_t i, int64_t ms);

/* Buyers, `orders` of them (0: until they are stopped), with a seed of their own. */
void stage_start_traffic(struct stage *stage, uint64_t orders, const char *failpoint);
/* Tells them to stop, waits, and expects that every outcome is known in the end. */
bool stage_stop_traffic(struct stage *stage);
/* The same without telling. */
bool stage_await_traffic(struct stage *stage);

/* Reads what the log has new. */
void stage_read_log(struct stage *stage);
/* Waits until it has more, and reads that. false, silently: the time is over. */
bool stage_await_log(struct stage *stage, int64_t until_ms);
/* Waits until so many orders more are confirmed than `before`. */
bool stage_await_confirmed(struct stage *stage, uint64_t before, uint64_t count);

/* Nothing may be under way but what is ending: everything must end, nothing may be parked, and the
 * audit must hold. */
bool stage_is_sound(struct stage *stage);
/* Its parts. The databases are files in `folder` (NULL: stage->databases), and stage->log_path says
 * what was told. */
bool stage_await_rest(struct stage *stage);
bool stage_run_audit(struct stage *stage, const char *folder);
/* Transactions under way, as tercetctl is told over a new connection; -1: it is not. */
int64_t stage_count_unresolved(const struct stage *stage);

#endif
