/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd_warn.h
 */
#include "tercetd_warn.h"

#include "log.h"

#include <reach.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* -- Who may call ------------------------------------------------------------------------------ */

static void warn_of_file(const char *path, const char *what)
{
    struct stat status;
    if (path == NULL || stat(path, &status) != 0)
        return;
    if ((status.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0)
        log_say(TERCET_LOG_WARNING,
                "%s %s can be read or written by others (mode %04o): chmod 600 or 640", what, path,
                (unsigned)(status.st_mode & 07777));
}

static bool is_reached_from_elsewhere(const struct arguments *args)
{
    for (size_t i = 0; i < args->options.listen_count; i++)
        if (!reach_is_local(args->listen[i]))
            return true;
    return args->http_address != NULL && !reach_is_local(args->http_address);
}

/* A line "role token", not "role identity:NAME". */
static bool has_tokens(const char *access)
{
    while (access != NULL && *access != '\0') {
        const char *line = access + strspn(access, " \t\r\n");
        size_t role = strcspn(line, " \t\r\n");
        const char *secret = line + role + strspn(line + role, " \t");
        if (line[0] != '#' && line[0] != '\0' && strncmp(secret, "identity:", 9) != 0)
            return true;
        access = line + strcspn(line, "\n");
    }
    return false;
}

static void warn_of_access(const struct arguments *args)
{
    warn_of_file(args->access_file, "the access file");
    warn_of_file(args->key_file, "the key");
    warn_of_file(args->call_key_file, "the key");
    warn_of_file(args->otlp_headers_file, "the file of headers");
    if (args->cert_file == NULL && is_reached_from_elsewhere(args) &&
        has_tokens(args->options.access))
        log_say(TERCET_LOG_WARNING, "tokens come in plaintext from other machines, for all on the "
                                    "way to read: use --tls-cert and --tls-key");
    if (args->cert_file != NULL && args->access_file == NULL)
        log_say(TERCET_LOG_WARNING,
                args->ca_file != NULL
                    ? "without --access everybody with a certificate of --tls-ca may do everything"
                    : "without --access everybody may do everything; TLS alone keeps nobody out");
}

/* -- Unix sockets ------------------------------------------------------------------------------ */

static void warn_of_sockets(const struct arguments *args)
{
    for (size_t i = 0; i < args->options.listen_count; i++) {
        struct stat status;
        const char *path = args->listen[i] + sizeof("unix:") - 1;
        if (strncmp(args->listen[i], "unix:", sizeof("unix:") - 1) != 0 || stat(path, &status) != 0)
            continue;
        if ((status.st_mode & S_IWOTH) != 0 && args->access_file == NULL)
            log_say(TERCET_LOG_WARNING,
                    "every user of this machine may do everything at %s: use --unix-mode 0660 or "
                    "--access",
                    path);
    }
}

/* -- The store --------------------------------------------------------------------------------- */

/* Why a file system is no place for a store; NULL: it is one. */
static const char *wrong_with(unsigned long type)
{
    static const struct {
        unsigned long type; /* statfs(2) */
        const char *wrong;
    } known[] = {
        {0x01021994, "a tmpfs: it is in memory, and empty after a restart of the machine"},
        {0x858458f6, "a ramfs: it is in memory, and empty after a restart of the machine"},
        {0x794c7630, "an overlay, as containers have: it goes with the container; use a volume"},
        {0x6969, "NFS: locks and syncs over a network are not what LMDB needs"},
        {0xff534d42, "CIFS: locks and syncs over a network are not what LMDB needs"},
        {0xfe534d42, "SMB: locks and syncs over a network are not what LMDB needs"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].type == type)
            return known[i].wrong;
    return NULL;
}

static void warn_of_store(const struct arguments *args)
{
    static const char scheme[] = "lmdb:";
    const char *data = args->options.data;
    const char *directory =
        strncmp(data, scheme, sizeof(scheme) - 1) == 0 ? data + sizeof(scheme) - 1 : data;
    struct statfs status;
    if (statfs(directory, &status) != 0)
        return; /* another kind of store */
    const char *wrong = wrong_with((unsigned long)status.f_type & 0xffffffffUL);
    if (wrong != NULL)
        log_say(TERCET_LOG_WARNING, "the store's directory %s is on %s", directory, wrong);
}

void warn_about_setup(const struct arguments *args)
{
    warn_of_access(args);
    warn_of_sockets(args);
    warn_of_store(args);
}

/* -- Options ----------------------------------------------------------------------------------- */

static void warn_of_variable(const char *name, const char *meant)
{
    log_say(TERCET_LOG_WARNING, "nothing reads the variable %s: is %s meant?", name, meant);
}

void warn_about_options(const struct arguments *args)
{
    struct stat status;
    arguments_warn_variables(warn_of_variable);
    if (args->config_file != NULL)
        log_say(TERCET_LOG_INFO, "options are read from %s", args->config_file);
    if (args->config_file != NULL && stat(args->config_file, &status) == 0 &&
        (status.st_mode & (S_IWOTH | S_IWGRP)) != 0)
        log_say(TERCET_LOG_WARNING, "%s can be written by others (mode %04o): chmod 644 or 640",
                args->config_file, (unsigned)(status.st_mode & 07777));
    if (args->options.data == args->default_data)
        log_say(TERCET_LOG_INFO, "no --data was given: the store is in %s", args->options.data);
}
