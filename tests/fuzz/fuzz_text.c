/* SPDX-License-Identifier: Apache-2.0
 *
 * Text from outside: addresses, access rules, ids, names, metadata. The first byte chooses what the
 * rest is taken for. A check that passes is compared with what it promises, told again in other
 * words.
 */
#include "access.h"
#include "address.h"
#include "check.h"
#include "fuzz.h"
#include "reach.h"

#include <ctype.h>
#include <tercet/v1/tercet.pb-c.h>

static bool is_made_of(const char *text, size_t size, const char *more)
{
    for (size_t i = 0; i < size; i++)
        if (!isalnum((unsigned char)text[i]) && strchr(more, text[i]) == NULL)
            return false;
    return size > 0;
}

static void check_address(const char *text)
{
    const char *path = address_unix_path(text);
    const char *host = address_host_port(text);
    MUST(path == NULL ||
         (strncmp(text, "unix:", 5) == 0 && path > text && path <= text + strlen(text)));
    if (host != NULL) {
        const char *port = strrchr(host, ':') + 1;
        MUST(host >= text && port > host + 1 && atol(port) <= 65535 &&
             is_made_of(port, strlen(port), ""));
    }
    reach_is_local(text);
}

/* Two words, the second a token long enough or an identity, and perhaps whose it is; nothing, or a
 * comment. The first may be long: "initiator:" and a name. */
static void check_rule(const char *line)
{
    char role[300], secret[300], name[300], more;
    int words = sscanf(line, "%299s %299s %299s %c", role, secret, name, &more);
    if (words > 0 && role[0] != '#')
        MUST((words == 2 ||
              (words == 3 && is_made_of(name, strlen(name), "_.@-") && strlen(name) <= 47)) &&
             (strlen(secret) >= 16 || strncmp(secret, "identity:", 9) == 0) &&
             strlen(secret) <= 255 && strlen(role) <= strlen("participant:") + 63);
}

static void check_access(const char *text)
{
    struct access *access = NULL;
    struct refusal no;
    int error = access_new(&access, text, &no);
    MUST((error == 0) == (access != NULL));
    MUST(error == 0 || (error == TERCET_INVALID && no.text[0] != '\0'));
    access_free(access);
    while (error == 0 && *text != '\0') {
        size_t size = strcspn(text, "\n");
        char *line = strndup(text, size);
        line[strcspn(line, "\r")] = '\0';
        check_rule(line);
        free(line);
        text += size + (text[size] != '\0');
    }
}

static void check_ids(const char *text)
{
    struct tercet_gid gid;
    size_t size = strlen(text);
    const char *wrong = check_gid(text);
    MUST((wrong == NULL) == (size <= 64 && is_made_of(text, size, "._:-")));
    MUST((wrong == NULL) == (tercet_gid_set(&gid, text) == 0));
    MUST(wrong != NULL || strcmp(gid.text, text) == 0);
    MUST((check_service(text) == NULL) == (size <= 63 && is_made_of(text, size, "._-")));
    MUST((check_action_name(text) == NULL) == (size <= 64 && is_made_of(text, size, "._-")));
}

static void check_actions(const char *text)
{
    const char *slash = strchr(text, '/');
    bool is_good = slash != NULL && (size_t)(slash - text) <= 63 &&
                   is_made_of(text, (size_t)(slash - text), "._-") &&
                   check_action_name(slash + 1) == NULL;
    MUST((check_action(text) == NULL) == is_good);
    MUST(!is_good || strlen(text) <= TERCET_ACTION_MAX);
}

static void check_texts(const char *text)
{
    char cut[TERCET_TEXT_MAX];
    size_t size = strlen(text);
    bool is_clean = crpc_is_text(text, size);
    MUST((check_text(text) == NULL) == (is_clean && size <= TERCET_TEXT_MAX));
    copy_text(cut, text);
    size_t cut_size = strlen(cut);
    MUST(strncmp(cut, text, cut_size) == 0 &&
         (cut_size == size || cut_size + 4 >= sizeof(cut) || !is_clean));
    MUST(!is_clean || crpc_is_text(cut, cut_size));
}

/* The decoder lets a string through exactly when crpc_is_text does. */
static void check_utf8(const uint8_t *data, size_t size)
{
    ProtobufCMessage *message = NULL;
    size_t text_size = size < 127 ? size : 127;
    uint8_t *bytes = malloc(text_size + 2);
    MUST(bytes != NULL);
    bytes[0] = 1 << 3 | 2; /* GetRequest.gid */
    bytes[1] = (uint8_t)text_size;
    memcpy(bytes + 2, data, text_size);
    int error = crpc_message_decode(&message, &tercet__v1__get_request__descriptor,
                                    (struct crpc_bytes){bytes, text_size + 2}, 0);
    MUST((error == 0) == crpc_is_text(data, text_size));
    crpc_message_free(message);
    free(bytes);
}

/* "key=value". */
static void check_metadata(char *text)
{
    char *value = strchr(text, '=');
    if (value == NULL)
        return;
    *value++ = '\0';
    if (check_metadata_entry(text, value) != NULL)
        return;
    MUST(is_made_of(text, strlen(text), "._-") && crpc_is_text(value, strlen(value)));
    for (size_t i = 0; text[i] != '\0'; i++)
        MUST(!isupper((unsigned char)text[i]));
    for (size_t i = 0; value[i] != '\0'; i++)
        MUST(isprint((unsigned char)value[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const checks[])(const char *) = {check_address, check_access, check_ids,
                                                   check_actions, check_texts};
    struct input input = {data, size};
    uint32_t choice = take_below(&input, sizeof(checks) / sizeof(checks[0]) + 1);
    check_utf8(input.at, input.size);
    char *text = take_text(&input);
    if (choice < sizeof(checks) / sizeof(checks[0]))
        checks[choice](text);
    else
        check_metadata(text);
    free(text);
    return 0;
}
