/* SPDX-License-Identifier: Apache-2.0
 *
 * access.h
 */
#include "access.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROLE_INITIATOR = 1,
    ROLE_PARTICIPANT = 2,
    ROLE_READER = 4,   /* looks at everything */
    ROLE_OPERATOR = 8, /* and decides, settles, retries, pauses */
    ROLE_ADMIN = 16,   /* and does what concerns the coordinator itself */
    ROLE_ALL = 31
};
#define ROLES_LOOKING (ROLE_READER | ROLE_OPERATOR | ROLE_ADMIN)
#define ROLES_OPERATING (ROLE_OPERATOR | ROLE_ADMIN)

#define SECRET_MAX 255
#define SECRET_MIN 16

struct rule {
    unsigned roles;
    bool is_identity;
    char scope[SCOPE_NAME_MAX + 1]; /* "": all */
    char secret[SECRET_MAX + 1];    /* a token, or the name in a certificate */
    char name[ACCESS_NAME_MAX + 1]; /* whose it is; "": not said */
    int line;
};

struct access {
    bool is_open;
    bool is_health_guarded;
    const char *own_secret; /* NULL: nobody speaks for others */
    pthread_rwlock_t lock;  /* over the rules */
    size_t count;
    struct rule *rules;
};

static unsigned role_of(const char *word)
{
    static const struct {
        const char *word;
        unsigned roles;
    } roles[] = {{"initiator", ROLE_INITIATOR}, {"participant", ROLE_PARTICIPANT},
                 {"reader", ROLE_READER},       {"operator", ROLE_OPERATOR},
                 {"admin", ROLE_ADMIN},         {"all", ROLE_ALL}};
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (strcmp(word, roles[i].word) == 0)
            return roles[i].roles;
    return 0;
}

/* Takes the scope off "role:scope". */
static const char *read_role(struct rule *rule, char *role)
{
    static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789_.-*";
    char *colon = strchr(role, ':');
    if (colon != NULL)
        *colon = '\0';
    rule->roles = role_of(role);
    if (rule->roles == 0)
        return "a role is initiator, participant, reader, operator, admin or all";
    if (colon == NULL)
        return NULL;
    const char *scope = colon + 1;
    if (rule->roles != ROLE_INITIATOR && rule->roles != ROLE_PARTICIPANT)
        return "initiators and participants alone are bound to names (\"participant:payment\")";
    if (scope[0] == '\0' || strlen(scope) > SCOPE_NAME_MAX ||
        scope[strspn(scope, characters)] != '\0')
        return "a role is bound to 1 to 63 of A-Z a-z 0-9 _ . - and *";
    strcpy(rule->scope, strcmp(scope, "*") != 0 ? scope : "");
    return NULL;
}

/* Whose token it is: the rest of the line. */
static const char *read_name(struct rule *rule, char *name)
{
    static const char characters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789_.@-";
    size_t size = strspn(name, characters);
    if (size > ACCESS_NAME_MAX || name[size + strspn(name + size, " \t")] != '\0')
        return "behind \"role token\" or \"role identity:NAME\" there is nothing, or whose it is: "
               "1 "
               "to 47 of A-Z a-z 0-9 _ . @ and -";
    name[size] = '\0';
    strcpy(rule->name, name);
    return NULL;
}

