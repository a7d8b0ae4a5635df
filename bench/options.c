/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h: one table, from which getopt's is made.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: tercet-bench [options]\n"
    "\n"
    "Starts a coordinator, participants and a load, each a process of its own, measures them and "
    "what the machine\n"
    "could do at best, and counts in the participants that every transaction had its effects "
    "exactly once.\n"
    "\n"
    "  --form run|steps|own       the plan at once, step by step, or with own calls (default run)\n"
    "  --branches 1-16            a transaction (default 2)\n"
    "  --payload BYTES            a branch (default 64)\n"
    "  --refuse PERCENT           of the transactions, by the last branch's participant (default "
    "0)\n"
    "  --barrier memory|sqlite|lmdb|postgres|mysql|redis\n"
    "                             the participants' barrier (default memory); sqlite: a file each, "
    "synchronous=FULL;\n"
    "                             lmdb: a folder each; the others: a private server is started "
    "(packages postgresql,\n"
    "                             mariadb-server, redis-server), a database each. Then the limits "
    "have the database's\n"
    "                             own rate, too: the same inserts, updates and commits without "
    "Tercet\n"
    "  --participants 1-16        processes, a service each (default 2)\n"
    "  --transport tcp|unix       loopback or unix sockets (default tcp)\n"
    "  --api session|unary        the C library, or unary calls as from any language, 64 a "
    "connection (default\n"
    "                             session)\n"
    "  --in-flight 1-10000        transactions at once (default 1000; with --rate at most, default "
    "10000)\n"
    "  --rate N                   starts N a second, whatever is answered; latency counts from the "
    "intended start\n"
    "  --duration SECONDS         measured (default 10)\n"
    "  --warmup SECONDS           before that (default 2)\n"
    "  --wait decided|resolved    what the initiator waits for; one transaction in 16 waits for "
    "the other (default\n"
    "                             decided)\n"
    "  --window N, --batch N      of the participants (default 4096, 256)\n"
    "  --limits SECONDS           for each limit of the machine; 0: not measured (default 2). Of "
    "these, bare CPU is that\n"
    "                             of a process that decodes and answers the same messages and does "
    "nothing else, and of\n"
    "                             one that commits the same records, kernel time included\n"
    "  --unresolved N             instead: new work, restart and memory with N transactions that "
    "wait for a participant\n"
    "                             that is down, compared with none; then the participant comes "
    "back, and all again\n"
    "  --rounds 1|2               1: without \"all again\", in half the time (default 2)\n"
    "  --coordinator ADDRESS      one that runs (default: starts tercetd)\n"
    "  --tercetd PATH             the program (default: beside this one, in the build tree, in "
    "PATH)\n"
    "  --dir DIR                  where the files go for the time, on a disk (default /var/tmp)\n"
    "  -o table|json              (default table)\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 measured and every effect counted exactly once, 1 not, 2 wrong options.\n";

enum kind { KIND_NUMBER, KIND_CHOICE, KIND_TEXT };

struct entry {
    const char *name;
    enum kind kind;
    size_t offset;
    uint32_t min, max;          /* numbers */
    const char *const *choices; /* in the order of the enum, NULL at the end */
};

static const char *const forms[] = {"run", "steps", "own", NULL};
static const char *const barriers[] = {"memory", "sqlite", "lmdb", "postgres",
                                       "mysql",  "redis",  NULL};
static const char *const transports[] = {"tcp", "unix", NULL};
static const char *const apis[] = {"session", "unary", NULL};
static const char *const waits[] = {"decided", "resolved", NULL};
static const char *const outputs[] = {"table", "json", NULL};

#define NUMBER(name, field, min, max)                                                              \
    {                                                                                              \
        name, KIND_NUMBER, offsetof(struct options, field), min, max, NULL                         \
    }
#define CHOICE(name, field, choices)                                                               \
    {                                                                                              \
        name, KIND_CHOICE, offsetof(struct options, field), 0, 0, choices                          \
    }
#define TEXT(name, field)                                                                          \
    {                                                                                              \
        name, KIND_TEXT, offsetof(struct options, field), 0, 0, NULL                               \
    }
static const struct entry entries[] = {
    CHOICE("form", form, forms),
    NUMBER("branches", branches, 1, BRANCHES_MAX),
    NUMBER("payload", payload_size, 0, 65536),
    NUMBER("refuse", refuse_percent, 0, 100),
    CHOICE("barrier", barrier, barriers),
    NUMBER("participants", participants, 1, PARTICIPANTS_MAX),
    CHOICE("transport", transport, transports),
    CHOICE("api", api, apis),
    NUMBER("in-flight", in_flight, 1, IN_FLIGHT_MAX),
    NUMBER("rate", rate, 1, 1000000),
    NUMBER("duration", duration_s, 1, 600),
    NUMBER("warmup", warmup_s, 0, 600),
    CHOICE("wait", wait, waits),
    NUMBER("window", window, 1, 65536),
    NUMBER("batch", batch_max, 1, 4096),
    NUMBER("limits", limits_s, 0, 60),
    NUMBER("unresolved", unresolved, 1, UNRESOLVED_MAX),
    NUMBER("rounds", rounds, 1, 2),
    TEXT("coordinator", coordinator),
    TEXT("tercetd", tercetd),
    TEXT("dir", dir),
    CHOICE("output", output, outputs),
};
#define ENTRIES (sizeof(entries) / sizeof(entries[0]))
enum { OPTION_HELP = ENTRIES + 256, OPTION_VERSION };

