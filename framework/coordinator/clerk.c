/* SPDX-License-Identifier: Apache-2.0
 *
 * clerk.h
 */
#include "clerk.h"

#include "checker.h"
#include "coordinator.h"
#include "scrub.h"
#include "status.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/v1/tercet.pb-c.h>
#include <unistd.h>

#define DAMAGES_TOLD_MAX 100
#define GROWTH_BYTES_MAX_DEFAULT (1ull << 30)
#define NAME_MAX_SIZE 64

/* One order (a check or a backup), which the thread carries out. */
struct order {
    struct coordinator *c;
    struct store *store;   /* that is checked or copied */
    struct caller *caller; /* a reference */
    enum method method;
    char name[NAME_MAX_SIZE + 1]; /* of a backup */
    uint64_t growth_bytes_max;
    size_t damage_count;
    char *damages[DAMAGES_TOLD_MAX];
};

void clerk_init(struct clerk *clerk)
{
    pthread_mutex_init(&clerk->lock, NULL);
}

void clerk_close(struct clerk *clerk)
{
    atomic_store(&clerk->is_closing, true);
    pthread_mutex_lock(&clerk->lock);
    bool has_thread = clerk->has_thread;
    clerk->has_thread = false;
    pthread_mutex_unlock(&clerk->lock);
    if (has_thread)
        pthread_join(clerk->thread, NULL);
}

void clerk_destroy(struct clerk *clerk)
{
    clerk_close(clerk);
    free(clerk->store_name);
    pthread_mutex_destroy(&clerk->lock);
}

static bool goes_on(void *ctx)
{
    const struct order *order = ctx;
    return !atomic_load(&order->caller->is_gone) && !atomic_load(&order->c->clerk.is_closing) &&
           !atomic_load(&order->c->has_failed);
}

static bool copying_goes_on(uint64_t bytes, void *ctx)
{
    (void)bytes;
    return goes_on(ctx);
}

static void answer(struct order *order, const ProtobufCMessage *message)
{
    const struct reply reply = {.message = message};
    struct arena arena = {0};
    struct answer encoded = caller_encode(order->caller, &arena, 0, &reply);
    caller_deliver(order->caller, &encoded);
    arena_free(&arena);
}

/* -- Checking ---------------------------------------------------------------------------------- */

static void keep_damage(const char *text, void *ctx)
{
    struct order *order = ctx;
    coordinator_log_of(order->c, LOG_STORE, TERCET_LOG_ERROR, "the store is damaged: %s", text);
    if (order->damage_count < DAMAGES_TOLD_MAX)
        order->damages[order->damage_count++] = must_strdup(text);
}

static int refuse_check(struct order *order, enum crpc_code code, const char *text)
{
    crpc_call_fail(order->caller->call, code, "%s", text);
    return TERCET_STORE_IO;
}

static void tell_counts(const struct order *order, const struct scrub_counts *counts,
                        Tercet__V1__CheckResponse *out)
{
    out->unresolved = counts->live;
    out->branches = counts->branches;
    out->resolved = counts->resolved;
    out->others = counts->meta;
    out->damages_total = counts->damages;
    out->damages = (char **)order->damages;
    out->n_damages = order->damage_count;
}

/* 0, or refused. */
static int check_here(struct order *order, struct store *store, Tercet__V1__CheckResponse *out)
{
    struct scrub scrub = {
        .store = store, .on_damage = keep_damage, .goes_on = goes_on, .ctx = order};
    int rc = scrub_run(&scrub);
    tell_counts(order, &scrub.counts, out);
    if (rc == 0)
        return 0;
    return rc == TERCET_STORE_NOMEM ? refuse_check(order, CRPC_RESOURCE_EXHAUSTED, "out of memory")
                                    : refuse_check(order, CRPC_UNAVAILABLE, COORDINATOR_STOPPING);
}

/* The same by a process of its own. */
static int check_beside(struct order *order, const char *name, Tercet__V1__CheckResponse *out)
{
    struct checker checker = {.program = order->c->options.check_program,
                              .data = name,
                              .store_size = order->c->options.store_size_max,
                              .on_damage = keep_damage,
                              .goes_on = goes_on,
                              .ctx = order};
    int rc = checker_run(&checker);
    tell_counts(order, &checker.counts, out);
    if (rc == 0)
        return 0;
    if (checker.text[0] == '\0')
        return refuse_check(order, CRPC_UNAVAILABLE, COORDINATOR_STOPPING);
    coordinator_log_of(order->c, LOG_STORE, TERCET_LOG_ERROR, "%s", checker.text);
    return refuse_check(order, CRPC_FAILED_PRECONDITION, checker.text);
}

