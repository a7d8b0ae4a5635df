/* SPDX-License-Identifier: Apache-2.0
 *
 * What an instance or a registered target offers: actions, and how long it asks for to answer a
 * call of each; and which versions it tells of itself.
 */
#ifndef TERCET_OFFER_H
#define TERCET_OFFER_H

#include <stddef.h>
#include <stdint.h>
#include <tercet/v1/tercet.pb-c.h>

#define OFFER_ACTIONS_MAX 256 /* actions an instance or a target may offer */
#define OFFER_VERSION_MAX 63  /* bytes of a version */

/* How long one call is waited for; 0: not said. */
struct call_timeouts {
    uint32_t call_ms; /* of any hook, */
    uint32_t end_ms;  /* this, when given, is that of confirm and cancel */
};

struct offered {
    char *name;
    struct call_timeouts timeouts;
};

struct offer {
    struct offered *actions;
    size_t count;
    /* of the library and of the program around it, as told; "": not */
    char version[OFFER_VERSION_MAX + 1];
    char application_version[OFFER_VERSION_MAX + 1];
};

/* NULL, or what is wrong with a pair of versions. */
const char *offer_check_versions(const char *version, const char *application_version);
/* Copies a pair that is in order; after offer_set, which forgets it. */
void offer_set_versions(struct offer *offer, const char *version, const char *application_version);

/* NULL, or what is wrong with the lists of a hello or a registration. */
const char *offer_check(char **names, size_t name_count, Tercet__V1__ActionTimeouts **timeouts,
                        size_t timeout_count);
/* NULL, or what is wrong with a pair of timeouts. */
const char *offer_check_timeouts(uint32_t call_ms, uint32_t end_ms);

/* Copies lists that are in order, in place of what was there. */
void offer_set(struct offer *offer, char **names, size_t name_count,
               Tercet__V1__ActionTimeouts **timeouts, size_t timeout_count);
void offer_clear(struct offer *offer);

/* The action, or NULL. */
const struct offered *offer_find(const struct offer *offer, const char *name);

#endif
