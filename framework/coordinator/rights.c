/* SPDX-License-Identifier: Apache-2.0
 *
 * rights.h
 */
#include "rights.h"

#include "pattern.h"

#include <stdlib.h>

void rights_clear(struct rights *rights)
{
    free(rights->begins);
    free(rights->serves);
    *rights = (struct rights){0};
}

bool scope_covers(const struct scope *scope, const char *name)
{
    for (size_t i = 0; scope != NULL && i < scope->count; i++)
        if (pattern_matches(scope->names[i], name))
            return true;
    return scope == NULL;
}

const char *scope_name(const struct scope *scope)
{
    return scope != NULL && scope->count > 0 ? scope->names[0] : "";
}
