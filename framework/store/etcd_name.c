/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: what stands behind "etcd:".
 */
#include "etcd_store.h"

#include <stdlib.h>
#include <string.h>

#define LEASE_S_DEFAULT 5
#define LEASE_S_MIN 2 /* the smallest that etcd grants as it is set up by default */
#define LEASE_S_MAX 600

static const char example[] = "etcd://127.0.0.1:2379/tercet is meant, or with several members "
                              "etcd://a:2379,b:2379,c:2379/tercet";

static int add_endpoint(struct etcd_name *out, const char *endpoint, size_t size, char *text)
{
    const char *colon = memchr(endpoint, ':', size);
    if (size == 0 || size >= ETCD_ENDPOINT_SIZE || colon == NULL || colon == endpoint ||
        colon == endpoint + size - 1)
        return etcd_fail(text, TERCET_STORE_INVALID, "no HOST:PORT of an etcd member: %.*s: %s",
                         (int)(size < 64 ? size : 64), endpoint, example);
    if (out->endpoint_count == ETCD_ENDPOINTS_MAX)
        return etcd_fail(text, TERCET_STORE_INVALID, "at most %d members of etcd can be named",
                         ETCD_ENDPOINTS_MAX);
    memcpy(out->endpoints[out->endpoint_count], endpoint, size);
    out->endpoints[out->endpoint_count++][size] = '\0';
    return 0;
}

static int take_endpoints(struct etcd_name *out, const char *list, size_t size, char *text)
{
    int rc = 0;
    const char *end = list + size;
    while (rc == 0 && list <= end) {
        const char *comma = memchr(list, ',', (size_t)(end - list));
        const char *stop = comma != NULL ? comma : end;
        rc = add_endpoint(out, list, (size_t)(stop - list), text);
        list = stop + 1;
    }
    return rc;
}

static int take_prefix(struct etcd_name *out, const char *prefix, size_t size, char *text)
{
    while (size > 1 && prefix[size - 1] == '/')
        size--;
    if (size < 2 || size > ETCD_PREFIX_MAX)
        return etcd_fail(text, TERCET_STORE_INVALID,
                         "a prefix of 1 to %d characters is wanted, under which all keys are: %s",
                         ETCD_PREFIX_MAX - 1, example);
    for (size_t i = 0; i < size; i++)
        if (prefix[i] <= ' ' || prefix[i] > '~')
            return etcd_fail(text, TERCET_STORE_INVALID,
                             "a prefix is of printable ASCII without spaces: %s", example);
    memcpy(out->prefix, prefix, size);
    out->prefix[size] = '\0';
    return 0;
}

static int take_option(struct etcd_name *out, const char *option, size_t size, char *text)
{
    if (size == strlen("takeover=now") && memcmp(option, "takeover=now", size) == 0) {
        out->takes_over_now = true;
        return 0;
    }
    char *end;
    unsigned long seconds = 0;
    bool is_lease = size > 6 && memcmp(option, "lease=", 6) == 0;
    if (is_lease)
        seconds = strtoul(option + 6, &end, 10);
    if (!is_lease || *end != 's' || end + 1 != option + size || seconds < LEASE_S_MIN ||
        seconds > LEASE_S_MAX)
        return etcd_fail(text, TERCET_STORE_INVALID,
                         "not known: %.*s: there are lease=%ds to lease=%ds and takeover=now",
                         (int)(size < 64 ? size : 64), option, LEASE_S_MIN, LEASE_S_MAX);
    out->lease_s = (uint32_t)seconds;
    return 0;
}

static int take_options(struct etcd_name *out, const char *options, char *text)
{
    int rc = 0;
    while (rc == 0 && *options != '\0') {
        size_t size = strcspn(options, "&");
        rc = take_option(out, options, size, text);
        options += size;
        options += *options == '&';
    }
    return rc;
}

int etcd_name_parse(struct etcd_name *out, const char *name, char *text)
{
    memset(out, 0, sizeof(*out));
    out->lease_s = LEASE_S_DEFAULT;
    if (strncmp(name, "//", 2) != 0)
        return etcd_fail(text, TERCET_STORE_INVALID, "not the name of a store in etcd: %s",
                         example);
    name += 2;
    size_t size = strcspn(name, "?");
    const char *slash = memchr(name, '/', size);
    if (slash == NULL)
        return etcd_fail(text, TERCET_STORE_INVALID, "a prefix is wanted behind the members: %s",
                         example);
    int rc = take_endpoints(out, name, (size_t)(slash - name), text);
    if (rc == 0)
        rc = take_prefix(out, slash, (size_t)(name + size - slash), text);
    return rc == 0 && name[size] == '?' ? take_options(out, name + size + 1, text) : rc;
}
