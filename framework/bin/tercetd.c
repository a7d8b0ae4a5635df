/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd: the coordinator as a daemon. Options in, a coordinator open, signals out.
 */
#include "log.h"
#include "tercetd_dev.h"
#include "tercetd_fault.h"
#include "tercetd_files.h"
#include "tercetd_http.h"
#include "tercetd_notify.h"
#include "tercetd_options.h"
#include "tercetd_reload.h"
#include "tercetd_warn.h"

#include <clock.h>
#include <crpc/crpc.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <tercet/coordinator.h>
#include <unistd.h>

#define LOG_PATIENCE_MS 1000         /* for the last lines, when nobody reads them */
#define OWN_PROGRAM "/proc/self/exe" /* also when the file at its path has been replaced */
#define EXIT_NOT_STARTED 1
#define EXIT_STORE_FAILED 70 /* a commit failed: start again, the store tells the truth */

/* Nothing may be acknowledged any more: no clean shutdown, which would wait for what cannot
 * come. */
static void exit_failed(const char *text, void *ctx)
{
    (void)text;
    (void)ctx;
    log_flush(LOG_PATIENCE_MS);
    _exit(EXIT_STORE_FAILED);
}

/* Each client and participant needs two: take all that are permitted. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void print_ready(const struct tercet_coordinator *coordinator, const struct http *http)
{
    fputs("ready", stdout);
    for (size_t i = 0; tercet_coordinator_address(coordinator, i) != NULL; i++)
        printf(" %s", tercet_coordinator_address(coordinator, i));
    if (http_url(http) != NULL)
        printf(" %s", http_url(http));
    putchar('\n');
    fflush(stdout);
    notify("READY=1");
}

/* -- Signals ----------------------------------------------------------------------------------- */

static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* The watchdog hears nothing while the coordinator's own thread is held up for half of its time: it
 * ends what is stuck for all of it, and nothing else. */
static void tell_alive(struct tercet_coordinator *coordinator, int64_t watchdog_ms)
{
    struct tercet_coordinator_health health = {.size = sizeof(health)};
    tercet_coordinator_health(coordinator, &health);
    if (health.held_up_ms < watchdog_ms / 2)
        notify("WATCHDOG=1");
}

/* A signal, or 0 after `every_ms` (0: never). */
static int next_signal(const sigset_t *signals, int64_t every_ms)
{
    const struct timespec time = clock_timespec(every_ms);
    int signal = every_ms > 0 ? sigtimedwait(signals, NULL, &time) : sigwaitinfo(signals, NULL);
    return signal > 0 ? signal : 0;
}

static void wait_for_end(struct reload *reload, const sigset_t *signals)
{
    const int64_t watchdog_ms = notify_watchdog_ms(), every_ms = watchdog_ms / 4;
    int signal;
    while ((signal = next_signal(signals, every_ms)) == 0 || signal == SIGHUP) {
        if (signal == SIGHUP) {
            notify("RELOADING=1");
            reload_run(reload);
            notify("READY=1");
        }
        if (every_ms > 0)
            tell_alive(reload->coordinator, watchdog_ms);
    }
    notify("STOPPING=1");
    log_say(TERCET_LOG_INFO, "stopping (%s)", strsignal(signal));
}

/* -- Serving ----------------------------------------------------------------------------------- */

static void set_socket_modes(const struct arguments *args)
{
    for (size_t i = 0; i < args->options.listen_count; i++) {
        const char *path = args->listen[i] + sizeof("unix:") - 1;
        if (strncmp(args->listen[i], "unix:", sizeof("unix:") - 1) == 0 &&
            chmod(path, args->unix_mode) != 0)
            log_say(TERCET_LOG_WARNING, "%s: its mode cannot be set: %s", path, strerror(errno));
    }
}

