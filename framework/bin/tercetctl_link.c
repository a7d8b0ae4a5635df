/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection to the coordinator, its calls, and what to tell a person when one fails.
 */
#include "tercetctl.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPLY_SIZE_MAX (64 * 1024 * 1024)
#define TIMEOUT_MS_DEFAULT 10000
#define PORT_DEFAULT "7420"
#define KEEPALIVE_MS 30000 /* a coordinator permits a ping in 5 s */

/* -- Opening ----------------------------------------------------------------------------------- */

/* What gRPC would log, the status of the call says too: a person should read it once. */
static void drop_log(bool is_error, const char *text, void *ctx)
{
    (void)is_error;
    (void)text;
    (void)ctx;
}

static char *read_text(const char *path)
{
    char *text = NULL;
    if (path != NULL && crpc_file_read(&text, path) != 0)
        ctl_misuse("%s: %s", path, strerror(errno));
    return text;
}

static bool is_token(const char *token)
{
    for (size_t i = 0; token[i] != '\0'; i++)
        if (!isgraph((unsigned char)token[i]))
            return false;
    return token[0] != '\0';
}

/* "Bearer TOKEN" from the file or the environment; NULL without one. */
static char *read_authorization(const struct ctl *ctl)
{
    char *file = read_text(ctl->token_file);
    char *token = file != NULL ? file : getenv("TERCET_TOKEN");
    if (token == NULL || (file == NULL && token[0] == '\0'))
        return NULL;
    if (file != NULL)
        file[strcspn(file, " \t\r\n")] = '\0';
    if (!is_token(token))
        ctl_misuse("%s: a token is one word of printable ASCII",
                   file != NULL ? ctl->token_file : "TERCET_TOKEN");
    char *authorization = ctl_format("Bearer %s", token);
    free(file);
    return authorization;
}

/* For the audit log: the account, and whose it is behind a sudo. */
static char *who_acts(void)
{
    const struct passwd *account = getpwuid(getuid());
    const char *sudo = getenv("SUDO_USER");
    char host[128] = "?";
    gethostname(host, sizeof(host) - 1);
    return ctl_format("tercetctl: %s%s%s at %s", account != NULL ? account->pw_name : "somebody",
                      sudo != NULL ? " for " : "", sudo != NULL ? sudo : "", host);
}

static struct crpc_tls read_tls(const struct ctl *ctl)
{
    struct crpc_tls tls = {.size = sizeof(tls)};
    tls.ca = read_text(ctl->ca_file);
    tls.cert = read_text(ctl->cert_file);
    tls.key = read_text(ctl->key_file);
    return tls;
}

/* "host" means the port at which a coordinator listens unless told otherwise. */
static char *with_port(const char *address)
{
    const char *slash = strrchr(address, '/');
    const char *host = slash != NULL ? slash + 1 : address;
    const char *end = host[0] == '[' ? strchr(host, ']') : host;
    if (strncmp(address, "unix:", 5) == 0 || end == NULL || strchr(end, ':') != NULL)
        return ctl_format("%s", address);
    return ctl_format("%s:" PORT_DEFAULT, address);
}

static void open_channel(struct ctl *ctl, const struct crpc_tls *tls)
{
    struct crpc_channel_options options = {
        .size = sizeof(options), .message_size_max = REPLY_SIZE_MAX, .keepalive_ms = KEEPALIVE_MS};
    if (tls->ca != NULL || tls->cert != NULL)
        options.tls = tls;
    int rc = crpc_channel_new(&ctl->channel, ctl->loop, ctl->coordinator, &options);
    if (rc == 0)
        return;
    crpc_loop_free(ctl->loop);
    ctl_misuse("%s: %s", ctl->coordinator, crpc_strerror(rc));
}

void ctl_open(struct ctl *ctl)
{
    struct crpc_loop_options options = {.size = sizeof(options), .on_log = drop_log};
    if (ctl->channel != NULL)
        return;
    ctl->coordinator = ctl->address = with_port(ctl->coordinator);
    ctl->authorization = read_authorization(ctl);
    ctl->says = who_acts();
    struct crpc_tls tls = read_tls(ctl);
    int rc = crpc_loop_new(&ctl->loop, &options);
    if (rc != 0)
        ctl_die(crpc_strerror(rc));
    open_channel(ctl, &tls);
    free((char *)tls.ca);
    free((char *)tls.cert);
    free((char *)tls.key);
}

void ctl_close(struct ctl *ctl)
{
    if (ctl->channel == NULL)
        return;
    crpc_channel_free(ctl->channel);
    crpc_loop_free(ctl->loop);
    free(ctl->authorization);
    free(ctl->says);
    free(ctl->address);
    for (size_t i = 0; i < ctl->metadata_count; i++)
        free(ctl->metadata[i].key);
}

/* -- Calling ----------------------------------------------------------------------------------- */

static void add_metadata(struct crpc_call_options *options, struct crpc_metadata *entries,
                         const char *key, const char *value)
{
    if (value == NULL)
        return;
    entries[options->metadata_count++] = (struct crpc_metadata){key, {value, strlen(value)}};
    options->metadata = entries;
}

