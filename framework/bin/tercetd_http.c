/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd_http.h
 */
#include "tercetd_http.h"

#include <stdio.h>
#include <string.h>

#ifdef TERCET_CONSOLE
#include "tercetd_process.h"

#include <console.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <reach.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "tercetd."
#define PATTERN PREFIX "XXXXXX"
#define SOCKET_NAME "console"
#define LOCK_NAME SOCKET_NAME ".lock" /* that the listener makes */
#define TRIES_MAX 10 /* each is lost only to a process that starts in the same moment */

struct http {
    char directory[64]; /* nobody else gets there */
    int lock;        /* it, open and locked: whoever starts removes those of processes that died */
    char link[96];   /* "unix:DIRECTORY/console" */
    char secret[65]; /* by which the coordinator knows its own console */
    struct console *console;
};

/* -- Who may come ------------------------------------------------------------------------------ */

static bool is_only_at_sockets(const struct arguments *args)
{
    for (size_t i = 0; i < args->options.listen_count; i++)
        if (strncmp(args->listen[i], "unix:", sizeof("unix:") - 1) != 0)
            return false;
    return args->options.listen_count > 0;
}

/* Why it would let in more than the other ports do; NULL: it would not. */
static const char *what_is_wrong(const struct arguments *args)
{
    if (args->access_file != NULL)
        return NULL;
    if (!reach_is_local(args->http_address))
        return "can be reached from other machines, and without --access everybody there could do "
               "everything: give --access with tokens, or listen on 127.0.0.1";
    if (args->ca_file != NULL)
        return "would let in everybody on this machine, without the certificates that --tls-ca "
               "asks for elsewhere: give --access with tokens";
    if (is_only_at_sockets(args))
        return "would let in everybody on this machine, past the modes of the unix sockets: give "
               "--access with tokens";
    return NULL;
}

/* -- The directory of the socket --------------------------------------------------------------- */

static const char *place_for_directory(void)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY"); /* systemd's, of this service alone */
    return runtime != NULL && strchr(runtime, ':') == NULL && strlen(runtime) < 40 ? runtime
                                                                                   : "/tmp";
}

/* If it is ours, and of nobody who lives: its owner would hold the lock. */
static void remove_if_left(int place, const char *name)
{
    struct stat status;
    int fd = openat(place, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && status.st_uid == geteuid() &&
        flock(fd, LOCK_EX | LOCK_NB) == 0) {
        unlinkat(fd, SOCKET_NAME, 0);
        unlinkat(fd, LOCK_NAME, 0);
        unlinkat(place, name, AT_REMOVEDIR);
    }
    close(fd);
}

static void remove_those_left(const char *place)
{
    DIR *directory = opendir(place);
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, PREFIX, sizeof(PREFIX) - 1) == 0 &&
            strlen(entry->d_name) == sizeof(PATTERN) - 1)
            remove_if_left(dirfd(directory), entry->d_name);
    if (directory != NULL)
        closedir(directory);
}