/* Returns the exit status; everything is closed then. */
static int serve_until_signal(const struct arguments *args, struct tercet_coordinator *coordinator,
                              struct http *http, const sigset_t *signals)
{
    struct reload reload = {.coordinator = coordinator, .http = http, .first = args, .now = args};
    struct dev *dev = NULL;
    print_ready(coordinator, http);
    if (args->is_dev)
        dev = dev_start(tercet_coordinator_address(coordinator, 0), http_url(http));
    const bool serves = dev != NULL || !args->is_dev;
    if (serves)
        wait_for_end(&reload, signals);
    dev_stop(dev);
    http_close(http);
    tercet_coordinator_close(coordinator, reload.now->grace_ms);
    reload_clear(&reload);
    log_flush(LOG_PATIENCE_MS);
    return serves ? 0 : EXIT_NOT_STARTED;
}

/* Whether a signal that ends the program is waiting to be taken. */
static bool is_to_end(void)
{
    sigset_t waiting;
    return sigpending(&waiting) == 0 &&
           (sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGINT) == 1);
}

/* Another coordinator owns the store: this one stands by. To the service manager it is up. */
static bool stands_by(const char *text, void *ctx)
{
    bool *has_told = ctx;
    char status[TERCET_TEXT_MAX + sizeof("STATUS=")];
    if (!*has_told) {
        snprintf(status, sizeof(status), "STATUS=%s", text);
        notify("READY=1");
        notify(status);
    }
    *has_told = true;
    notify("WATCHDOG=1");
    return !is_to_end();
}

/* Opens it all and serves. Returns the exit status. */
static int serve(const struct arguments *args, const sigset_t *signals)
{
    struct tercet_coordinator_options options = args->options;
    struct tercet_coordinator *coordinator = NULL;
    char text[TERCET_TEXT_MAX];
    struct http *http = NULL;
    bool has_stood_by = false;
    options.waits_on = stands_by;
    options.waits_ctx = &has_stood_by;
    if (http_prepare(&http, args, &options, text) != 0) {
        fprintf(stderr, "tercetd: %s\n", text);
        return EXIT_NOT_STARTED;
    }
    mode_t mask = umask(0007); /* a socket is nobody else's before it has its mode */
    int rc = tercet_coordinator_open(&coordinator, &options, text);
    umask(mask);
    if (rc == 0)
        rc = http_open(http, coordinator, args, text);
    if (rc != 0) {
        http_close(http);
        tercet_coordinator_close(coordinator, 0);
        log_flush(LOG_PATIENCE_MS);
        if (rc == TERCET_LOCKED && has_stood_by)
            return 0; /* it was told to end */
        fprintf(stderr, "tercetd: %s (%s)\n", text[0] != '\0' ? text : tercet_strerror(rc),
                tercet_error_name(rc));
        return EXIT_NOT_STARTED;
    }
    if (has_stood_by)
        notify("STATUS=serving");
    set_socket_modes(args);
    warn_about_setup(args);
    return serve_until_signal(args, coordinator, http, signals);
}

static int start(struct arguments *args, const sigset_t *signals)
{
    raise_descriptor_limit();
    if (log_start(args->log_level, args->log_format) != 0) {
        fputs("tercetd: no thread can be started\n", stderr);
        return EXIT_NOT_STARTED;
    }
    args->options.on_log = log_line; /* the console's lines, too */
    args->options.on_log_record = log_record;
    args->options.on_failed = exit_failed;
    args->options.check_program = OWN_PROGRAM;
    warn_about_options(args);
    return files_make_data(args) == 0 ? serve(args, signals) : EXIT_NOT_STARTED;
}

int main(int argc, char **argv)
{
    static struct arguments args;
    sigset_t signals;
    int status = 0;
    arguments_parse(&args, argc, argv);
    fault_watch();
    if (args.check_parts == NULL)
        block_signals(&signals);
    if (args.prints_config)
        arguments_print(&args);
    else if (args.check_parts != NULL)
        status = tercet_coordinator_inspect(&args.options, args.check_parts, STDOUT_FILENO);
    else if (files_read(&args) != 0)
        status = EXIT_NOT_STARTED;
    else
        status = args.checks_config ? files_check(&args) : start(&args, &signals);
    files_free(&args.options);
    arguments_clear(&args);
    return status;
}
