/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h.
 */
#include "server.h"

#include <clock.h>
#include <sys/random.h>
#include <time.h>

#include "location.h"

#define RETRY_MS_FIRST 100
#define RETRY_MS_LONGEST 2000

bool server_retry_is_due(const struct server_retry *retry)
{
    return retry->due_ms <= clock_monotonic_ms();
}

void server_retry_plan(struct server_retry *retry)
{
    uint16_t random = 0;
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = 0;
    retry->pause_ms = retry->pause_ms == 0 ? RETRY_MS_FIRST : retry->pause_ms * 2;
    if (retry->pause_ms > RETRY_MS_LONGEST)
        retry->pause_ms = RETRY_MS_LONGEST;
    retry->due_ms = clock_monotonic_ms() + retry->pause_ms / 2 + random % (retry->pause_ms / 2 + 1);
}

void server_retry_clear(struct server_retry *retry)
{
    retry->pause_ms = 0;
}

int server_hand_over(void **out, const struct tercet_barrier_driver *driver, void *state, int rc,
                     char *text)
{
    if (rc == 0) {
        *out = state;
        return 0;
    }
    barrier_text(text, "%s", driver->error_text(state));
    driver->close(state);
    return rc;
}

int server_open_barrier(struct tercet_barrier **out, const char *url,
                        const struct tercet_barrier_options *options, char *text,
                        server_open_fn open, const struct tercet_barrier_driver *driver)
{
    struct tercet_barrier_options complete;
    void *state = NULL;
    if (out == NULL || url == NULL || tercet_barrier_options_complete(&complete, options) != 0) {
        barrier_text(text, "no URL, or options without their size or past a limit");
        return TERCET_INVALID;
    }
    int rc = open(&state, url, &complete, text);
    if (rc != 0)
        return rc;
    rc = tercet_barrier_new(out, driver, state, &complete);
    if (rc != 0)
        driver->close(state);
    return rc;
}
