/* SPDX-License-Identifier: Apache-2.0
 *
 * Transaction ids: made as in the ULID specification (monotonic, by random steps), checked against
 * types.h.
 */
#include "clock.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <tercet/types.h>

#define RANDOM_SIZE 10u   /* 80 bits */
#define STEP_SIZE 7u      /* 56 bits */
#define TIME_DIGITS 10u   /* 48 bits */
#define RANDOM_DIGITS 16u /* 80 bits */

/* The last gid made. */
static struct {
    pthread_mutex_t lock;
    uint64_t time_ms;
    uint8_t random[RANDOM_SIZE]; /* a number, most significant byte first */
} last = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void before_fork(void)
{
    pthread_mutex_lock(&last.lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&last.lock);
}

/* A child that counted on from its parent's last gid would make the parent's next one. */
static void after_fork_in_child(void)
{
    last.time_ms = 0;
    pthread_mutex_unlock(&last.lock);
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

static void draw_random(uint8_t *random, size_t size)
{
    size_t have = 0;
    while (have < size) {
        ssize_t n = getrandom(random + have, size - have, 0);
        assert(n > 0 || errno == EINTR);
        if (n > 0)
            have += (size_t)n;
    }
}

/* Adds a random number from 1 to 2^56, so that who knows one gid cannot guess the next; false when
 * that was too much, and the sum has been cut. */
static bool advance_random(uint8_t random[RANDOM_SIZE])
{
    uint8_t step[RANDOM_SIZE] = {0};
    unsigned carry = 1;
    draw_random(step + RANDOM_SIZE - STEP_SIZE, STEP_SIZE);
    for (size_t i = RANDOM_SIZE; i > 0; i--) {
        unsigned sum = (unsigned)random[i - 1] + step[i - 1] + carry;
        random[i - 1] = (uint8_t)sum;
        carry = sum >> 8;
    }
    return carry == 0;
}

/* Moves `last` on: to the present, or within its millisecond when the clock stands still or was set
 * back. */
static void advance_last(void)
{
    uint64_t now = (uint64_t)clock_wall_ms();
    if (now > last.time_ms) {
        last.time_ms = now;
        draw_random(last.random, RANDOM_SIZE);
    } else if (!advance_random(last.random)) {
        last.time_ms++;
        draw_random(last.random, RANDOM_SIZE);
    }
}

/* Writes `value`'s lowest 5 * digits bits as Crockford base32, which has no I, L, O and U. */
static void encode_base32(char *out, uint64_t value, size_t digits)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    for (size_t i = digits; i > 0; i--) {
        out[i - 1] = alphabet[value & 31];
        value >>= 5;
    }
}

static uint64_t big_endian(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

void tercet_gid_make(struct tercet_gid *out)
{
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&last.lock);
    advance_last();
    encode_base32(out->text, last.time_ms, TIME_DIGITS);
    encode_base32(out->text + TIME_DIGITS, big_endian(last.random, 5), RANDOM_DIGITS / 2);
    encode_base32(out->text + TIME_DIGITS + RANDOM_DIGITS / 2, big_endian(last.random + 5, 5),
                  RANDOM_DIGITS / 2);
    pthread_mutex_unlock(&last.lock);
    out->text[TIME_DIGITS + RANDOM_DIGITS] = '\0';
}

/* Not isalnum(): that one depends on the locale. */
static bool is_gid_character(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._:-", c) != NULL);
}

int tercet_gid_set(struct tercet_gid *out, const char *text)
{
    size_t size = 0;
    if (text == NULL)
        return TERCET_INVALID;
    while (size <= TERCET_GID_MAX && is_gid_character(text[size]))
        size++;
    if (size == 0 || size > TERCET_GID_MAX || text[size] != '\0')
        return TERCET_INVALID;
    memmove(out->text, text, size + 1);
    return 0;
}
