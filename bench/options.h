/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line of tercet-bench, as plain memory that all its processes read.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define BRANCHES_MAX 16u
#define PARTICIPANTS_MAX 16u
#define IN_FLIGHT_MAX 10000u
#define UNRESOLVED_MAX 10000000u
#define BLOCKING_MAX 1024u /* threads of --form own --api session */
#define PATH_SIZE 512

enum form { FORM_RUN, FORM_STEPS, FORM_OWN };
enum barrier_kind {
    BARRIER_MEMORY,
    BARRIER_SQLITE,
    BARRIER_LMDB,
    BARRIER_POSTGRES,
    BARRIER_MYSQL,
    BARRIER_REDIS
};
enum transport { TRANSPORT_TCP, TRANSPORT_UNIX };
enum api { API_SESSION, API_UNARY };
enum wait { WAIT_DECIDED, WAIT_RESOLVED };
enum output { OUTPUT_TABLE, OUTPUT_JSON };

struct options {
    enum form form;
    uint32_t branches;
    uint32_t payload_size;
    uint32_t refuse_percent;
    enum barrier_kind barrier;
    uint32_t participants; /* processes; each offers a service of its own */
    enum transport transport;
    enum api api;
    uint32_t in_flight;
    uint32_t rate; /* transactions a second; 0: as many as in_flight allows */
    uint32_t duration_s;
    uint32_t warmup_s;
    /* transactions that wait for a participant that is down; 0: an ordinary run */
    uint32_t unresolved;
    uint32_t rounds;   /* of unresolved, 1 or 2 */
    uint32_t limits_s; /* for each limit of the machine; 0: not measured */
    enum wait wait;
    uint32_t window; /* of a participant */
    uint32_t batch_max;
    enum output output;
    char coordinator[PATH_SIZE]; /* "": one is started */
    char tercetd[PATH_SIZE];     /* "": looked for */
    char dir[PATH_SIZE];         /* "": /var/tmp */
};

/* Ends the program on --help (0) and on a wrong command line (2). */
void options_parse(struct options *out, int argc, char **argv);

/* The names of a choice's values, as they are written. */
const char *form_name(enum form form);
const char *barrier_name(enum barrier_kind barrier);
const char *transport_name(enum transport transport);
const char *api_name(enum api api);
const char *wait_name(enum wait wait);

#endif
