/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of a certificate. gRPC gives all subject alternative names under one property, falls back
 * to the common name, and its texts are of a length, not NUL-terminated: a name with a NUL in it
 * must not be taken for what stands before it, nor an e-mail address for a host.
 */
#include "identity.h"

#include "util.h"

#include <ctype.h>
#include <grpc/grpc_security.h>
#include <grpc/grpc_security_constants.h>
#include <stdlib.h>
#include <string.h>

/* Nothing that could be read as a typed name, a list, or two names. */
static bool is_dns_char(unsigned char c)
{
    return isalnum(c) || c == '-' || c == '_' || c == '.' || c == '*';
}

static bool is_text_char(unsigned char c)
{
    return c > ' ' && c < 0x7f;
}

static bool is_made_of(const grpc_auth_property *name, bool (*is_wanted)(unsigned char))
{
    for (size_t i = 0; i < name->value_length; i++)
        if (!is_wanted((unsigned char)name->value[i]))
            return false;
    return name->value_length > 0;
}

/* Without memory the name is left out: nobody gains a right by that. */
static void add_name(struct identities *out, const char *prefix, const grpc_auth_property *name)
{
    size_t prefix_size = strlen(prefix);
    char **names = realloc(out->names, (out->count + 1) * sizeof(*names));
    if (names == NULL)
        return;
    out->names = names;
    char *text = malloc(prefix_size + name->value_length + 1);
    if (text == NULL)
        return;
    memcpy(text, prefix, prefix_size);
    memcpy(text + prefix_size, name->value, name->value_length);
    text[prefix_size + name->value_length] = '\0';
    names[out->count++] = text;
}

void identities_load(struct identities *out, grpc_call *core)
{
    static const struct {
        const char *property, *prefix;
        bool (*is_wanted)(unsigned char);
    } kinds[] = {{GRPC_PEER_DNS_PROPERTY_NAME, "", is_dns_char},
                 {GRPC_PEER_URI_PROPERTY_NAME, "uri:", is_text_char},
                 {GRPC_PEER_EMAIL_PROPERTY_NAME, "email:", is_text_char}};
    grpc_auth_context *context = grpc_call_auth_context(core);

    *out = (struct identities){NULL, 0};
    if (context == NULL)
        return;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        grpc_auth_property_iterator names =
            grpc_auth_context_find_properties_by_name(context, kinds[i].property);
        const grpc_auth_property *name;
        while ((name = grpc_auth_property_iterator_next(&names)) != NULL)
            if (is_made_of(name, kinds[i].is_wanted))
                add_name(out, kinds[i].prefix, name);
    }
    grpc_auth_context_release(context);
}

void identities_clear(struct identities *identities)
{
    for (size_t i = 0; i < identities->count; i++)
        free(identities->names[i]);
    free(identities->names);
    *identities = (struct identities){NULL, 0};
}