static const char *read_line(struct rule *rule, char *line)
{
    char role[128];
    char secret[SECRET_MAX + 1];
    int end = 0;
    if (sscanf(line, "%127s %255s%n", role, secret, &end) != 2 ||
        (line[end] != '\0' && strchr(" \t", line[end]) == NULL))
        return "a line is \"role token\" or \"role identity:NAME\"";
    const char *wrong = read_name(rule, line + end + strspn(line + end, " \t"));
    if (wrong == NULL)
        wrong = read_role(rule, role);
    if (wrong != NULL)
        return wrong;
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
        access->rules[access->count].line = number;
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

void access_guard_health(struct access *access)
{
    access->is_health_guarded = true;
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

void access_believe(struct access *access, const char *own_secret)
{
    access->own_secret = own_secret;
}

/* -- Methods ----------------------------------------------------------------------------------- */

/* The roles that may call a method; guarded health is for everybody who has any role. A method of
 * Admin that is not named here is for admins. */
static unsigned roles_for(const char *method)
{
    static const struct {
        const char *method; /* or how it begins */
        unsigned roles;
    } known[] = {
        {"/tercet.v1.Coordinator/Get", ROLE_INITIATOR | ROLES_LOOKING},
        {"/tercet.v1.Coordinator/Await", ROLE_INITIATOR | ROLES_LOOKING},
        {"/tercet.v1.Coordinator/Watch", ROLE_INITIATOR | ROLES_LOOKING},
        {"/tercet.v1.Coordinator/", ROLE_INITIATOR},
        {"/tercet.v1.Participants/RegisterTarget", ROLE_PARTICIPANT | ROLES_OPERATING},
        {"/tercet.v1.Participants/", ROLE_PARTICIPANT},
        {"/tercet.v1.Admin/List", ROLES_LOOKING}, /* ListParticipants, too */
        {"/tercet.v1.Admin/Show", ROLES_LOOKING},
        {"/tercet.v1.Admin/Get", ROLES_LOOKING}, /* statistics */
        {"/tercet.v1.Admin/Retry", ROLES_OPERATING},
        {"/tercet.v1.Admin/Settle", ROLES_OPERATING},
        {"/tercet.v1.Admin/Decide", ROLES_OPERATING},
        {"/tercet.v1.Admin/Pause", ROLES_OPERATING},
        {"/tercet.v1.Admin/", ROLE_ADMIN},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strncmp(method, known[i].method, strlen(known[i].method)) == 0)
            return known[i].roles;
    return ROLE_ALL;
}

/* -- Callers ----------------------------------------------------------------------------------- */

/* In a time that does not depend on where they differ. */
static bool is_same_secret(const char *secret, const char *given, size_t given_size)
{
    size_t size = strlen(secret);
    unsigned difference = size != given_size;
    for (size_t i = 0; i < given_size; i++)
        difference |= (unsigned char)given[i] ^ (unsigned char)secret[i < size ? i : 0];
    return difference == 0;
}

/* A call's token; size 0: none. */
static struct crpc_bytes token_of(struct crpc_call *call)
{
    static const char prefix[] = "Bearer ";
    const size_t prefix_size = sizeof(prefix) - 1;
    struct crpc_bytes header = {NULL, 0};
    if (!crpc_call_metadata_get(call, "authorization", &header) || header.size <= prefix_size ||
        memcmp(header.data, prefix, prefix_size) != 0)
        return (struct crpc_bytes){NULL, 0};
    return (struct crpc_bytes){(const char *)header.data + prefix_size, header.size - prefix_size};
}

/* Whether the call comes from a door of this process, which tells that its caller has the name. */
static bool is_told_identity(const struct access *access, struct crpc_call *call, const char *name)
{
    struct crpc_bytes secret = {NULL, 0}, names = {NULL, 0};
    const size_t size = strlen(name);
    if (access->own_secret == NULL || !crpc_call_metadata_get(call, "tercet-own-secret", &secret) ||
        !is_same_secret(access->own_secret, secret.data, secret.size) ||
        !crpc_call_metadata_get(call, "tercet-identities", &names))
        return false;
    const char *at = names.data, *end = at + names.size;
    while (at < end) {
        const char *space = memchr(at, ' ', (size_t)(end - at));
        const char *stop = space != NULL ? space : end;
        if ((size_t)(stop - at) == size && memcmp(at, name, size) == 0)
            return true;
        at = stop + 1;
    }
    return false;
}

static bool is_for(const struct access *access, const struct rule *rule, struct crpc_call *call,
                   struct crpc_bytes token)
{
    if (rule->is_identity)
        return crpc_call_has_identity(call, rule->secret) ||
               is_told_identity(access, call, rule->secret);
    return token.size > 0 && is_same_secret(rule->secret, token.data, token.size);
}

static unsigned roles_of_call(struct access *access, struct crpc_call *call)
{
    struct crpc_bytes token = token_of(call);
    unsigned roles = 0;
    pthread_rwlock_rdlock(&access->lock);
    for (size_t i = 0; i < access->count; i++)
        if (is_for(access, &access->rules[i], call, token))
            roles |= access->rules[i].roles;
    pthread_rwlock_unlock(&access->lock);
    return roles;
}

bool access_authorize(struct crpc_call *call, struct crpc_status *why, void *ctx)
{
    static const char health[] = "/grpc.health.v1.Health/";
    struct access *access = ctx;
    bool is_health = strncmp(crpc_call_method(call), health, sizeof(health) - 1) == 0;
    if (access->is_open || (is_health && !access->is_health_guarded))
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

/* The first rule that lets it operate, and one with a name before others. */
static const struct rule *rule_of(const struct access *access, struct crpc_call *call)
{
    struct crpc_bytes token = token_of(call);
    const struct rule *found = NULL;
    for (size_t i = 0; i < access->count; i++) {
        const struct rule *rule = &access->rules[i];
        if ((rule->roles & ROLES_OPERATING) == 0 || !is_for(access, rule, call, token))
            continue;
        if (rule->name[0] != '\0')
            return rule;
        found = found != NULL ? found : rule;
    }
    return found;
}

void access_name(struct access *access, struct crpc_call *call, char out[ACCESS_WHO_SIZE])
{
    out[0] = '\0';
    if (access == NULL || access->is_open)
        return;
    pthread_rwlock_rdlock(&access->lock);
    const struct rule *rule = rule_of(access, call);
    if (rule != NULL && (rule->name[0] != '\0' || rule->is_identity))
        snprintf(out, ACCESS_WHO_SIZE, "%s", rule->name[0] != '\0' ? rule->name : rule->secret);
    else if (rule != NULL)
        snprintf(out, ACCESS_WHO_SIZE, "the token of line %d", rule->line);
    pthread_rwlock_unlock(&access->lock);
}

/* -- What is bound ----------------------------------------------------------------------------- */

/* What the rules bind the role to; NULL: nothing, one of them is for all. A role that no rule gives
 * is bound to no name at all. */
static struct scope *scope_of(const struct access *access, struct crpc_call *call, unsigned role,
                              bool *has_memory)
{
    struct crpc_bytes token = token_of(call);
    size_t count = 0;
    struct scope *scope = malloc(sizeof(*scope));
    for (size_t i = 0; scope != NULL && i < access->count; i++) {
        const struct rule *rule = &access->rules[i];
        if ((rule->roles & role) == 0 || !is_for(access, rule, call, token))
            continue;
        if (rule->scope[0] == '\0') {
            free(scope);
            return NULL;
        }
        size_t size = sizeof(*scope) + (count + 1) * sizeof(scope->names[0]);
        struct scope *larger = realloc(scope, size);
        if (larger == NULL)
            free(scope);
        else
            strcpy(larger->names[count++], rule->scope);
        scope = larger;
    }
    *has_memory = *has_memory && scope != NULL;
    if (scope != NULL)
        scope->count = count;
    return scope;
}

bool access_rights(struct access *access, struct crpc_call *call, struct rights *out)
{
    bool has_memory = true;
    *out = (struct rights){0};
    if (access->is_open)
        return true;
    unsigned roles = roles_of_call(access, call);
    pthread_rwlock_rdlock(&access->lock);
    out->begins = scope_of(access, call, ROLE_INITIATOR, &has_memory);
    out->serves = scope_of(access, call, ROLE_PARTICIPANT, &has_memory);
    pthread_rwlock_unlock(&access->lock);
    out->sees_own_only = out->begins != NULL && (roles & ROLES_LOOKING) == 0;
    out->is_no_operator = (roles & ROLES_OPERATING) == 0;
    if (!has_memory)
        rights_clear(out);
    return has_memory;
}
