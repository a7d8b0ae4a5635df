/* SPDX-License-Identifier: Apache-2.0
 *
 * run and health: whether it works.
 */
#include "tercetctl.h"

#include "grpc/health/v1/health.pb-c.h" /* made of crpc's copy of the .proto */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RUN_TIMEOUT_MS 120000 /* longer than a deadline, unless --timeout says otherwise */

/* -- run --------------------------------------------------------------------------------------- */

static void check_actions(const struct ctl *ctl)
{
    for (int i = 0; i < ctl->arg_count; i++) {
        const char *slash = strchr(ctl->args[i], '/');
        if (slash == NULL || slash == ctl->args[i] || slash[1] == '\0')
            ctl_misuse("\"%s\" is no action: SERVICE/NAME is wanted, such as flight/book",
                       ctl->args[i]);
    }
}

/* The branches, one for each argument; the caller frees them. */
static Tercet__V1__Branch *make_branches(const struct ctl *ctl, Tercet__V1__Branch ***pointers)
{
    const size_t count = (size_t)ctl->arg_count;
    Tercet__V1__Branch *branches = ctl_resize(NULL, count * sizeof(*branches));
    *pointers = ctl_resize(NULL, count * sizeof(**pointers));
    for (size_t i = 0; i < count; i++) {
        tercet__v1__branch__init(&branches[i]);
        branches[i].number = (uint32_t)i + 1;
        branches[i].action = ctl->args[i];
        if (ctl->payload != NULL) {
            branches[i].payload.data = (uint8_t *)(uintptr_t)ctl->payload;
            branches[i].payload.len = strlen(ctl->payload);
        }
        (*pointers)[i] = &branches[i];
    }
    return branches;
}

static void print_outcome(const Tercet__V1__Transaction *transaction)
{
    char *reason = term_escape(transaction->reason);
    printf("%s: %s%s%s\n", transaction->gid, view_state(transaction), reason[0] != '\0' ? ": " : "",
           reason);
    free(reason);
}

static bool is_confirmed(const Tercet__V1__Transaction *transaction)
{
    return transaction->state == TERCET__V1__STATE__CONFIRMING ||
           transaction->state == TERCET__V1__STATE__CONFIRMED;
}

int command_run(struct ctl *ctl)
{
    struct tercet_gid gid;
    Tercet__V1__RunRequest request = TERCET__V1__RUN_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    check_actions(ctl);
    tercet_gid_make(&gid);
    Tercet__V1__Branch *branches = make_branches(ctl, &request.branches);
    request.gid = gid.text; /* ours, so that it can be asked for when the answer is lost */
    request.n_branches = (size_t)ctl->arg_count;
    ctl->timeout_ms = ctl->timeout_ms != 0 ? ctl->timeout_ms : RUN_TIMEOUT_MS;
    if (!ctl->is_json) /* a person may ask meanwhile why it takes so long */
        fprintf(stderr, "%s: asked for, waiting for its decision\n", gid.text);
    int status =
        ctl_call_of(&reply, ctl, &tercet__v1__coordinator__descriptor, "Run", &request.base);
    if (status == 0) {
        const Tercet__V1__Transaction *transaction = (const Tercet__V1__Transaction *)reply;
        if (ctl->is_json)
            ctl_print_message(reply);
        else
            print_outcome(transaction);
        status = is_confirmed(transaction) ? 0 : EXIT_REFUSED;
        crpc_message_free(reply);
    } else if (!ctl->is_answered) {
        term_complain("the transaction was to be %s: tercetctl show %s", gid.text, gid.text);
    }
    free(request.branches);
    free(branches);
    return status;
}

/* -- health ------------------------------------------------------------------------------------ */

int command_health(struct ctl *ctl)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int status =
        ctl_call_of(&reply, ctl, &grpc__health__v1__health__descriptor, "Check", &request.base);
    if (status != 0)
        return status;
    const Grpc__Health__V1__HealthCheckResponse *health =
        (const Grpc__Health__V1__HealthCheckResponse *)reply;
    const bool serves =
        health->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    if (ctl->is_json)
        ctl_print_message(reply);
    else
        puts(serves ? "SERVING" : "NOT SERVING");
    crpc_message_free(reply);
    return serves ? 0 : EXIT_REFUSED;
}