const char *form_name(enum form form)
{
    return forms[form];
}

const char *barrier_name(enum barrier_kind barrier)
{
    return barriers[barrier];
}

const char *transport_name(enum transport transport)
{
    return transports[transport];
}

const char *api_name(enum api api)
{
    return apis[api];
}

const char *wait_name(enum wait wait)
{
    return waits[wait];
}

__attribute__((noreturn)) static void fail(const char *name, const char *value, const char *wanted)
{
    fprintf(stderr, "tercet-bench: --%s %s: %s\n", name, value, wanted);
    exit(2);
}

static void take_number(void *field, const struct entry *entry, const char *value)
{
    char *end;
    char wanted[64];
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    snprintf(wanted, sizeof(wanted), "a number from %u to %u is wanted", entry->min, entry->max);
    if (end == value || *end != '\0' || errno != 0 || value[0] == '-' || number < entry->min ||
        number > entry->max)
        fail(entry->name, value, wanted);
    *(uint32_t *)field = (uint32_t)number;
}

static void take_choice(void *field, const struct entry *entry, const char *value)
{
    char wanted[64] = "";
    for (unsigned i = 0; entry->choices[i] != NULL; i++) {
        size_t used = strlen(wanted);
        snprintf(wanted + used, sizeof(wanted) - used, "%s%s", i > 0 ? " or " : "",
                 entry->choices[i]);
        if (strcmp(value, entry->choices[i]) == 0) {
            memcpy(field, &i, sizeof(i)); /* every choice is an enum of this size */
            return;
        }
    }
    fail(entry->name, value, wanted);
}

static void take(struct options *options, const struct entry *entry, const char *value)
{
    _Static_assert(sizeof(enum form) == sizeof(unsigned), "take_choice copies an unsigned");
    void *field = (char *)options + entry->offset;
    if (entry->kind == KIND_NUMBER)
        take_number(field, entry, value);
    else if (entry->kind == KIND_CHOICE)
        take_choice(field, entry, value);
    else if (snprintf(field, PATH_SIZE, "%s", value) >= PATH_SIZE)
        fail(entry->name, value, "too long");
}

static void take_all(struct options *out, int argc, char **argv)
{
    struct option table[ENTRIES + 3] = {{0}};
    int option;
    for (size_t i = 0; i < ENTRIES; i++)
        table[i] = (struct option){entries[i].name, required_argument, NULL, (int)i + 256};
    table[ENTRIES] = (struct option){"help", no_argument, NULL, OPTION_HELP};
    table[ENTRIES + 1] = (struct option){"version", no_argument, NULL, OPTION_VERSION};
    while ((option = getopt_long(argc, argv, "o:", table, NULL)) != -1) {
        if (option == OPTION_HELP || option == OPTION_VERSION) {
            fputs(option == OPTION_HELP ? usage : "tercet-bench " TERCET_VERSION "\n", stdout);
            exit(0);
        }
        if (option == '?') {
            fputs("tercet-bench: see tercet-bench --help\n", stderr);
            exit(2);
        }
        take(out, option == 'o' ? &entries[ENTRIES - 1] : &entries[option - 256], optarg);
    }
    if (optind < argc)
        fail("help", argv[optind], "there are no arguments but options");
}

static void check_unresolved(struct options *out)
{
    if (out->unresolved == 0)
        return;
    if (out->form == FORM_OWN || out->refuse_percent > 0 || out->coordinator[0] != '\0')
        fail("unresolved", "", "goes with its own coordinator, without refusals and own calls");
    out->limits_s = 0;
}

void options_parse(struct options *out, int argc, char **argv)
{
    *out = (struct options){
        .branches = 2,
        .payload_size = 64,
        .participants = 2,
        .duration_s = 10,
        .warmup_s = 2,
        .limits_s = 2,
        .window = 4096,
        .batch_max = 256,
        .rounds = 2,
    };
    take_all(out, argc, argv);
    check_unresolved(out);
    if (out->in_flight == 0)
        out->in_flight = out->rate > 0 ? IN_FLIGHT_MAX : 1000;
    if (out->form == FORM_OWN && out->api == API_SESSION) {
        if (out->in_flight > BLOCKING_MAX && out->rate == 0)
            fail("in-flight", "", "own calls over a session block a thread each: at most 1024");
        if (out->in_flight > BLOCKING_MAX)
            out->in_flight = BLOCKING_MAX;
    }
#ifndef BENCH_POSTGRES
    if (out->barrier == BARRIER_POSTGRES)
        fail("barrier", "postgres", "this program was built without libpq");
#endif
#ifndef BENCH_MYSQL
    if (out->barrier == BARRIER_MYSQL)
        fail("barrier", "mysql", "this program was built without libmariadb");
#endif
#ifndef BENCH_REDIS
    if (out->barrier == BARRIER_REDIS)
        fail("barrier", "redis", "this program was built without hiredis");
#endif
#ifndef BENCH_SQLITE
    if (out->barrier == BARRIER_SQLITE)
        fail("barrier", "sqlite", "this program was built without SQLite");
#endif
}
