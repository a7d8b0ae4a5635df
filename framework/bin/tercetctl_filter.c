/* SPDX-License-Identifier: Apache-2.0
 *
 * Which transactions a command is for, as far as the coordinator does not judge it.
 */
#include "tercetctl.h"

#include <string.h>

bool filter_names(const struct ctl *ctl, const Tercet__V1__BranchStatus *branch)
{
    size_t size = ctl->service != NULL ? strlen(ctl->service) : 0;
    bool is_of_service =
        ctl->service == NULL ||
        (strncmp(branch->action, ctl->service, size) == 0 && branch->action[size] == '/');
    return is_of_service && (ctl->action == NULL || strcmp(branch->action, ctl->action) == 0);
}

bool filter_names_any(const struct ctl *ctl, const Tercet__V1__Transaction *transaction)
{
    bool any = ctl->service == NULL && ctl->action == NULL;
    for (size_t i = 0; i < transaction->n_branches && !any; i++)
        any = filter_names(ctl, transaction->branches[i]);
    return any;
}

static bool has_text(const char *text, const Tercet__V1__Transaction *transaction)
{
    bool has = strstr(transaction->gid, text) != NULL || strstr(transaction->reason, text) != NULL;
    for (size_t i = 0; i < transaction->n_metadata && !has; i++)
        has = strstr(transaction->metadata[i]->key, text) != NULL ||
              strstr(transaction->metadata[i]->value, text) != NULL;
    for (size_t i = 0; i < transaction->n_branches && !has; i++)
        has = strstr(transaction->branches[i]->action, text) != NULL ||
              strstr(transaction->branches[i]->reason, text) != NULL ||
              strstr(transaction->branches[i]->last_error, text) != NULL;
    return has;
}

/* By the operator's clock, which may be behind the coordinator's: who asks for no age gets all. */
static bool is_old_enough(const struct ctl *ctl, const Tercet__V1__Transaction *transaction)
{
    return ctl->older_than_ms == 0 ||
           clock_wall_ms() - transaction->created_ms >= ctl->older_than_ms;
}

bool filter_lets(const struct ctl *ctl, const Tercet__V1__Transaction *transaction)
{
    return is_old_enough(ctl, transaction) && filter_names_any(ctl, transaction) &&
           (ctl->text == NULL || has_text(ctl->text, transaction));
}
