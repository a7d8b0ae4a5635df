/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetctl's parts: one run of the program, texts and tables for a terminal, messages as JSON, the
 * commands. Whatever a peer wrote passes through term_escape or ctl_json before it is
 * printed.
 */
#ifndef TERCETCTL_H
#define TERCETCTL_H

#include "cli.h"

#include <cjson/cJSON.h>
#include <clock.h>
#include <crpc/crpc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <tercet/types.h>
#include <tercet/v1/tercet.pb-c.h>

#define EXIT_REFUSED 1 /* the coordinator said no, or cannot be reached */
#define EXIT_MISUSE 2
#define EXIT_PARTLY 3 /* of many, some were refused */
#define LIST_PAGE_MAX 1000
#define BULK_DEFAULT 1000 /* items that one command does, */
#define BULK_MAX 10000    /* and that it can be asked to do */
#define SCREEN_COLUMNS 100
#define STATES_MAX 5
#define TABLE_COLUMNS_MAX 8

/* -- One run of the program -------------------------------------------------------------------- */

struct ctl {
    const char *profile; /* its name, or a file; NULL: the default one, where it is there */
    const char *coordinator;
    const char *named_coordinator; /* as the command line has it; NULL: it has none */
    const char *token_file;
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
    bool is_json;
    bool is_yaml; /* what is printed as JSON is made YAML of at the end */
    bool is_wide; /* nothing is cut */
    bool wants_help, wants_version;
    int64_t timeout_ms; /* of one call; 0: not given */

    /* The command's own options and arguments. */
    Tercet__V1__State states[STATES_MAX];
    size_t state_count;
    bool is_parked;
    bool is_resolved;
    const char *service;
    Tercet__V1__Metadata metadata[TERCET_METADATA_MAX];
    size_t metadata_count;
    uint64_t limit; /* 0: no limit; UINT64_MAX: not given */
    const char *reason;
    bool has_history;
    bool is_now;
    bool is_all; /* the command is for all that the filters let through */
    const char *action;
    int64_t older_than_ms;
    const char *text; /* that must stand somewhere in it */
    bool is_watched;  /* again and again */
    int64_t interval_ms;
    const char *payload;
    bool is_agreed;        /* it is to be done, and not only shown */
    uint64_t yes_count;    /* UINT64_MAX: not given */
    uint64_t growth_bytes; /* 0: the default */
    char **args;
    int arg_count;

    /* The connection: ctl_open. */
    struct crpc_loop *loop;
    struct crpc_channel *channel;
    char *address;       /* what was given, with its port; `coordinator` points to it */
    char *authorization; /* metadata, NULL without a token */
    char *says;          /* metadata: who acts */
    bool is_answered;    /* the last call of ctl_call: done, or refused; else nobody knows */

    const char *gid; /* the transaction that the command is for, NULL: another thing */
};

/* -- How it ends (tercetctl_base.c) ------------------------------------------------------------ */

/* Ends the program at once with EXIT_REFUSED: no memory, or no output. */
void ctl_die(const char *what) __attribute__((noreturn));

/* Memory from malloc that is never NULL. */
char *ctl_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *ctl_resize(void *memory, size_t size);

/* -- The connection (tercetctl_link.c) --------------------------------------------------------- */

/* Reads the token and the certificates and makes the channel, once; what cannot be used is misuse.
 * Calls do it by themselves, so that a command has judged its arguments before any thread runs. */
void ctl_open(struct ctl *ctl);
void ctl_close(struct ctl *ctl);

/* One call of tercet.v1.Admin. Returns 0 with *reply the caller's (crpc_message_free), or
 * EXIT_REFUSED after having said on standard error what happened and what to do. */
int ctl_call(ProtobufCMessage **reply, struct ctl *ctl, const char *method,
             const ProtobufCMessage *request);

/* The same of another service. */
int ctl_call_of(ProtobufCMessage **reply, struct ctl *ctl,
                const ProtobufCServiceDescriptor *service, const char *method,
                const ProtobufCMessage *request);

/* The same, but says nothing: returns what crpc_unary does. *result is the caller's:
 * crpc_result_clear. */
int ctl_ask(ProtobufCMessage **reply, struct ctl *ctl, const char *method,
            const ProtobufCMessage *request, struct crpc_result *result);

