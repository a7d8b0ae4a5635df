/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands for the coordinator itself: check, backup, log-level.
 */
#include "tercetctl.h"

#include <inttypes.h>
#include <stdlib.h>

#define LONG_TIMEOUT_MS (24LL * 3600 * 1000) /* unless --timeout says otherwise */

static void view_check(const Tercet__V1__CheckResponse *check)
{
    for (size_t i = 0; i < check->n_damages; i++) {
        char *text = term_escape(check->damages[i]);
        printf("DAMAGED: %s\n", text);
        free(text);
    }
    if (check->damages_total > check->n_damages)
        printf("and %" PRIu64 " more\n", check->damages_total - check->n_damages);
    printf("%" PRIu64 " unresolved transactions with %" PRIu64 " branches, %" PRIu64
           " resolved, %" PRIu64 " other records: %s\n",
           check->unresolved, check->branches, check->resolved, check->others,
           check->damages_total == 0 ? "all whole" : "see the damages above");
}

/* These take as long as they take. */
static int call(ProtobufCMessage **reply, struct ctl *ctl, const char *method,
                const ProtobufCMessage *request)
{
    ctl->timeout_ms = ctl->timeout_ms != 0 ? ctl->timeout_ms : LONG_TIMEOUT_MS;
    return ctl_call(reply, ctl, method, request);
}

int command_check(struct ctl *ctl)
{
    Tercet__V1__CheckRequest request = TERCET__V1__CHECK_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int status = call(&reply, ctl, "Check", &request.base);
    if (status != 0)
        return status;
    const Tercet__V1__CheckResponse *check = (const Tercet__V1__CheckResponse *)reply;
    if (ctl->is_json)
        ctl_print_message(reply);
    else
        view_check(check);
    status = check->damages_total > 0 ? EXIT_REFUSED : 0;
    crpc_message_free(reply);
    return status;
}

int command_backup(struct ctl *ctl)
{
    Tercet__V1__BackupRequest request = TERCET__V1__BACKUP_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.name = ctl->args[0];
    request.growth_bytes_max = ctl->growth_bytes;
    int status = call(&reply, ctl, "Backup", &request.base);
    if (status != 0)
        return status;
    const Tercet__V1__BackupResponse *backup = (const Tercet__V1__BackupResponse *)reply;
    if (ctl->is_json) {
        ctl_print_message(reply);
    } else {
        char *directory = term_escape(backup->directory);
        printf("%s\n%" PRIu64 " bytes; the store grew by %" PRIu64 " bytes meanwhile\n", directory,
               backup->bytes, backup->growth_bytes);
        free(directory);
        view_check(backup->check);
    }
    crpc_message_free(reply);
    return 0;
}

int command_log_level(struct ctl *ctl)
{
    Tercet__V1__SetLogLevelsRequest request = TERCET__V1__SET_LOG_LEVELS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    if (ctl->arg_count > 0)
        request.levels = ctl->args[0];
    int status = ctl_call(&reply, ctl, "SetLogLevels", &request.base);
    if (status != 0)
        return status;
    const Tercet__V1__SetLogLevelsResponse *now = (const Tercet__V1__SetLogLevelsResponse *)reply;
    if (ctl->is_json)
        ctl_print_message(reply);
    for (size_t i = 0; !ctl->is_json && i < now->n_levels; i++)
        printf("%-12s  %s\n", now->levels[i]->part, now->levels[i]->level);
    crpc_message_free(reply);
    return 0;
}
