/* SPDX-License-Identifier: Apache-2.0
 *
 * What a caller may do beyond what its methods say: whose transactions it decides, which services
 * it serves. access.c finds it out; whoever does what is asked looks at it.
 */
#ifndef TERCET_RIGHTS_H
#define TERCET_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#define SCOPE_NAME_MAX 63 /* characters of a name that a role is bound to */

/* The names that a role is bound to, patterns (pattern.h). */
struct scope {
    size_t count;
    char names[][SCOPE_NAME_MAX + 1];
};

/* What a caller may do beyond what its methods say. All zero: nothing is kept from it. */
struct rights {
    struct scope *begins; /* transactions that it decides: those begun by these; NULL: all */
    struct scope *serves; /* services of which it is a participant; NULL: all */
    bool sees_own_only;   /* it sees no others than it decides, either */
    bool is_no_operator;  /* it may not unregister what it does not serve */
};

void rights_clear(struct rights *rights);

/* Whether one of the names is this one, or stands for it; NULL is for all. */
bool scope_covers(const struct scope *scope, const char *name);
/* The name under which its caller begins transactions; "": none. */
const char *scope_name(const struct scope *scope);

#endif
