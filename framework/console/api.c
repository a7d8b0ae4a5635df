/* SPDX-License-Identifier: Apache-2.0
 *
 * What the pages ask: a thin shell over the service Admin, with the token of whoever is signed in.
 * Everything is a POST with a header that no foreign page can send without being asked first.
 */
#include "json.h"
#include "parts.h"
#include "session.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/v1/tercet.pb-c.h>

#define COOKIE "tercet_session"
#define COOKIE_OF_TLS "__Host-tercet_session" /* which the browser binds to HTTPS and this host */

static const char *cookie_name(const struct request *request)
{
    return request->console->has_tls ? COOKIE_OF_TLS : COOKIE;
}

static const char *session_id(const struct request *request)
{
    const char *id =
        MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, cookie_name(request));
    return id != NULL ? id : "";
}

bool request_session(const struct request *request, struct session *out)
{
    return sessions_find(request->console->sessions, session_id(request), out);
}

/* -- Answers ----------------------------------------------------------------------------------- */

/* Takes the JSON over. */
static struct MHD_Response *response_of(cJSON *json)
{
    char *text = json != NULL ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    struct MHD_Response *response =
        text != NULL ? reply_new("application/json; charset=utf-8", text, strlen(text)) : NULL;
    cJSON_free(text);
    return response;
}

static enum MHD_Result reply_json(const struct request *request, unsigned status, cJSON *json)
{
    return reply_send(request, status, response_of(json));
}

static enum MHD_Result reply_error(const struct request *request, unsigned status, const char *code,
                                   const char *text)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "code", code);
    cJSON_AddStringToObject(json, "error", text);
    return reply_json(request, status, json);
}

/* -- Signing in and out ------------------------------------------------------------------------ */

/* "" also removes it. */
static enum MHD_Result reply_with_cookie(const struct request *request, const char *id)
{
    char cookie[256];
    struct MHD_Response *response = response_of(cJSON_CreateObject());
    snprintf(cookie, sizeof(cookie), "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s",
             cookie_name(request), id, id[0] != '\0' ? SESSION_AGE_MS_MAX / 1000 : 0,
             request->console->has_tls ? "; Secure" : "");
    if (response != NULL)
        MHD_add_response_header(response, "Set-Cookie", cookie);
    return reply_send(request, MHD_HTTP_OK, response);
}

/* One word of printable ASCII, as it is said in a header. */
static bool take_token(struct session *out, const cJSON *json)
{
    const char *token = cJSON_GetStringValue(cJSON_GetObjectItem(json, "token"));
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(json, "name"));
    memset(out, 0, sizeof(*out));
    if (name != NULL)
        snprintf(out->name, sizeof(out->name), "%s", name);
    if (token == NULL || strlen(token) >= sizeof(out->token) || token[0] == '\0')
        return false;
    for (const char *c = token; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~')
            return false;
    strcpy(out->token, token);
    return true;
}

/* Who may see the statistics may sign in; what else he may, the coordinator says each time. */
static int try_caller(struct console *console, const struct link_caller *caller, char *text)
{
    const Tercet__V1__StatisticsRequest none = TERCET__V1__STATISTICS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    int code = link_call(&reply, console, &tercet__v1__admin__descriptor, "GetStatistics",
                         &none.base, caller, text);
    crpc_message_free(reply);
    return code;
}

/* Whether the certificate that was shown is enough: `names` are its, NAMES_SIZE bytes. */
static bool is_in_by_certificate(const struct request *request, char *names)
{
    char text[CRPC_STATUS_TEXT_MAX + 1];
    struct link_caller caller = {.token = NULL};
    certificate_names(caller.names, request);
    strcpy(names, caller.names);
    return names[0] != '\0' && try_caller(request->console, &caller, text) == CRPC_OK;
}

static enum MHD_Result sign_in(const struct request *request, const cJSON *json)
{
    char text[CRPC_STATUS_TEXT_MAX + 1], id[SESSION_ID_SIZE];
    struct session session;
    if (!take_token(&session, json))
        return reply_error(request, MHD_HTTP_BAD_REQUEST, "INVALID_ARGUMENT",
                           "a token is one word of printable ASCII");
    const struct link_caller caller = {.token = session.token};
    int code = try_caller(request->console, &caller, text);
    if (code != CRPC_OK)
        return reply_error(request, link_http_status(code), crpc_code_name(code), text);
    if (!sessions_begin(request->console->sessions, &session, id))
        return reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE, "UNAVAILABLE",
                           "no session can be made");
    return reply_with_cookie(request, id);
}

