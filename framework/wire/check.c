/* SPDX-License-Identifier: Apache-2.0
 *
 * check.h
 */
#include "check.h"

#include <crpc/crpc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TERCET_TARGET_MAX 256 /* characters of a participant's address */
#define STRINGIFY(x) #x
#define NUMBER(x) STRINGIFY(x)

static bool is_id_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

const char *check_gid(const char *gid)
{
    size_t n = 0;
    for (; gid[n] != '\0' && n <= TERCET_GID_MAX; n++)
        if (!is_id_character(gid[n]) && gid[n] != ':')
            return "a gid is made of the characters A-Z a-z 0-9 . _ : -";
    if (n == 0)
        return "the gid is empty: give the transaction's id";
    if (n > TERCET_GID_MAX)
        return "a gid has at most 64 characters";
    return NULL;
}

/* The length of a name made of id characters, ending at NUL or '/'. */
static size_t name_length(const char *name)
{
    size_t n = 0;
    while (is_id_character(name[n]))
        n++;
    return n;
}

const char *check_service(const char *service)
{
    size_t n = name_length(service);
    if (n == 0 || service[n] != '\0')
        return "a service's name is 1 to 63 of the characters A-Z a-z 0-9 . _ -";
    if (n > TERCET_SERVICE_MAX)
        return "a service's name has at most 63 characters";
    return NULL;
}

const char *check_action_name(const char *name)
{
    size_t n = name_length(name);
    if (n == 0 || name[n] != '\0')
        return "an action's name is 1 to 64 of the characters A-Z a-z 0-9 . _ -, without the "
               "service";
    if (n > TERCET_ACTION_MAX - TERCET_SERVICE_MAX - 1)
        return "an action's name has at most 64 characters";
    return NULL;
}

const char *check_action(const char *action)
{
    size_t n = name_length(action);
    if (n == 0 || action[n] != '/')
        return "an action is \"service/name\", such as \"inventory/reserve\"";
    if (n > TERCET_SERVICE_MAX)
        return "a service's name has at most 63 characters";
    return check_action_name(action + n + 1);
}

static bool ends_with_port(const char *target)
{
    const char *colon = strrchr(target, ':');
    size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
    return digits >= 1 && digits <= 5 && colon[1 + digits] == '\0' && colon > target &&
           colon[-1] != '/' && strtoul(colon + 1, NULL, 10) <= 65535;
}

/* What comes before a host: nothing, or one of gRPC's schemes. Of others, such as "http:", gRPC
 * would make a host's name. */
static bool has_known_scheme(const char *target)
{
    static const char *const schemes[] = {"dns:", "ipv4:", "ipv6:"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncmp(target, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return strchr(target, '/') == NULL &&
           (target[0] == '[' || strchr(target, ':') == strrchr(target, ':'));
}

const char *check_target(const char *target)
{
    size_t size = strlen(target);
    bool is_path = strncmp(target, "unix:", 5) == 0 && size > 5;
    if (size > TERCET_TARGET_MAX)
        return "a target has at most " NUMBER(TERCET_TARGET_MAX) " characters";
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)target[i] <= ' ' || (unsigned char)target[i] > '~')
            return "a target is printable ASCII without spaces";
    return is_path || (has_known_scheme(target) && ends_with_port(target))
               ? NULL
               : "a target is host:port, dns:///host:port or unix:/path (no http:// or https://: "
                 "whether it is called with TLS is an option of the coordinator, --call-tls-ca)";
}

const char *check_payload_size(size_t size)
{
    return size > TERCET_PAYLOAD_MAX ? "a branch's payload has at most 65536 bytes" : NULL;
}

const char *check_branch_number(uint32_t number)
{
    if (number == 0 || number > TERCET_BRANCHES_MAX)
        return "a branch's number is 1 to " NUMBER(TERCET_BRANCHES_MAX);
    return NULL;
}

static bool is_metadata_key(const char *key)
{
    size_t n = 0;
    for (; key[n] != '\0'; n++) {
        char c = key[n];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'))
            return false;
    }
    return n > 0 && strncmp(key, "grpc-", 5) != 0 && strncmp(key, "tercet-", 7) != 0;
}

const char *check_metadata_entry(const char *key, const char *value)
{
    if (!is_metadata_key(key))
        return "a metadata key is made of a-z 0-9 _ . - and does not begin with \"grpc-\" or "
               "\"tercet-\"";
    for (size_t i = 0; value[i] != '\0'; i++)
        if ((unsigned char)value[i] < 0x20 || (unsigned char)value[i] > 0x7e)
            return "a metadata value is printable ASCII";
    return NULL;
}

const char *check_token(const char *token)
{
    for (size_t i = 0; token[i] != '\0'; i++)
        if (i == CHECK_TOKEN_MAX || token[i] <= 0x20 || (unsigned char)token[i] > 0x7e)
            return "a token is at most 255 printable ASCII characters without spaces";
    return NULL;
}

bool check_is_trace(const char *key)
{
    return strcmp(key, "traceparent") == 0 || strcmp(key, "tracestate") == 0 ||
           strcmp(key, "baggage") == 0;
}

const char *check_metadata_size(size_t entry_count, size_t byte_count)
{
    if (entry_count > TERCET_METADATA_MAX)
        return "a transaction has at most " NUMBER(TERCET_METADATA_MAX) " metadata entries";
    if (byte_count > TERCET_METADATA_BYTES_MAX)
        return "a transaction's metadata has at most " NUMBER(TERCET_METADATA_BYTES_MAX) " bytes";
    return NULL;
}

const char *check_text(const char *text)
{
    size_t size = strlen(text);
    if (size > TERCET_TEXT_MAX)
        return "a text has at most 256 bytes";
    if (!crpc_is_text(text, size))
        return "a text is UTF-8";
    return NULL;
}

/* -- TLS --------------------------------------------------------------------------------------- */

static const char *check_pair(const char *cert, const char *key)
{
    return (cert == NULL) != (key == NULL) ? "tls_cert and tls_key belong together" : NULL;
}

const char *check_tls_server(const char *ca, const char *cert, const char *key)
{
    const char *why = check_pair(cert, key);
    return why == NULL && ca != NULL && cert == NULL ? "tls_ca needs tls_cert and tls_key" : why;
}

const char *check_tls_client(const char *ca, const char *cert, const char *key)
{
    const char *why = check_pair(cert, key);
    return why == NULL && ca == NULL && cert != NULL
               ? "tls_cert and tls_key need tls_ca (\"\" means the system's roots)"
               : why;
}