/* Says how a call ended (`rc` and *result as from ctl_ask) and what to do. Returns EXIT_REFUSED. */
int ctl_explain(const struct ctl *ctl, int rc, const struct crpc_result *result);

/* The options of a call: metadata points into `entries`; timeout_ms 0 for none. */
/* How long a call may take: as told, or by default. */
int64_t ctl_timeout_ms(const struct ctl *ctl);
#define CTL_METADATA_MAX 2
struct crpc_call_options ctl_call_options(const struct ctl *ctl,
                                          struct crpc_metadata entries[CTL_METADATA_MAX],
                                          int64_t timeout_ms);

/* -- The terminal (tercetctl_term.c) ----------------------------------------------------------- */

/* One character of a text from outside. */
struct term_char {
    uint32_t code;     /* Unicode; U+FFFD when the bytes are not UTF-8 */
    size_t size;       /* bytes, at least 1; 0 at the end of the text */
    int width;         /* columns */
    bool is_printable; /* else it would do something to the terminal */
};
struct term_char term_next(const char *text);

/* `text` with every byte of what is not printable as \xNN; from malloc. */
char *term_escape(const char *text);

/* Columns that an escaped text takes. */
size_t term_width(const char *text);

/* Whether long lines are cut: for people only, at a terminal. */
bool term_cuts(const struct ctl *ctl);

/* Shortens an escaped text in place to `width` columns, at least 3, with "..." at its end. */
void term_cut(char *text, size_t width);

/* Prints an escaped text in lines of SCREEN_COLUMNS, each indented, broken at spaces where there
 * are any. */
void term_print_wrapped(size_t indent, const char *text);