static enum MHD_Result tell_session(const struct request *request)
{
    struct session session = {.name = ""};
    char names[NAMES_SIZE] = "";
    const bool has_access = request->console->has_access;
    const bool has_session = has_access && request_session(request, &session);
    const bool has_certificate = has_access && !has_session && is_in_by_certificate(request, names);
    cJSON *json = cJSON_CreateObject();
    names[has_certificate ? strcspn(names, " ") : 0] = '\0';
    cJSON_AddBoolToObject(json, "needs_token", has_access && !has_certificate);
    cJSON_AddBoolToObject(json, "signed_in", !has_access || has_session || has_certificate);
    cJSON_AddStringToObject(json, "name", has_certificate ? names : session.name);
    explicit_bzero(&session, sizeof(session));
    return reply_json(request, MHD_HTTP_OK, json);
}

/* -- The service Admin ------------------------------------------------------------------------- */

static const struct method {
    const char *name;
    const ProtobufCMessageDescriptor *request;
    bool is_action; /* it changes something: it is written down */
} methods[] = {
    {"List", &tercet__v1__list_request__descriptor, false},
    {"Show", &tercet__v1__get_request__descriptor, false},
    {"ListParticipants", &tercet__v1__list_participants_request__descriptor, false},
    {"GetStatistics", &tercet__v1__statistics_request__descriptor, false},
    {"ListAudit", &tercet__v1__list_audit_request__descriptor, false},
    {"Retry", &tercet__v1__retry_request__descriptor, true},
    {"Settle", &tercet__v1__settle_request__descriptor, true},
    {"Decide", &tercet__v1__decide_request__descriptor, true},
    {"Pause", &tercet__v1__pause_request__descriptor, true},
};

static const struct method *find_method(const char *name)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    return NULL;
}

static void describe_peer(char out[48], const struct request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info != NULL ? info->client_addr : NULL;
    if (address == NULL || getnameinfo(address,
                                       address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                                      : sizeof(struct sockaddr_in),
                                       out, 48, NULL, 0, NI_NUMERICHOST) != 0)
        strcpy(out, "?");
}

/* Where the message has a field of that name and type; NULL: it has none. */
static const void *field_of(const ProtobufCMessage *message, const char *name, ProtobufCType type)
{
    const ProtobufCFieldDescriptor *field =
        message != NULL ? protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name)
                        : NULL;
    const bool is_it =
        field != NULL && field->type == type && field->label != PROTOBUF_C_LABEL_REPEATED;
    return is_it ? (const uint8_t *)message + field->offset : NULL;
}

static const char *text_of(const ProtobufCMessage *message, const char *name)
{
    char *const *text = field_of(message, name, PROTOBUF_C_TYPE_STRING);
    return text != NULL ? *text : "";
}

static bool is_set(const ProtobufCMessage *message, const char *name)
{
    const protobuf_c_boolean *flag = field_of(message, name, PROTOBUF_C_TYPE_BOOL);
    return flag != NULL && *flag;
}

/* What it was done to: a service, or a transaction, and a branch of it. */
static void describe_object(char *out, size_t size, const ProtobufCMessage *message)
{
    const uint32_t *branch = field_of(message, "branch", PROTOBUF_C_TYPE_UINT32);
    const char *service = text_of(message, "service");
    if (service[0] != '\0')
        snprintf(out, size, "%s", service);
    else if (branch != NULL && *branch > 0)
        snprintf(out, size, "%s branch %u", text_of(message, "gid"), *branch);
    else
        snprintf(out, size, "%s", text_of(message, "gid"));
}

/* In the words of tercetctl. */
static const char *action_of(const struct method *method, const ProtobufCMessage *message)
{
    if (strcmp(method->name, "Decide") == 0)
        return is_set(message, "confirm") ? "confirm" : "cancel";
    if (strcmp(method->name, "Pause") == 0)
        return is_set(message, "paused") ? "pause" : "resume";
    return strcmp(method->name, "Settle") == 0 ? "settle" : "retry";
}

/* What was sent, or of what is refused as much as was understood (NULL: nothing): a line of the
 * log. What the coordinator did or refused is in its audit log, too. */
static void write_down(const struct request *request, const struct method *method,
                       const ProtobufCMessage *message, const char *says, int code,
                       const char *text)
{
    char line[4 * TERCET_TEXT_MAX], object[TERCET_GID_MAX + 32];
    const char *reason = text_of(message, "reason");
    if (request->console->on_log == NULL)
        return;
    describe_object(object, sizeof(object), message);
    snprintf(line, sizeof(line), "%s: %s %s%s%.256s: %s%s%.256s", says, action_of(method, message),
             object, reason[0] != '\0' ? ", " : "", reason, crpc_code_name(code),
             code != CRPC_OK ? ": " : "", code != CRPC_OK ? text : "");
    request->console->on_log(TERCET_LOG_WARNING, line, NULL);
}

