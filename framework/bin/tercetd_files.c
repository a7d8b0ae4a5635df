/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd_files.h
 */
#include "tercetd_files.h"

#include "tercetd_http.h"

#include <crpc/crpc.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* -- Reading ----------------------------------------------------------------------------------- */

static int read_file(const char **out, const char *path)
{
    char *text = NULL;
    if (path == NULL)
        return 0;
    if (crpc_file_read(&text, path) != 0) {
        fprintf(stderr, "tercetd: %s: %s\n", path, strerror(errno));
        return -1;
    }
    *out = text;
    return 0;
}

void files_free(struct tercet_coordinator_options *options)
{
    free((void *)options->access);
    free((void *)options->tls_cert);
    free((void *)options->tls_key);
    free((void *)options->tls_ca);
    free((void *)options->call_tls_cert);
    free((void *)options->call_tls_key);
    free((void *)options->call_tls_ca);
    free((void *)options->otlp_ca);
    free((void *)options->otlp_headers);
}

int files_read(struct arguments *args)
{
    struct tercet_coordinator_options *options = &args->options;
    const bool uses_system_roots =
        args->call_ca_file != NULL && strcmp(args->call_ca_file, "system") == 0;
    if (uses_system_roots)
        options->call_tls_ca = strdup("");
    if (read_file(&options->access, args->access_file) != 0 ||
        read_file(&options->tls_cert, args->cert_file) != 0 ||
        read_file(&options->tls_key, args->key_file) != 0 ||
        read_file(&options->tls_ca, args->ca_file) != 0 ||
        read_file(&options->call_tls_cert, args->call_cert_file) != 0 ||
        read_file(&options->call_tls_key, args->call_key_file) != 0 ||
        read_file(&options->otlp_ca, args->otlp_ca_file) != 0 ||
        read_file(&options->otlp_headers, args->otlp_headers_file) != 0)
        return -1;
    return uses_system_roots ? 0 : read_file(&options->call_tls_ca, args->call_ca_file);
}

/* -- Where a store lies that nobody gave a place ----------------------------------------------- */

int files_make_data(const struct arguments *args)
{
    char path[DATA_PATH_MAX];
    if (args->options.data != args->default_data)
        return 0;
    snprintf(path, sizeof(path), "%s", args->default_data);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            fprintf(stderr, "tercetd: %s: %s; give the store another place with --data DIR\n", path,
                    strerror(errno));
            return -1;
        }
        *slash = '/';
    }
    return 0;
}

/* -- --check-config ---------------------------------------------------------------------------- */

#define ADDRESS_MAX 300
#define EXIT_WRONG_OPTIONS 2 /* as a misspelt option of the command line */

/* The addresses with port 0; unix sockets, which may belong to a tercetd that runs, are left out.
 */
static size_t free_ports(const struct arguments *args, char made[LISTEN_MAX][ADDRESS_MAX],
                         const char *listen[LISTEN_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < args->options.listen_count; i++) {
        const char *colon = strrchr(args->listen[i], ':');
        if (strncmp(args->listen[i], "unix:", 5) == 0)
            continue;
        snprintf(made[count], ADDRESS_MAX, "%.*s%s",
                 colon != NULL ? (int)(colon - args->listen[i]) : ADDRESS_MAX, args->listen[i],
                 colon != NULL ? ":0" : "");
        listen[count] = made[count];
        count++;
    }
    return count;
}

/* Why `path` is no directory; NULL: it is one. One that is not there may be made, if `is_made`. */
static const char *wrong_with_directory(const char *path, bool is_made)
{
    struct stat status;
    if (stat(path, &status) == 0)
        return S_ISDIR(status.st_mode) ? NULL : "it is no directory";
    return errno == ENOENT && is_made ? NULL : strerror(errno);
}

static const char *wrong_with_data(const char *data)
{
    if (strncmp(data, "lmdb:", 5) == 0)
        data += 5;
    else if (strchr(data, ':') != NULL)
        return NULL; /* another kind of store */
    return wrong_with_directory(data, true);
}

static int check_directories(const struct arguments *args)
{
    const char *path = args->options.data;
    const char *wrong = wrong_with_data(path);
    if (wrong == NULL && (path = args->options.backup_dir) != NULL)
        wrong = wrong_with_directory(path, false);
    if (wrong != NULL)
        fprintf(stderr, "tercetd: %s: %s\n", path, wrong);
    return wrong != NULL ? -1 : 0;
}

static void tell_variable(const char *name, const char *meant)
{
    fprintf(stderr, "tercetd: nothing reads the variable %s: is %s meant?\n", name, meant);
}

int files_check(const struct arguments *args)
{
    struct tercet_coordinator *coordinator = NULL;
    struct tercet_coordinator_options options = args->options;
    char made[LISTEN_MAX][ADDRESS_MAX];
    const char *listen[LISTEN_MAX];
    char text[TERCET_TEXT_MAX];
    if (arguments_warn_variables(tell_variable) > 0)
        return EXIT_WRONG_OPTIONS;
    if (check_directories(args) != 0)
        return 1;
    if (http_check(args, text) != 0) {
        fprintf(stderr, "tercetd: %s\n", text);
        return 1;
    }
    listen[0] = "127.0.0.1:0";
    options.listen_count = free_ports(args, made, listen);
    options.listen_count += options.listen_count == 0;
    options.listen = listen;
    options.data = "memory:";
    int rc = tercet_coordinator_open(&coordinator, &options, text);
    if (rc != 0) {
        fprintf(stderr, "tercetd: %s (%s)\n", text[0] != '\0' ? text : tercet_strerror(rc),
                tercet_error_name(rc));
        return 1;
    }
    tercet_coordinator_close(coordinator, 0);
    printf("tercetd can start so%s%s\n", args->config_file != NULL ? ": " : "",
           args->config_file != NULL ? args->config_file : "");
    return 0;
}
