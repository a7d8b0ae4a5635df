/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets: the key of the sessions, kept in a file, and passwords, kept as hashes.
 */
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "web.h"

/* A hash costs much memory and time on purpose: strangers cannot have many at once. */
static pthread_mutex_t hashing = PTHREAD_MUTEX_INITIALIZER;

static int make_secret(unsigned char secret[WEB_SECRET_BYTES], const char *path)
{
    if (getrandom(secret, WEB_SECRET_BYTES, 0) != WEB_SECRET_BYTES)
        return -1;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int rc = write(fd, secret, WEB_SECRET_BYTES) == WEB_SECRET_BYTES && fsync(fd) == 0 ? 0 : -1;
    close(fd);
    return rc;
}

int web_secret_load(unsigned char secret[WEB_SECRET_BYTES], const char *path, char *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int rc = -1;
    if (fd >= 0) {
        rc = read(fd, secret, WEB_SECRET_BYTES) == WEB_SECRET_BYTES ? 0 : -1;
        close(fd);
    } else if (errno == ENOENT) {
        rc = make_secret(secret, path);
    }
    if (rc != 0)
        snprintf(text, WEB_TEXT_MAX, "%.180s: no secret of %d bytes can be read or written there",
                 path, WEB_SECRET_BYTES);
    return rc;
}

/* The hash of a password with these settings into `hash`; 0, or -1. */
static int hash_with(char hash[WEB_HASH_SIZE], const char *password, const char *settings)
{
    struct crypt_data *data = calloc(1, sizeof(*data));
    if (data == NULL)
        return -1;
    pthread_mutex_lock(&hashing);
    const char *made = crypt_rn(password, settings, data, sizeof(*data));
    pthread_mutex_unlock(&hashing);
    if (made != NULL)
        snprintf(hash, WEB_HASH_SIZE, "%s", made);
    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return made != NULL ? 0 : -1;
}

int web_password_hash(char hash[WEB_HASH_SIZE], const char *password)
{
    char settings[CRYPT_GENSALT_OUTPUT_SIZE];
    if (crypt_gensalt_rn("$y$", 0, NULL, 0, settings, sizeof(settings)) == NULL)
        return -1;
    return hash_with(hash, password, settings);
}

bool web_password_matches(const char *password, const char *hash)
{
    char made[WEB_HASH_SIZE] = "";
    if (hash[0] == '\0') { /* nobody of this name: it takes as long to say so */
        web_password_hash(made, password);
        return false;
    }
    return hash_with(made, password, hash) == 0 && strlen(made) == strlen(hash) &&
           CRYPTO_memcmp(made, hash, strlen(hash)) == 0;
}