/* Who acts, as the audit log has it: the name that was given, and the browser's address. */
static void say_who(char out[TERCET_TEXT_MAX], const struct request *request,
                    const struct session *session, const char *names)
{
    char peer[48];
    describe_peer(peer, request);
    if (session->name[0] != '\0')
        snprintf(out, TERCET_TEXT_MAX, "console: %s at %s", session->name, peer);
    else if (names[0] != '\0')
        snprintf(out, TERCET_TEXT_MAX, "console: %.*s at %s", (int)strcspn(names, " "), names,
                 peer);
    else
        snprintf(out, TERCET_TEXT_MAX, "console: somebody at %s", peer);
}

static enum MHD_Result call_admin(const struct request *request, const char *name,
                                  const cJSON *json, const struct session *session)
{
    const struct method *method = find_method(name);
    char text[CRPC_STATUS_TEXT_MAX + 1] = "", says[TERCET_TEXT_MAX];
    struct link_caller caller = {.token = session->token[0] != '\0' ? session->token : NULL,
                                 .says = says};
    struct json_request made;
    ProtobufCMessage *reply = NULL;
    if (method == NULL)
        return reply_error(request, MHD_HTTP_NOT_FOUND, "UNIMPLEMENTED",
                           "the console has no such call");
    certificate_names(caller.names, request);
    say_who(says, request, session, caller.names);
    const char *wrong = json_take(&made, method->request, json);
    int code = CRPC_INVALID_ARGUMENT;
    if (wrong == NULL)
        code = link_call(&reply, request->console, &tercet__v1__admin__descriptor, method->name,
                         made.message, &caller, text);
    if (method->is_action)
        write_down(request, method, made.message, says, code, wrong != NULL ? wrong : text);
    json_clear(&made);
    if (code != CRPC_OK)
        return reply_error(request, link_http_status(code), crpc_code_name(code),
                           wrong != NULL ? wrong : text);
    cJSON *out = json_of_message(reply, NULL);
    crpc_message_free(reply);
    return reply_json(request, MHD_HTTP_OK, out);
}

/* -- Who asks ---------------------------------------------------------------------------------- */

/* Whether a page of this server asks: a foreign one cannot send the header without asking first
 * whether it may (CORS), which nobody here answers; and says where it is from. */
static bool is_our_page(const struct request *request)
{
    const char *host = request_header(request, "Host");
    const char *origin = request_header(request, "Origin");
    const char *site = request_header(request, "Sec-Fetch-Site");
    char ours[256];
    if (request_header(request, "X-Tercet-Console") == NULL || host == NULL)
        return false;
    if (site != NULL && strcmp(site, "same-origin") != 0)
        return false;
    snprintf(ours, sizeof(ours), "%s://%s", request->console->has_tls ? "https" : "http", host);
    return origin == NULL || strcmp(origin, ours) == 0;
}

static enum MHD_Result answer(const struct request *request, const char *what, const cJSON *json)
{
    static const char prefix[] = "Admin/";
    struct session session = {.name = ""};
    if (strcmp(what, "session") == 0)
        return tell_session(request);
    if (strcmp(what, "sign-in") == 0)
        return sign_in(request, json);
    if (strcmp(what, "sign-out") == 0) {
        sessions_end(request->console->sessions, session_id(request));
        return reply_with_cookie(request, "");
    }
    char names[NAMES_SIZE];
    certificate_names(names, request);
    if (!request_session(request, &session) && request->console->has_access && names[0] == '\0')
        return reply_error(request, MHD_HTTP_UNAUTHORIZED, "UNAUTHENTICATED", "sign in first");
    enum MHD_Result rc;
    if (strncmp(what, prefix, sizeof(prefix) - 1) == 0)
        rc = call_admin(request, what + sizeof(prefix) - 1, json, &session);
    else
        rc = reply_error(request, MHD_HTTP_NOT_FOUND, "UNIMPLEMENTED", "there is nothing here");
    explicit_bzero(&session, sizeof(session));
    return rc;
}

enum MHD_Result serve_api(const struct request *request)
{
    if (!is_our_page(request))
        return reply_error(request, MHD_HTTP_FORBIDDEN, "PERMISSION_DENIED",
                           "only pages of this server may ask this (X-Tercet-Console, Origin)");
    cJSON *json = cJSON_ParseWithLength(request->body != NULL ? request->body : "{}",
                                        request->body != NULL ? request->body_size : 2);
    if (!cJSON_IsObject(json)) {
        cJSON_Delete(json);
        return reply_error(request, MHD_HTTP_BAD_REQUEST, "INVALID_ARGUMENT",
                           "a JSON object is wanted");
    }
    enum MHD_Result rc = answer(request, request->path + strlen("/api/"), json);
    cJSON_Delete(json);
    return rc;
}
