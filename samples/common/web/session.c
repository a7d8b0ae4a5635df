/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: "user.role.until.signature" in a cookie, by HMAC-SHA-256. The CSRF token is another
 * signature of the same text, so a page of ours has it and no other page can make it.
 */
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "parts.h"

#define COOKIE "session"

static void sign(char out[WEB_MAC_SIZE], const struct web *web, const char *purpose,
                 const char *text)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    char whole[WEB_SESSION_SIZE + 16];
    int length = snprintf(whole, sizeof(whole), "%s:%s", purpose, text);
    HMAC(EVP_sha256(), web->options.secret, WEB_SECRET_BYTES, (const unsigned char *)whole,
         (size_t)length, mac, &size);
    for (unsigned i = 0; i < size && 2 * i + 2 < WEB_MAC_SIZE; i++)
        snprintf(out + 2 * i, 3, "%02x", mac[i]);
}

void session_write(char out[WEB_SESSION_SIZE], const struct web *web, int64_t user, int64_t role,
                   int64_t until)
{
    char mac[WEB_MAC_SIZE], text[WEB_SESSION_SIZE - WEB_MAC_SIZE - 1];
    snprintf(text, sizeof(text), "%" PRId64 ".%" PRId64 ".%" PRId64, user, role, until);
    sign(mac, web, "session", text);
    snprintf(out, WEB_SESSION_SIZE, "%s.%s", text, mac);
}

int session_check(const struct web *web, const char *text, int64_t now, int64_t *user,
                  int64_t *role)
{
    char own[WEB_SESSION_SIZE];
    int64_t said_user, said_role, until;
    if (sscanf(text, "%" SCNd64 ".%" SCNd64 ".%" SCNd64 ".", &said_user, &said_role, &until) != 3)
        return -1;
    session_write(own, web, said_user, said_role, until);
    if (strlen(own) != strlen(text) || CRYPTO_memcmp(own, text, strlen(own)) != 0 || now >= until)
        return -1;
    *user = said_user;
    *role = said_role;
    return 0;
}

void session_read(struct web_request *request)
{
    const char *cookie = MHD_lookup_connection_value(request->connection, MHD_COOKIE_KIND, COOKIE);
    if (cookie == NULL || strlen(cookie) >= WEB_SESSION_SIZE ||
        session_check(request->web, cookie, time(NULL), &request->user, &request->role) != 0)
        return;
    sign(request->csrf, request->web, "csrf", cookie);
}

static void set_cookie(struct web_request *request, const char *value, int seconds)
{
    snprintf(request->cookie, sizeof(request->cookie),
             COOKIE "=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s", value, seconds,
             request->web->options.is_behind_tls ? "; Secure" : "");
}

void web_sign_in(struct web_request *request, int64_t user, int64_t role)
{
    char value[WEB_SESSION_SIZE];
    session_write(value, request->web, user, role, time(NULL) + WEB_SESSION_SECONDS);
    set_cookie(request, value, WEB_SESSION_SECONDS);
    request->user = user;
    request->role = role;
    sign(request->csrf, request->web, "csrf", value);
}

void web_sign_out(struct web_request *request)
{
    set_cookie(request, "", 0);
}

int64_t web_user(const struct web_request *request)
{
    return request->user;
}

int64_t web_role(const struct web_request *request)
{
    return request->role;
}

const char *web_csrf(const struct web_request *request)
{
    return request->csrf;
}
