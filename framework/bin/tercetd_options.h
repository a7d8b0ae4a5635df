/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd's command line. A new option is one entry of the table in tercetd_options.c.
 */
#ifndef TERCETD_OPTIONS_H
#define TERCETD_OPTIONS_H

#include "log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tercet/coordinator.h>

#define LISTEN_MAX 8
#define ALLOW_TARGETS_MAX 64

struct arguments {
    struct tercet_coordinator_options options;
    const char *listen[LISTEN_MAX];
    const char *allow_targets[ALLOW_TARGETS_MAX];
    const char *access_file, *cert_file, *key_file, *ca_file;
    const char *call_cert_file, *call_key_file, *call_ca_file;
    uint32_t grace_ms;
    mode_t unix_mode;
    enum tercet_log_level log_level;
    enum log_format log_format;
    bool wants_help, wants_version, wants_failpoints;
};

/* Sets *args from the command line. Ends the program with 2 when that is wrong, and with 0 after
 * --help, --version and --list-failpoints. */
void arguments_parse(struct arguments *args, int argc, char **argv);

#endif