/* False with errno; ESTALE: another process, which starts too, took it for one that was left. */
static bool make_directory(struct http *http)
{
    struct stat status;
    snprintf(http->directory, sizeof(http->directory), "%s/" PATTERN, place_for_directory());
    if (mkdtemp(http->directory) == NULL)
        return false;
    http->lock = open(http->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (http->lock >= 0 && flock(http->lock, LOCK_EX) == 0 && fstat(http->lock, &status) == 0 &&
        status.st_nlink > 0)
        return true;
    int error = http->lock < 0 && errno != ENOENT ? errno : ESTALE;
    if (http->lock >= 0)
        close(http->lock);
    rmdir(http->directory);
    errno = error;
    return false;
}

static bool take_directory(struct http *http)
{
    remove_those_left(place_for_directory());
    bool is_made = false;
    for (int i = 0; i < TRIES_MAX && !is_made; i++) {
        is_made = make_directory(http);
        if (!is_made && errno != ESTALE)
            return false;
    }
    return is_made;
}

static void leave_directory(const struct http *http)
{
    unlinkat(http->lock, SOCKET_NAME, 0);
    unlinkat(http->lock, LOCK_NAME, 0);
    rmdir(http->directory);
    close(http->lock);
}

static bool make_secret(char *out, size_t size)
{
    unsigned char bytes[32];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return false;
    for (size_t i = 0; i < sizeof(bytes) && 2 * i + 3 <= size; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

/* -- Opening and closing ----------------------------------------------------------------------- */

int http_check(const struct arguments *args, char *text)
{
    const char *wrong = args->http_address != NULL ? what_is_wrong(args) : NULL;
    if (wrong != NULL)
        snprintf(text, TERCET_TEXT_MAX, "--http %.60s %s", args->http_address, wrong);
    return wrong != NULL ? TERCET_ADDRESS : 0;
}

int http_prepare(struct http **out, const struct arguments *args,
                 struct tercet_coordinator_options *options, char *text)
{
    int rc = http_check(args, text);
    if (rc != 0 || args->http_address == NULL)
        return rc;
    struct http *http = calloc(1, sizeof(*http));
    snprintf(text, TERCET_TEXT_MAX, "out of memory");
    if (http == NULL)
        return TERCET_NOMEM;
    if (!take_directory(http)) {
        snprintf(text, TERCET_TEXT_MAX, "--http: no directory for a socket can be made: %s: %s",
                 http->directory, strerror(errno));
        free(http);
        return TERCET_ADDRESS;
    }
    snprintf(http->link, sizeof(http->link), "unix:%s/" SOCKET_NAME, http->directory);
    options->own_socket = http->link;
    if (!make_secret(http->secret, sizeof(http->secret))) {
        snprintf(text, TERCET_TEXT_MAX, "--http: no random numbers are to be had: %s",
                 strerror(errno));
        leave_directory(http);
        free(http);
        return TERCET_ADDRESS;
    }
    options->own_secret = http->secret;
    *out = http;
    return 0;
}

int http_open(struct http *http, struct tercet_coordinator *coordinator,
              const struct arguments *args, char *text)
{
    if (http == NULL)
        return 0;
    const struct console_options options = {
        .address = args->http_address,
        .cert = args->options.tls_cert,
        .key = args->options.tls_key,
        .ca = args->options.tls_ca,
        .secret = http->secret,
        .link = http->link,
        .has_access = args->access_file != NULL,
        .are_metrics_open = args->are_metrics_open,
        .on_log = args->options.on_log,
        .add_metrics = process_add_metrics,
    };
    return console_open(&http->console, coordinator, &options, text);
}

const char *http_url(const struct http *http)
{
    return http != NULL ? console_url(http->console) : NULL;
}

int http_set_tls(struct http *http, const char *cert, const char *key, const char *ca, char *text)
{
    return http != NULL ? console_set_tls(http->console, cert, key, ca, text) : 0;
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    console_close(http->console);
    leave_directory(http);
    free(http);
}

#else

int http_check(const struct arguments *args, char *text)
{
    if (args->http_address == NULL)
        return 0;
    snprintf(text, TERCET_TEXT_MAX,
             "--http: this tercetd was built without it (TERCET_CONSOLE=OFF, "
             "or without libmicrohttpd)");
    return TERCET_INVALID;
}

int http_prepare(struct http **out, const struct arguments *args,
                 struct tercet_coordinator_options *options, char *text)
{
    (void)out;
    (void)options;
    return http_check(args, text);
}

int http_open(struct http *http, struct tercet_coordinator *coordinator,
              const struct arguments *args, char *text)
{
    (void)http;
    (void)coordinator;
    (void)args;
    (void)text;
    return 0;
}

const char *http_url(const struct http *http)
{
    (void)http;
    return NULL;
}

int http_set_tls(struct http *http, const char *cert, const char *key, const char *ca, char *text)
{
    (void)http;
    (void)ca;
    (void)cert;
    (void)key;
    (void)text;
    return 0;
}

void http_close(struct http *http)
{
    (void)http;
}
#endif
