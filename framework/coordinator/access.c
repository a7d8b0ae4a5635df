/* SPDX-License-Identifier: Apache-2.0
 *
 * access.h
 */
#include "access.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROLE_INITIATOR = 1, ROLE_PARTICIPANT = 2, ROLE_ADMIN = 4, ROLE_ALL = 7 };

#define SECRET_MAX 255
#define SECRET_MIN 16

struct rule {
    unsigned roles;
    bool is_identity;
    char secret[SECRET_MAX + 1]; /* a token, or the name in a certificate */
};

struct access {
    bool is_open;
    pthread_rwlock_t lock; /* over the rules */
    size_t count;
    struct rule *rules;
};

static unsigned role_of(const char *word)
{
    static const struct {
        const char *word;
        unsigned roles;
    } roles[] = {{"initiator", ROLE_INITIATOR},
                 {"participant", ROLE_PARTICIPANT},
                 {"admin", ROLE_ADMIN},
                 {"all", ROLE_ALL}};
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (strcmp(word, roles[i].word) == 0)
            return roles[i].roles;
    return 0;
}

static const char *read_line(struct rule *rule, char *line)
{
    char role[16];
    char secret[SECRET_MAX + 1];
    int end = 0;
    if (sscanf(line, "%15s %255s %n", role, secret, &end) != 2 || line[end] != '\0')
        return "a line is \"role token\" or \"role identity:NAME\"";
    rule->roles = role_of(role);
    if (rule->roles == 0)
        return "a role is initiator, participant, admin or all";
    rule->is_identity = strncmp(secret, "identity:", 9) == 0;
    if (!rule->is_identity && strlen(secret) < SECRET_MIN)
        return "a token has at least 16 characters: make one with \"openssl rand -hex 24\"";
    strcpy(rule->secret, rule->is_identity ? secret + 9 : secret);
    return NULL;
}

static int read_lines(struct access *access, char *lines, struct refusal *no)
{
    char *rest = lines;
    char *line;
    for (int number = 1; (line = strsep(&rest, "\n")) != NULL; number++) {
        line += strspn(line, " \t\r");
        line[strcspn(line, "\r")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        const char *wrong = access->count == ACCESS_LINES_MAX
                                ? "at most 1000 lines"
                                : read_line(&access->rules[access->count], line);
        if (wrong != NULL)
            return refusal_set(no, TERCET_INVALID, "access rules, line %d: %s", number, wrong);
        access->count++;
    }
    if (access->count > 0)
        return 0;
    return refusal_set(no, TERCET_INVALID,
                       "the access rules are empty: nobody could call anything");
}

int access_new(struct access **out, const char *lines, struct refusal *no)
{
    struct access *access = calloc(1, sizeof(*access));
    char *copy = lines != NULL ? strdup(lines) : NULL;
    if (access == NULL || (lines != NULL && copy == NULL)) {
        free(access);
        return refusal_set_plain(no, TERCET_NOMEM);
    }
    pthread_rwlock_init(&access->lock, NULL);
    int rc = 0;
    access->is_open = lines == NULL;
    if (!access->is_open) {
        access->rules = calloc(ACCESS_LINES_MAX, sizeof(*access->rules));
        rc = access->rules != NULL ? read_lines(access, copy, no)
                                   : refusal_set_plain(no, TERCET_NOMEM);
    }
    free(copy);
    if (rc != 0) {
        access_free(access);
        return rc;
    }
    *out = access;
    return 0;
}

void access_free(struct access *access)
{
    if (access == NULL)
        return;
    pthread_rwlock_destroy(&access->lock);
    free(access->rules);
    free(access);
}

int access_replace(struct access *access, const char *lines, struct refusal *no)
{
    struct access *fresh = NULL;
    if (access->is_open || lines == NULL)
        return refusal_set(no, TERCET_INVALID, "access rules cannot come or go while it runs");
    int rc = access_new(&fresh, lines, no);
    if (rc != 0)
        return rc;
    pthread_rwlock_wrlock(&access->lock);
    struct rule *old = access->rules;
    access->rules = fresh->rules;
    access->count = fresh->count;
    pthread_rwlock_unlock(&access->lock);
    fresh->rules = old;
    access_free(fresh);
    return 0;
}

/* The roles that may call a method; health is for everybody who has any role. What Admin.Show
 * shows, its role may also get, await and watch. */
static unsigned roles_for(const char *method)
{
    static const char *const shown[] = {"/tercet.v1.Coordinator/Get",
                                        "/tercet.v1.Coordinator/Await",
                                        "/tercet.v1.Coordinator/Watch"};
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        if (strcmp(method, shown[i]) == 0)
            return ROLE_INITIATOR | ROLE_ADMIN;
    if (strncmp(method, "/tercet.v1.Coordinator/", 23) == 0)
        return ROLE_INITIATOR;
    if (strncmp(method, "/tercet.v1.Participants/", 24) == 0)
        return ROLE_PARTICIPANT;
    if (strncmp(method, "/tercet.v1.Admin/", 17) == 0)
        return ROLE_ADMIN;
    return ROLE_ALL;
}

/* In a time that does not depend on where they differ. */
static bool is_same_secret(const char *secret, const char *given, size_t given_size)
{
    size_t size = strlen(secret);
    unsigned difference = size != given_size;
    for (size_t i = 0; i < given_size; i++)
        difference |= (unsigned char)given[i] ^ (unsigned char)secret[i < size ? i : 0];
    return difference == 0;
}

static unsigned roles_of_call(struct access *access, struct crpc_call *call)
{
    static const char prefix[] = "Bearer ";
    struct crpc_bytes header = {NULL, 0};
    unsigned roles = 0;
    bool has_token = crpc_call_metadata_get(call, "authorization", &header) &&
                     header.size > sizeof(prefix) - 1 &&
                     memcmp(header.data, prefix, sizeof(prefix) - 1) == 0;
    pthread_rwlock_rdlock(&access->lock);
    for (size_t i = 0; i < access->count; i++) {
        const struct rule *rule = &access->rules[i];
        if (rule->is_identity && crpc_call_has_identity(call, rule->secret))
            roles |= rule->roles;
        if (!rule->is_identity && has_token &&
            is_same_secret(rule->secret, (const char *)header.data + sizeof(prefix) - 1,
                           header.size - sizeof(prefix) + 1))
            roles |= rule->roles;
    }
    pthread_rwlock_unlock(&access->lock);
    return roles;
}

bool access_authorize(struct crpc_call *call, struct crpc_status *why, void *ctx)
{
    struct access *access = ctx;
    if (access->is_open)
        return true;
    unsigned roles = roles_of_call(access, call);
    if ((roles & roles_for(crpc_call_method(call))) != 0)
        return true;
    *why = roles == 0
               ? (struct crpc_status){.code = CRPC_UNAUTHENTICATED,
                                      .message = "no known token (metadata \"authorization: Bearer "
                                                 "...\") or certificate"}
               : (struct crpc_status){
                     .code = CRPC_PERMISSION_DENIED,
                     .message = "this token or certificate has not the role for this method"};
    return false;
}
