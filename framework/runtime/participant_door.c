/* SPDX-License-Identifier: Apache-2.0
 *
 * participant.h: who may call a participant that listens. It hands its coordinator a token when it
 * registers, over a connection that it has made itself, and takes calls that bring it.
 */
#include "participant.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TOKEN_MIN 16
#define TOKEN_RANDOM_SIZE 24
#define TELL_PAUSE_MS 10000

/* -- Opening ----------------------------------------------------------------------------------- */

static const char *check_caller(const struct tercet_participant_options *options)
{
    if (options->caller_token != NULL && strlen(options->caller_token) < TOKEN_MIN)
        return "caller_token has at least 16 characters: make one with \"openssl rand -hex 24\"";
    if (options->caller_identity != NULL &&
        (options->tls_cert == NULL || options->tls_ca == NULL || options->tls_ca[0] == '\0'))
        return "caller_identity is a name in the coordinator's certificate: it needs tls_ca, "
               "tls_cert and tls_key";
    return options->caller_token != NULL ? check_token(options->caller_token) : NULL;
}

/* NULL without memory. */
static char *make_token(void)
{
    uint8_t random[TOKEN_RANDOM_SIZE];
    char *token = malloc(2 * sizeof(random) + 1);
    size_t have = 0;
    while (token != NULL && have < sizeof(random)) {
        ssize_t n = getrandom(random + have, sizeof(random) - have, 0);
        if (n > 0)
            have += (size_t)n;
        else if (errno != EINTR)
            abort();
    }
    for (size_t i = 0; token != NULL && i < sizeof(random); i++)
        snprintf(token + 2 * i, 3, "%02x", random[i]);
    return token;
}

/* A target that was named may stand for several instances, each with a token of its own. */
static int take_token(struct participant_door *door,
                      const struct tercet_participant_options *options)
{
    door->is_own_token = options->caller_token == NULL && options->caller_identity == NULL &&
                         options->target == NULL;
    if (options->caller_token != NULL)
        door->token = strdup(options->caller_token);
    else if (door->is_own_token)
        door->token = make_token();
    if (options->caller_identity != NULL)
        door->identity = strdup(options->caller_identity);
    bool has_all = (door->token != NULL) == (options->caller_token != NULL || door->is_own_token) &&
                   (door->identity != NULL) == (options->caller_identity != NULL);
    return has_all ? 0 : TERCET_NOMEM;
}

int participant_door_open(struct tercet_participant *participant,
                          const struct tercet_participant_options *options, char *text)
{
    struct participant_door *door = &participant->door;
    const char *why = check_caller(options);
    if (why != NULL) {
        runtime_text(text, "%s", why);
        return TERCET_INVALID;
    }
    int rc = take_token(door, options);
    if (rc != 0)
        runtime_text(text, "%s", tercet_strerror(rc));
    else if (door->token == NULL && door->identity == NULL)
        runtime_log(&participant->log, TERCET_LOG_WARNING,
                    "participant %s: whoever reaches %s can call it: give caller_token or "
                    "caller_identity",
                    participant->service, options->listen);
    return rc;
}

void participant_door_close(struct participant_door *door)
{
    free(door->token);
    free(door->identity);
}

/* -- Calls ------------------------------------------------------------------------------------- */

/* In a time that does not depend on where they differ. */
static bool is_same(const char *token, const char *given, size_t given_size)
{
    size_t size = strlen(token);
    unsigned difference = size != given_size;
    for (size_t i = 0; i < given_size; i++)
        difference |= (unsigned char)given[i] ^ (unsigned char)token[i < size ? i : 0];
    return difference == 0;
}

static bool brings_token(struct crpc_call *call, const char *token)
{
    static const char prefix[] = "Bearer ";
    const size_t prefix_size = sizeof(prefix) - 1;
    struct crpc_bytes header = {NULL, 0};
    return crpc_call_metadata_get(call, "authorization", &header) && header.size > prefix_size &&
           memcmp(header.data, prefix, prefix_size) == 0 &&
           is_same(token, (const char *)header.data + prefix_size, header.size - prefix_size);
}

static bool is_let_in(const struct participant_door *door, struct crpc_call *call)
{
    if (door->identity != NULL && !crpc_call_has_identity(call, door->identity))
        return false;
    return door->token == NULL || brings_token(call, door->token) || atomic_load(&door->is_lenient);
}

static void tell_refused(struct tercet_participant *participant, struct crpc_call *call)
{
    struct participant_door *door = &participant->door;
    long long now_ms = clock_monotonic_ms(), told_ms = atomic_load(&door->told_ms);
    bool is_due = told_ms == 0 || now_ms - told_ms >= TELL_PAUSE_MS;
    if (is_due && atomic_compare_exchange_strong(&door->told_ms, &told_ms, now_ms))
        runtime_log(&participant->log, TERCET_LOG_WARNING,
                    "participant %s: a call from %s is refused: it does not show that it is the "
                    "coordinator's (%s)",
                    participant->service, crpc_call_peer(call),
                    door->identity != NULL ? "its certificate" : "its token");
}

bool participant_door_authorize(struct crpc_call *call, struct crpc_status *why, void *ctx)
{
    static const char guarded[] = "/tercet.v1.Participant/";
    struct tercet_participant *participant = ctx;
    if (strncmp(crpc_call_method(call), guarded, sizeof(guarded) - 1) != 0 ||
        is_let_in(&participant->door, call))
        return true;
    tell_refused(participant, call);
    *why =
        (struct crpc_status){.code = CRPC_UNAUTHENTICATED,
                             .message = "this participant takes calls from its coordinator alone: "
                                        "the call brings no token of its registration, or "
                                        "another certificate"};
    return false;
}

void participant_door_registered(struct tercet_participant *participant, bool keeps_token)
{
    struct participant_door *door = &participant->door;
    if (door->token == NULL)
        return;
    bool is_lenient = !keeps_token && door->is_own_token;
    bool was_lenient = atomic_exchange(&door->is_lenient, is_lenient);
    if (!keeps_token && (!is_lenient || !was_lenient))
        runtime_log(
            &participant->log, TERCET_LOG_WARNING,
            "participant %s: the coordinator is too old to bring a token with its calls: %s",
            participant->service,
            is_lenient ? "whoever reaches this participant can call it"
                       : "they are refused, until it is a newer one");
}
