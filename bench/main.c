/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet-bench: measures Tercet, and beside it what the machine could do at best. One program, many
 * processes: bench.h.
 */
#include "bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(struct shared *shared);
} roles[] = {
    {"load", role_load},         {"limits", role_limits},     {"echo-client", role_echo_client},
    {"fill", role_fill},         {"observer", role_observer}, {"trickle", role_trickle},
    {"database", role_database},
};

/* "--role NAME:INDEX --fd N": how this program starts itself. */
static int become_role(const char *role, const char *fd)
{
    struct shared *shared = shared_map(atoi(fd));
    if (shared == NULL)
        return role_fail("cannot map the shared memory: %s", strerror(errno));
    if (strncmp(role, "participant:", strlen("participant:")) == 0)
        return role_participant(shared, (uint32_t)atoi(strchr(role, ':') + 1));
    if (strncmp(role, "echo-server:", strlen("echo-server:")) == 0)
        return role_echo_server(shared, (uint32_t)atoi(strchr(role, ':') + 1));
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (strcmp(role, roles[i].name) == 0)
            return roles[i].run(shared);
    return role_fail("there is no role %s", role);
}

int main(int argc, char **argv)
{
    struct options options;
    signal(SIGPIPE, SIG_IGN);
    if (argc == 5 && strcmp(argv[1], "--role") == 0 && strcmp(argv[3], "--fd") == 0)
        return become_role(argv[2], argv[4]);
    options_parse(&options, argc, argv);
    int fd = memfd_create("tercet-bench", 0);
    if (fd < 0 || ftruncate(fd, sizeof(struct shared)) != 0) {
        fprintf(stderr, "tercet-bench: cannot make the shared memory: %s\n", strerror(errno));
        return 1;
    }
    struct shared *shared = shared_map(fd);
    if (shared == NULL) {
        fprintf(stderr, "tercet-bench: cannot map the shared memory: %s\n", strerror(errno));
        return 1;
    }
    shared->options = options;
    return bench_run(shared, fd);
}
