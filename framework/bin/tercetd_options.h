/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd's options: command line, environment, file. A new one is one entry of the table in
 * tercetd_options.c, from which file and variable follow.
 */
#ifndef TERCETD_OPTIONS_H
#define TERCETD_OPTIONS_H

#include "cli_sources.h"
#include "log.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <tercet/coordinator.h>

#define LISTEN_MAX 8
#define ALLOW_TARGETS_MAX 64
#define DATA_PATH_MAX 512

struct arguments {
    struct tercet_coordinator_options options;
    const char *listen[LISTEN_MAX];
    const char *allow_targets[ALLOW_TARGETS_MAX];
    const char *access_file, *cert_file, *key_file, *ca_file;
    const char *check_parts; /* what of the store is to be read instead of serving; NULL: serve */
    const char *call_cert_file, *call_key_file, *call_ca_file;
    const char *store; /* what --store names; then options.data is the same */
    const char *http_address;
    const char *otlp_ca_file, *otlp_headers_file;
    uint32_t grace_ms;
    mode_t unix_mode;
    enum tercet_log_level log_level;
    enum log_format log_format;
    bool are_metrics_open;
    bool wants_help, wants_version, wants_failpoints;
    const char *config_file; /* that was read; NULL: none */
    bool checks_config, prints_config;
    bool is_dev; /* tercetd dev */

    /* Where they come from. */
    struct cli_origins origins;
    uint64_t given;             /* as in struct cli */
    struct cli_strings strings; /* of the file: others point into it */
    char default_data[DATA_PATH_MAX];
};

/* Sets *args from the command line, the environment and the file. Ends the program with 2 when they
 * are wrong, and with 0 after --help, --version and --list-failpoints. */
void arguments_parse(struct arguments *args, int argc, char **argv);

/* What they are with the file as it is now. Returns 0, or -1 with `text`; either way the caller has
 * to clear *out. It must not be moved. */
int arguments_read_file(struct arguments *out, char text[CLI_TEXT_MAX]);
void arguments_clear(struct arguments *args);

/* Prints all of them as a file, with where each comes from. */
void arguments_print(const struct arguments *args);

/* Tells of variables that look like a misspelt option, and returns how many these are. */
typedef void (*arguments_warn_fn)(const char *name, const char *meant);
size_t arguments_warn_variables(arguments_warn_fn warn);

#endif