static bool is_checked_beside(const struct order *order)
{
    return order->c->options.check_program != NULL && store_can_be_read_beside(order->store);
}

static void do_check(struct order *order)
{
    Tercet__V1__CheckResponse out = TERCET__V1__CHECK_RESPONSE__INIT;
    int rc = is_checked_beside(order) ? check_beside(order, order->c->clerk.store_name, &out)
                                      : check_here(order, order->store, &out);
    if (rc == 0)
        answer(order, &out.base);
}

/* -- Copying ----------------------------------------------------------------------------------- */

/* Fails the call, and returns a code that says so. */
static int refuse_copy(struct order *order, enum crpc_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse_copy(struct order *order, enum crpc_code code, const char *format, ...)
{
    char text[CRPC_STATUS_TEXT_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    coordinator_log_of(order->c, LOG_STORE, TERCET_LOG_WARNING, "backup %s: %s", order->name, text);
    crpc_call_fail(order->caller->call, code, "%s", text);
    return TERCET_STORE_IO;
}

static int check_copy_here(struct order *order, const char *directory,
                           Tercet__V1__CheckResponse *out)
{
    struct tercet_store_options options = {.size = sizeof(options),
                                           .size_max = order->c->options.store_size_max};
    const struct tercet_store_driver *driver = &order->store->driver;
    char text[TERCET_STORE_TEXT_MAX] = "";
    struct store *copy = NULL;
    int rc = driver->open_to_read != NULL
                 ? store_open_to_read_with(&copy, driver, directory, &options, text)
                 : store_open_with(&copy, driver, directory, &options, text);
    if (rc != 0)
        return refuse_copy(order, CRPC_DATA_LOSS, "the copy cannot be opened: %s",
                           text[0] != '\0' ? text : tercet_store_strerror(rc));
    rc = check_here(order, copy, out);
    store_close(copy);
    return rc;
}

/* A backup that cannot be restored is none: the whole copy is checked. */
static int check_copy(struct order *order, const char *directory, Tercet__V1__CheckResponse *out)
{
    char name[PATH_MAX + 64];
    const char *scheme = order->store->driver.scheme;
    snprintf(name, sizeof(name), "%s:%s", scheme, directory);
    int rc = is_checked_beside(order) ? check_beside(order, name, out)
                                      : check_copy_here(order, directory, out);
    if (rc == 0 && out->damages_total > 0)
        return refuse_copy(order, CRPC_DATA_LOSS,
                           "the copy has %llu damages, the first: %s; it is left in %s",
                           (unsigned long long)out->damages_total, out->damages[0], directory);
    return rc;
}

/* Removes an unfinished copy, so that its name can be used again. */
static void remove_copy(const char *directory)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "tercet.lock"};
    char path[PATH_MAX + 32];
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, files[i]);
        unlink(path);
    }
    rmdir(directory);
}

