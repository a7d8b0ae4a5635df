/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet/coordinator.h: a whole store read by a program of its own, which says line by line what it
 * finds. checker.c is who asks for it, and reads the lines.
 */
#include "checker.h"
#include "scrub.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tercet/coordinator.h>

struct inspection {
    int fd;
    bool is_heard; /* somebody reads the lines */
};

static void say(struct inspection *inspection, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct inspection *inspection, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    if (vdprintf(inspection->fd, format, values) < 0)
        inspection->is_heard = false;
    va_end(values);
}

static void tell_damage(const char *text, void *ctx)
{
    say(ctx, CHECKER_DAMAGED "%s\n", text);
}

static void tell_step(enum scrub_part part, const char *text, void *ctx)
{
    say(ctx, CHECKER_READING "%s: %s\n", scrub_part_name(part), text);
}

static bool is_heard(void *ctx)
{
    return ((const struct inspection *)ctx)->is_heard;
}

/* 0: there is none of that name. */
static unsigned parts_of(const char *name)
{
    if (strcmp(name, "all") == 0)
        return SCRUB_ALL;
    for (unsigned part = SCRUB_UNRESOLVED; part < SCRUB_ALL; part <<= 1)
        if (strcmp(name, scrub_part_name((enum scrub_part)part)) == 0)
            return part;
    return 0;
}

/* Part after part, so that what was counted is told before the next may end the process. */
static int look_at(struct scrub *scrub, unsigned parts, uint64_t *damages)
{
    int rc = 0;
    for (unsigned part = SCRUB_UNRESOLVED; part < SCRUB_ALL && rc == 0; part <<= 1) {
        if ((parts & part) == 0)
            continue;
        scrub->parts = part;
        rc = scrub_run(scrub);
        *damages += scrub->counts.damages;
        say(scrub->ctx, CHECKER_COUNTS CHECKER_COUNTS_FORMAT "\n", scrub->counts.live,
            scrub->counts.branches, scrub->counts.resolved, scrub->counts.meta);
    }
    return rc;
}

/* Whatever keeps the reading from its end. */
static int fail(struct inspection *inspection, const char *text)
{
    say(inspection, CHECKER_FAILED "%s\n", text);
    return 1;
}

int tercet_coordinator_inspect(const struct tercet_coordinator_options *options, const char *parts,
                               int fd)
{
    struct inspection inspection = {.fd = fd, .is_heard = true};
    const struct tercet_store_options store_options = {.size = sizeof(store_options),
                                                       .size_max = options->store_size_max};
    struct scrub scrub = {
        .on_damage = tell_damage, .goes_on = is_heard, .on_step = tell_step, .ctx = &inspection};
    char text[TERCET_STORE_TEXT_MAX] = "";
    uint64_t damages = 0;
    unsigned chosen = parts_of(parts);
    if (chosen == 0)
        return fail(&inspection, "all, unresolved, resolved, others or index is wanted");
    int rc = store_open_to_read(&scrub.store, options->data, options->store_drivers, &store_options,
                                text);
    if (rc != 0)
        return fail(&inspection, text[0] != '\0' ? text : tercet_store_strerror(rc));
    rc = look_at(&scrub, chosen, &damages);
    store_close(scrub.store);
    if (rc != 0)
        return fail(&inspection, rc == TERCET_STORE_NOMEM ? "out of memory" : "nobody reads this");
    say(&inspection, CHECKER_DONE "%s\n", damages == 0 ? "all whole" : "see the damages above");
    return damages == 0 ? 0 : 1;
}