/* Escapes "format..." and prints it to standard error as one line behind "tercetctl: ". */
void term_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says what is wrong with the command line, and ends the program with EXIT_MISUSE. */
void ctl_misuse(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Small texts by value: figure_duration(ms).text. */
struct figure {
    char text[48];
};
/* at most 6 columns: 12ms 1.234s 12.3s 3m12s 2h05m 7d03h */
struct figure figure_duration(int64_t ms);
struct figure figure_time(int64_t time_ms); /* 2026-01-02 03:04:05.678Z */
struct figure figure_size(uint64_t bytes);
struct figure figure_disk_free(uint64_t bytes);
/* UINT64_MAX: no disk, the store is in memory */ /* 12.3 MiB */

/* -- Tables (tercetctl_table.c) ---------------------------------------------------------------- */

struct table_note {
    size_t row;
    char *text;
};

/* Rows are collected and printed by table_flush; columns never get narrower, so a long table may be
 * flushed in pieces. The last column takes what is left of the screen. Zero but for the first three
 * fields is an empty table. */
struct table {
    const char *const *headers;
    size_t column_count;
    bool cuts_last; /* what does not fit is cut; else it goes to lines of its own */
    bool is_uncut;  /* or stays on its line, whatever the width */
    bool has_head;
    size_t widths[TABLE_COLUMNS_MAX];
    char **cells;
    size_t cell_count;
    struct table_note *notes;
    size_t note_count;
};

/* The next cell, row by row. Escaped. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line (or several, wrapped) below the row that was begun last. Escaped. */
void table_note(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints and frees the rows. */
void table_flush(struct table *table);

/* -- JSON (tercetctl_json.c) ------------------------------------------------------------------- */

/* Every field under its name in the .proto: enums as their names, 64-bit numbers from 2^53 on as
 * texts, bytes in base64, what is no printable character as \uNNNN. The caller frees it with
 * cJSON_Delete. */
cJSON *ctl_json(const ProtobufCMessage *message);

/* Prints and frees: `is_short` on one line. Without a newline. */
void ctl_print_json(cJSON *json, bool is_short);

/* Prints a message as the command's one object. */
void ctl_print_message(const ProtobufCMessage *message);

/* From now on, what is printed is kept; yaml_finish prints that JSON as YAML. */
void yaml_begin(void);
void yaml_finish(void);

/* -- Filters (tercetctl_filter.c) -------------------------------------------------------------- */

/* Those that the coordinator does not know: --older-than, --action, --text. */
bool filter_lets(const struct ctl *ctl, const Tercet__V1__Transaction *transaction);
/* By --service and --action. */
bool filter_names(const struct ctl *ctl, const Tercet__V1__BranchStatus *branch);
bool filter_names_any(const struct ctl *ctl, const Tercet__V1__Transaction *transaction);

/* -- Views (tercetctl_view.c) ------------------------------------------------------------------ */

/* The name of an enum's value as in the .proto, "?" for one that this program does not know. */
const char *view_enum_name(const ProtobufCEnumDescriptor *type, int value);
const char *view_state(const Tercet__V1__Transaction *transaction);

bool view_is_over(const Tercet__V1__Transaction *transaction);
size_t view_done_count(const Tercet__V1__Transaction *transaction);
size_t view_parked_count(const Tercet__V1__Transaction *transaction);

/* "confirm" or "cancel": how its branches end. */
const char *view_end_name(const Tercet__V1__Transaction *transaction);

/* The branch that a person should look at first, or NULL: a parked one, else one that waits for
 * what does not come by itself, else one that fails, else one that waits for an answer. */
const Tercet__V1__BranchStatus *view_worst(const Tercet__V1__Transaction *transaction);
/* What that person should know of it; "" when nothing. */
const char *view_trouble(const Tercet__V1__BranchStatus *branch);

/* All that is known of a transaction; and the calls of its branches one by one. */
void view_transaction(const Tercet__V1__Transaction *transaction);
void view_history(const Tercet__V1__Transaction *transaction);

/* -- Arguments (tercetctl_act.c) --------------------------------------------------------------- */

/* The command's first argument, a gid; misuse when it is none. */
char *ctl_take_gid(struct ctl *ctl);

/* -- The table of commands (tercetctl.c) ------------------------------------------------------- */

struct command {
    const char *name;
    int (*run)(struct ctl *ctl);
    int args_min, args_max;
    unsigned options; /* the groups of options that it has */
    const char *synopsis;
    const char *summary;
    const char *help;
};
extern const struct command ctl_commands[];
extern const size_t ctl_command_count;
/* Its options, without values. */
struct cli ctl_cli(void);

/* -- Profiles (tercetctl_profile.c) ------------------------------------------------------------ */

/* Fills what the command line has not given from the environment and from a profile. What is wrong
 * with it is misuse. */
void profile_read(struct cli *cli, struct ctl *ctl);

/* -- Commands: each returns the exit status ---------------------------------------------------- */

/* A page of what the filters let through; the caller's: crpc_message_free. Asks for smaller pages
 * (*page_size) when one is more than a message holds. Returns as ctl_call. */
int list_ask_page(Tercet__V1__ListResponse **page, struct ctl *ctl, uint32_t *page_size,
                  char *token);

/* retry, settle and cancel of all that the filters let through. */
enum bulk_kind { BULK_RETRY, BULK_SETTLE, BULK_CANCEL };
int command_bulk(struct ctl *ctl, enum bulk_kind kind);

int command_ls(struct ctl *ctl);
int command_participants(struct ctl *ctl);
int command_stats(struct ctl *ctl);
int command_show(struct ctl *ctl);
int command_why(struct ctl *ctl);
int command_watch(struct ctl *ctl);
int command_retry(struct ctl *ctl);
int command_settle(struct ctl *ctl);
int command_confirm(struct ctl *ctl);
int command_cancel(struct ctl *ctl);
int command_pause(struct ctl *ctl);
int command_register(struct ctl *ctl);
int command_unregister(struct ctl *ctl);
int command_resume(struct ctl *ctl);
int command_check(struct ctl *ctl);
int command_backup(struct ctl *ctl);
int command_restore(struct ctl *ctl);
int command_log_level(struct ctl *ctl);
int command_audit(struct ctl *ctl);
int command_gc(struct ctl *ctl);
int command_top(struct ctl *ctl);
int command_history(struct ctl *ctl);
int command_export(struct ctl *ctl);
int command_run(struct ctl *ctl);
int command_health(struct ctl *ctl);
int command_config(struct ctl *ctl);
int command_completion(struct ctl *ctl);

/* Calls `show` again and again, every --interval. Returns its status when the first time fails;
 * what fails later is told, and tried again. */
int live_repeat(struct ctl *ctl, int (*show)(struct ctl *ctl));

#endif