struct crpc_call_options ctl_call_options(const struct ctl *ctl,
                                          struct crpc_metadata entries[CTL_METADATA_MAX],
                                          int64_t timeout_ms)
{
    struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = timeout_ms};
    add_metadata(&options, entries, "authorization", ctl->authorization);
    add_metadata(&options, entries, "tercet-operator-bin", ctl->says);
    return options;
}

int64_t ctl_timeout_ms(const struct ctl *ctl)
{
    return ctl->timeout_ms != 0 ? ctl->timeout_ms : TIMEOUT_MS_DEFAULT;
}

static int ask(ProtobufCMessage **reply, struct ctl *ctl, const ProtobufCServiceDescriptor *service,
               const char *method, const ProtobufCMessage *request, struct crpc_result *result)
{
    struct crpc_metadata entries[CTL_METADATA_MAX];
    ctl_open(ctl);
    struct crpc_call_options options = ctl_call_options(ctl, entries, ctl_timeout_ms(ctl));
    return crpc_unary(reply, ctl->channel, service, method, request, &options, result);
}

int ctl_ask(ProtobufCMessage **reply, struct ctl *ctl, const char *method,
            const ProtobufCMessage *request, struct crpc_result *result)
{
    return ask(reply, ctl, &tercet__v1__admin__descriptor, method, request, result);
}

int ctl_call(ProtobufCMessage **reply, struct ctl *ctl, const char *method,
             const ProtobufCMessage *request)
{
    return ctl_call_of(reply, ctl, &tercet__v1__admin__descriptor, method, request);
}

/* Whether the coordinator itself has said no: with the others, nobody knows what it has done. */
static bool is_judged(enum crpc_code code)
{
    return code == CRPC_INVALID_ARGUMENT || code == CRPC_UNAUTHENTICATED ||
           code == CRPC_PERMISSION_DENIED || code == CRPC_FAILED_PRECONDITION ||
           code == CRPC_NOT_FOUND || code == CRPC_ALREADY_EXISTS || code == CRPC_UNIMPLEMENTED;
}

int ctl_call_of(ProtobufCMessage **reply, struct ctl *ctl,
                const ProtobufCServiceDescriptor *service, const char *method,
                const ProtobufCMessage *request)
{
    struct crpc_result result = {0};
    int rc = ask(reply, ctl, service, method, request, &result);
    int status = rc == 0 ? 0 : ctl_explain(ctl, rc, &result);
    ctl->is_answered = rc == 0 || (rc == CRPC_ESTATUS && is_judged(result.code));
    crpc_result_clear(&result);
    return status;
}

/* -- Explaining -------------------------------------------------------------------------------- */

static void explain_unavailable(const struct ctl *ctl, const char *message)
{
    term_complain(
        "the coordinator at %s cannot be reached, or takes no calls now (UNAVAILABLE: %s)",
        ctl->coordinator, message);
    term_complain("is tercetd running there? The address comes from --coordinator or "
                  "TERCET_COORDINATOR; if tercetd has "
                  "TLS, give --tls-ca");
}

/* Of a call about a transaction, whose gid is known; the other texts say themselves what helps. */
static void advise_of_gid(const char *gid, enum crpc_code code)
{
    if (code == CRPC_FAILED_PRECONDITION)
        term_complain("look at it as it stands: tercetctl show %s", gid);
    if (code == CRPC_NOT_FOUND)
        term_complain("see tercetctl ls and tercetctl ls --resolved for what there is; resolved "
                      "transactions are forgotten after tercetd's --retention");
}

static const char *advice(enum crpc_code code)
{
    switch (code) {
    case CRPC_UNAUTHENTICATED:
        return "give a token with --token-file or TERCET_TOKEN (of the role reader, operator or "
               "admin; for run, of initiator), or a certificate with --tls-cert and --tls-key";
    case CRPC_PERMISSION_DENIED:
        return "this needs another role (reader looks, operator decides, initiator runs "
               "transactions, the role admin does all): "
               "see the file that tercetd was given with --access";
    case CRPC_UNIMPLEMENTED:
        return "is this a tercetd, and of the version of this program? See tercetctl stats and "
               "tercetctl --version";
    default:
        return NULL;
    }
}

int ctl_explain(const struct ctl *ctl, int rc, const struct crpc_result *result)
{
    if (rc != CRPC_ESTATUS) {
        term_complain("%s", crpc_strerror(rc));
        return EXIT_REFUSED;
    }
    if (result->code == CRPC_UNAVAILABLE) {
        explain_unavailable(ctl, result->message);
        return EXIT_REFUSED;
    }
    if (result->code == CRPC_DEADLINE_EXCEEDED) {
        term_complain("no answer from %s within %s: what was asked may have been done or not. "
                      "Asking again does no harm; "
                      "--timeout 1m waits longer",
                      ctl->coordinator, figure_duration(ctl_timeout_ms(ctl)).text);
        return EXIT_REFUSED;
    }
    term_complain("%s (%s)", result->message, crpc_code_name(result->code));
    if (advice(result->code) != NULL)
        term_complain("%s", advice(result->code));
    if (ctl->gid != NULL)
        advise_of_gid(ctl->gid, result->code);
    return EXIT_REFUSED;
}