/* The copy gets its name, durably. */
static int name_copy(struct order *order, const char *unfinished, const char *directory)
{
    if (rename(unfinished, directory) != 0)
        return refuse_copy(order, CRPC_FAILED_PRECONDITION, "%s cannot be renamed to %s: %s",
                           unfinished, directory, strerror(errno));
    int fd = open(order->c->options.backup_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return rc == 0 ? 0
                   : refuse_copy(order, CRPC_FAILED_PRECONDITION, "the name %s is not durable: %s",
                                 directory, strerror(rc));
}

static void do_backup(struct order *order)
{
    struct coordinator *c = order->c;
    Tercet__V1__BackupResponse out = TERCET__V1__BACKUP_RESPONSE__INIT;
    Tercet__V1__CheckResponse check = TERCET__V1__CHECK_RESPONSE__INIT;
    char directory[PATH_MAX], unfinished[PATH_MAX + 8], text[TERCET_STORE_TEXT_MAX] = "";
    snprintf(directory, sizeof(directory), "%s/%s", c->options.backup_dir, order->name);
    snprintf(unfinished, sizeof(unfinished), "%s.part", directory);
    const struct tercet_store_backup backup = {.directory = unfinished,
                                               .growth_bytes_max = order->growth_bytes_max,
                                               .goes_on = copying_goes_on,
                                               .ctx = order};
    if (access(directory, F_OK) == 0) {
        refuse_copy(order, CRPC_FAILED_PRECONDITION, "%s is there already: choose another name",
                    directory);
        return;
    }
    if (store_backup(order->store, &backup, &out.bytes, &out.growth_bytes, text) != 0) {
        refuse_copy(order, CRPC_FAILED_PRECONDITION, "%s", text); /* it has removed what it could */
        return;
    }
    int rc = check_copy(order, unfinished, &check);
    if (rc == 0)
        rc = name_copy(order, unfinished, directory);
    if (rc != 0) {
        if (check.damages_total == 0)
            remove_copy(unfinished);
        return;
    }
    coordinator_log_of(c, LOG_STORE, TERCET_LOG_INFO, "backup %s: done, and found whole",
                       directory);
    out.directory = directory;
    out.check = &check;
    answer(order, &out.base);
}

/* -- Orders ------------------------------------------------------------------------------------ */

static void *work(void *ctx)
{
    struct order *order = ctx;
    struct clerk *clerk = &order->c->clerk;
    if (order->method == METHOD_BACKUP)
        do_backup(order);
    else
        do_check(order);
    for (size_t i = 0; i < order->damage_count; i++)
        free(order->damages[i]);
    caller_unref(order->caller);
    free(order);
    pthread_mutex_lock(&clerk->lock);
    clerk->is_busy = false;
    pthread_mutex_unlock(&clerk->lock);
    return NULL;
}

/* NULL, or why no backup can be made. */
static const char *take_backup(struct order *order, const Tercet__V1__BackupRequest *request)
{
    static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789_.-";
    size_t size = strlen(request->name);
    if (order->c->options.backup_dir == NULL)
        return "this coordinator has no directory for backups: start tercetd with --backup-dir";
    if (size == 0 || size > NAME_MAX_SIZE || request->name[0] == '.' ||
        request->name[strspn(request->name, characters)] != '\0')
        return "a backup's name is 1 to 64 of A-Z a-z 0-9 _ . - and does not begin with a dot";
    strcpy(order->name, request->name);
    order->growth_bytes_max =
        request->growth_bytes_max != 0 ? request->growth_bytes_max : GROWTH_BYTES_MAX_DEFAULT;
    return NULL;
}

/* With the lock held. The last order's thread has ended, or is about to. */
static bool start(struct clerk *clerk, struct order *order)
{
    if (clerk->has_thread)
        pthread_join(clerk->thread, NULL);
    clerk->has_thread = pthread_create(&clerk->thread, NULL, work, order) == 0;
    clerk->is_busy = clerk->has_thread;
    if (clerk->has_thread)
        pthread_setname_np(clerk->thread, "tercet-clerk");
    return clerk->has_thread;
}

static const char *give(struct clerk *clerk, struct order *order)
{
    const char *wrong = NULL;
    pthread_mutex_lock(&clerk->lock);
    if (atomic_load(&clerk->is_closing))
        wrong = COORDINATOR_STOPPING;
    else if (clerk->is_busy)
        wrong = "a check or a backup is under way: there is one at a time";
    else if (!start(clerk, order))
        wrong = "no thread can be started";
    pthread_mutex_unlock(&clerk->lock);
    return wrong;
}

void clerk_take(struct coordinator *c, struct caller *caller, enum method method,
                const ProtobufCMessage *request)
{
    struct order *order = must_alloc(sizeof(*order));
    order->c = c;
    order->store = coordinator_home(c)->store;
    order->caller = caller;
    order->method = method;
    const char *wrong = method == METHOD_BACKUP
                            ? take_backup(order, (const Tercet__V1__BackupRequest *)request)
                            : NULL;
    if (wrong != NULL) {
        crpc_call_fail(caller->call, CRPC_FAILED_PRECONDITION, "%s", wrong);
        free(order);
        return;
    }
    caller_ref(caller);
    wrong = give(&c->clerk, order);
    if (wrong == NULL)
        return;
    crpc_call_fail(caller->call, CRPC_UNAVAILABLE, "%s", wrong);
    caller_unref(caller);
    free(order);
}
