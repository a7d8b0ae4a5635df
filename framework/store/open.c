/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h: from a name to an open store.
 */
#include "store.h"

#include <assert.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* What the first version of the table had; what stands behind it may be missing. */
#define DRIVER_SIZE_MIN offsetof(struct tercet_store_driver, open_to_read)

static const struct tercet_store_driver *const ours[] = {&store_lmdb_driver, &store_memory_driver,
                                                         NULL};

__attribute__((format(printf, 3, 4))) static int fail(char *text, int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, TERCET_STORE_TEXT_MAX, format, args);
    va_end(args);
    return code;
}

/* The length of SCHEME in "SCHEME:REST"; 0: there is none. A path with a colon is none, when a
 * slash comes before the colon. */
static size_t scheme_size(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789+-.");
    return name[size] == ':' ? size : 0;
}

static const struct tercet_store_driver *
find_driver(const struct tercet_store_driver *const *drivers, const char *scheme, size_t size)
{
    for (size_t i = 0; drivers != NULL && drivers[i] != NULL; i++)
        if (strlen(drivers[i]->scheme) == size && memcmp(drivers[i]->scheme, scheme, size) == 0)
            return drivers[i];
    return NULL;
}

static int check_driver(const struct tercet_store_driver *driver, char *text)
{
    if (driver->version != TERCET_STORE_VERSION || driver->size < DRIVER_SIZE_MIN)
        return fail(text, TERCET_STORE_INVALID,
                    "the driver of %s: is of version %u and this program wants %u: build it with "
                    "this program's tercet/sys/store.h",
                    driver->scheme, (unsigned)driver->version, TERCET_STORE_VERSION);
    if (driver->open == NULL || driver->close == NULL || driver->shard_count == NULL ||
        driver->acquire == NULL || driver->release == NULL || driver->commit == NULL ||
        driver->scan == NULL || driver->get == NULL || driver->find == NULL ||
        driver->page == NULL || driver->meta_scan == NULL || driver->stats == NULL)
        return fail(text, TERCET_STORE_INVALID,
                    "the driver of %s: lacks a function that every driver has", driver->scheme);
    return 0;
}

/* The driver of the name, and where REST begins. */
static int choose(const struct tercet_store_driver **out, const char **rest, const char *name,
                  const struct tercet_store_driver *const *others, char *text)
{
    size_t size = scheme_size(name);
    bool is_memory = strcmp(name, ":memory:") == 0;
    if (size == 0) {
        *out = is_memory ? &store_memory_driver : &store_lmdb_driver;
        *rest = is_memory ? "" : name;
        return 0;
    }
    const struct tercet_store_driver *driver = find_driver(others, name, size);
    if (driver == NULL)
        driver = find_driver(ours, name, size);
    if (driver == NULL)
        return fail(text, TERCET_STORE_INVALID,
                    "there is no driver for stores named %.*s: (there are lmdb:DIR, "
                    "etcd://HOST:PORT/PREFIX and memory:); a directory of that name is ./%s",
                    (int)(size < 32 ? size : 32), name, name);
    *out = driver;
    *rest = name + size + 1;
    return check_driver(driver, text);
}

int store_open(struct store **out, const char *name,
               const struct tercet_store_driver *const *others,
               const struct tercet_store_options *options, char *text)
{
    assert(out != NULL && name != NULL);
    char unread[TERCET_STORE_TEXT_MAX];
    char *said = text != NULL ? text : unread;
    const struct tercet_store_driver *driver = NULL;
    int rc = choose(&driver, &name, name, others, said);
    return rc == 0 ? store_open_with(out, driver, name, options, said) : rc;
}

int store_open_to_read(struct store **out, const char *name,
                       const struct tercet_store_driver *const *others,
                       const struct tercet_store_options *options, char *text)
{
    assert(out != NULL && name != NULL && text != NULL);
    const struct tercet_store_driver *driver = NULL;
    int rc = choose(&driver, &name, name, others, text);
    return rc == 0 ? store_open_to_read_with(out, driver, name, options, text) : rc;
}
