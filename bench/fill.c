/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes transactions that stay unresolved. "try": begins them and tries all their branches, the
 * last one at the participant that will be down. "confirm": decides them, when it is. In the end
 * each is CONFIRMING and waits for one answer.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/tercet.h>

#define DEADLINE_MS 86400000u /* nothing is cancelled meanwhile */

struct fill;

struct fill_slot {
    struct fill *fill;
    uint64_t seq;
    struct tercet_transaction *transaction;
    atomic_uint tries_left;
};

struct fill {
    struct shared *shared;
    struct tercet_client *client;
    bool is_confirm;
    unsigned char payload[65536];
    atomic_uint_fast64_t next;
    uint64_t end;
    pthread_mutex_t lock; /* of what is below */
    pthread_cond_t changed;
    uint32_t running;
    char error[ERROR_SIZE]; /* the first; "" */
    struct fill_slot slots[IN_FLIGHT_MAX];
};

static void fill_error(struct fill *fill, const char *text)
{
    pthread_mutex_lock(&fill->lock);
    if (fill->error[0] == '\0')
        snprintf(fill->error, sizeof(fill->error), "%s", text);
    pthread_mutex_unlock(&fill->lock);
    atomic_store(&fill->next, fill->end);
}

static void leave(struct fill *fill)
{
    pthread_mutex_lock(&fill->lock);
    if (--fill->running == 0)
        pthread_cond_signal(&fill->changed);
    pthread_mutex_unlock(&fill->lock);
}

/* -- One transaction --------------------------------------------------------------------------- */

static void go_on(struct fill_slot *slot);

static void end_transaction(struct fill_slot *slot)
{
    tercet_transaction_free(slot->transaction);
    slot->transaction = NULL;
    go_on(slot);
}

static void on_tried(const struct tercet_tried *tried, void *ctx)
{
    struct fill_slot *slot = ctx;
    if (tried->code != 0)
        fill_error(slot->fill, tried->text);
    if (atomic_fetch_sub(&slot->tries_left, 1) == 1)
        end_transaction(slot);
}

static void on_confirmed(const struct tercet_result *result, void *ctx)
{
    struct fill_slot *slot = ctx;
    if (result->code == 0)
        slot->fill->shared->outcomes[slot->seq] = OUTCOME_CONFIRMED;
    else
        fill_error(slot->fill, result->text);
    end_transaction(slot);
}

/* All branches at once: the first of them begins the transaction. */
static int start_tries(struct fill_slot *slot)
{
    const struct options *options = &slot->fill->shared->options;
    atomic_store(&slot->tries_left, options->branches);
    for (uint32_t i = 1; i <= options->branches; i++) {
        char action[32] = DOWN_SERVICE "/work";
        if (i < options->branches)
            snprintf(action, sizeof(action), "bench-%u/work",
                     participant_of(options, slot->seq, i));
        const struct tercet_branch branch = {
            .action = action, .payload = {slot->fill->payload, options->payload_size}};
        int rc = tercet_try_start(slot->transaction, &branch, on_tried, slot);
        uint32_t not_started = rc != 0 ? options->branches - i + 1 : 0;
        if (rc == 0)
            continue;
        fill_error(slot->fill, tercet_strerror(rc));
        return atomic_fetch_sub(&slot->tries_left, not_started) == not_started ? rc : 0;
    }
    return 0;
}

/* With the same options in both passes: to begin it again is no second transaction then. */
static int start(struct fill_slot *slot)
{
    char gid[TERCET_GID_MAX + 1];
    const struct tercet_begin_options options = {
        .size = sizeof(options), .gid = gid, .deadline_ms = DEADLINE_MS};
    gid_of_seq(gid, sizeof(gid), slot->fill->shared, slot->seq);
    int rc = tercet_begin(&slot->transaction, slot->fill->client, &options);
    if (rc != 0)
        return rc;
    if (!slot->fill->is_confirm) {
        slot->fill->shared->outcomes[slot->seq] = OUTCOME_STARTED;
        return start_tries(slot);
    }
    return tercet_confirm_start(slot->transaction, TERCET_WAIT_DECIDED, on_confirmed, slot);
}

/* The slot's next transaction, or nothing more. */
static void go_on(struct fill_slot *slot)
{
    struct fill *fill = slot->fill;
    slot->seq = atomic_fetch_add(&fill->next, 1);
    int rc = slot->seq < fill->end ? start(slot) : 0;
    if (rc != 0) {
        tercet_transaction_free(slot->transaction);
        slot->transaction = NULL;
        fill_error(fill, tercet_strerror(rc));
    }
    if (rc != 0 || slot->seq >= fill->end)
        leave(fill);
}

/* -- All --------------------------------------------------------------------------------------- */

static void pass(struct fill *fill, bool is_confirm)
{
    const struct shared *shared = fill->shared;
    fill->is_confirm = is_confirm;
    fill->end = shared->fill_first + shared->fill_count;
    fill->running = shared->options.in_flight;
    atomic_store(&fill->next, shared->fill_first);
    for (uint32_t i = 0; i < shared->options.in_flight; i++) {
        fill->slots[i].fill = fill;
        go_on(&fill->slots[i]);
    }
    pthread_mutex_lock(&fill->lock);
    while (fill->running > 0)
        pthread_cond_wait(&fill->changed, &fill->lock);
    pthread_mutex_unlock(&fill->lock);
}

static int serve(struct fill *fill)
{
    char word[WORD_SIZE];
    role_ok("");
    while (role_word(word, sizeof(word))) {
        pass(fill, strcmp(word, "confirm") == 0);
        if (fill->error[0] != '\0')
            return role_fail("%s: %s", word, fill->error);
        role_ok("");
    }
    return 0;
}

int role_fill(struct shared *shared)
{
    const struct tercet_client_options options = {.size = sizeof(options),
                                                  .requests_max = 2 * BRANCHES_MAX * IN_FLIGHT_MAX};
    struct fill *fill = calloc(1, sizeof(*fill));
    if (fill == NULL)
        return role_fail("out of memory");
    fill->shared = shared;
    pthread_mutex_init(&fill->lock, NULL);
    pthread_cond_init(&fill->changed, NULL);
    memset(fill->payload, 'x', sizeof(fill->payload));
    int rc = tercet_client_open(&fill->client, shared->coordinator, &options, NULL);
    int status = rc == 0 ? serve(fill) : role_fail("%s", tercet_strerror(rc));
    tercet_client_close(fill->client);
    pthread_cond_destroy(&fill->changed);
    pthread_mutex_destroy(&fill->lock);
    free(fill);
    return status;
}
