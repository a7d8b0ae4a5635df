/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificate that a client of the HTTP port has shown. GnuTLS asks for one and takes any, or
 * none: it is verified here, and its names are read as crpc does at the gRPC ports.
 */
#include "parts.h"

#include <ctype.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

#define NAME_SIZE 256

/* -- Whether it is one to trust ---------------------------------------------------------------- */

/* Signed by the CA, in its time, and made for clients. */
static bool is_trusted(gnutls_session_t session)
{
    unsigned status = 0;
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    return gnutls_certificate_verify_peers(session, &purpose, 1, &status) == 0 && status == 0;
}

static bool load(gnutls_x509_crt_t *out, gnutls_session_t session)
{
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    if (chain == NULL || count == 0 || gnutls_x509_crt_init(out) != 0)
        return false;
    if (gnutls_x509_crt_import(*out, &chain[0], GNUTLS_X509_FMT_DER) == 0)
        return true;
    gnutls_x509_crt_deinit(*out);
    return false;
}

/* -- Its names --------------------------------------------------------------------------------- */

/* Nothing that could be read as a typed name, a list, or two names. */
static bool is_dns_char(unsigned char c)
{
    return isalnum(c) || c == '-' || c == '_' || c == '.' || c == '*';
}

static bool is_text_char(unsigned char c)
{
    return c > ' ' && c < 0x7f;
}

static void add_name(char *names, int type, const char *name, size_t size)
{
    static const struct {
        const char *prefix;
        bool (*is_wanted)(unsigned char);
    } kinds[] = {[GNUTLS_SAN_DNSNAME] = {"", is_dns_char},
                 [GNUTLS_SAN_RFC822NAME] = {"email:", is_text_char},
                 [GNUTLS_SAN_URI] = {"uri:", is_text_char}};
    const size_t used = strlen(names);
    if (type < 0 || (size_t)type >= sizeof(kinds) / sizeof(kinds[0]) ||
        kinds[type].prefix == NULL || size == 0)
        return;
    for (size_t i = 0; i < size; i++)
        if (!kinds[type].is_wanted((unsigned char)name[i]))
            return;
    if (used + 1 + strlen(kinds[type].prefix) + size >= NAMES_SIZE)
        return; /* nobody gains a right by that */
    char *end = stpcpy(names + used, used > 0 ? " " : "");
    end = stpcpy(end, kinds[type].prefix);
    memcpy(end, name, size);
    end[size] = '\0';
}

static void read_names(char out[NAMES_SIZE], gnutls_x509_crt_t certificate)
{
    for (unsigned i = 0;; i++) {
        char name[NAME_SIZE];
        size_t size = sizeof(name);
        int type = gnutls_x509_crt_get_subject_alt_name(certificate, i, name, &size, NULL);
        if (type == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
            return;
        add_name(out, type, name, size);
    }
}

void certificate_names(char out[NAMES_SIZE], const struct request *request)
{
    gnutls_x509_crt_t certificate;
    out[0] = '\0';
    if (!request->console->asks_certificates)
        return;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = info != NULL ? (gnutls_session_t)info->tls_session : NULL;
    if (session == NULL || !is_trusted(session) || !load(&certificate, session))
        return;
    read_names(out, certificate);
    gnutls_x509_crt_deinit(certificate);
}
