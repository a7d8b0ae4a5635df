/* SPDX-License-Identifier: Apache-2.0
 *
 * flash.h: all orders are sent at once, and the answers are counted.
 */
#include "flash.h"

#include <pthread.h>
#include <queries.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "catalogue/catalogue.h"
#include "order.pb-c.h"
#include "payment.pb-c.h"
#include "stock.pb-c.h"

#define TIMEOUT_MS 60000
#define FUNDS_CENTS 100000000
#define OPENED_AT_ONCE 100

struct sale {
    struct flash *flash;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    uint32_t open;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void count(const struct tercet_result *result, void *ctx)
{
    struct sale *sale = ctx;
    pthread_mutex_lock(&sale->lock);
    if (result->code == 0)
        sale->flash->confirmed++;
    else if (result->code == TERCET_REFUSED)
        sale->flash->refused++;
    else
        sale->flash->unknown++;
    sale->open--;
    pthread_cond_signal(&sale->answered);
    pthread_mutex_unlock(&sale->lock);
}

/* Some at a time: a question is a transaction of its own, and has seconds. */
static int open_wallets(struct flash *flash, struct crpc_channel *payment)
{
    Shop__Opening opening = SHOP__OPENING__INIT;
    ProtobufCMessage *reply = NULL;
    opening.cents = FUNDS_CENTS;
    for (uint32_t opened = 0; opened < flash->buyers; opened += opening.count) {
        opening.customer = FLASH_FIRST_CUSTOMER + opened;
        opening.count =
            flash->buyers - opened < OPENED_AT_ONCE ? flash->buyers - opened : OPENED_AT_ONCE;
        if (ask(&reply, payment, &shop__payment__descriptor, "Open", &opening.base, flash->text) !=
            0)
            return -1;
        crpc_message_free(reply);
    }
    return 0;
}

static int prepare(struct flash *flash, struct crpc_channel *stock, struct crpc_channel *payment)
{
    Shop__Filling filling = SHOP__FILLING__INIT;
    ProtobufCMessage *reply = NULL;
    if (open_wallets(flash, payment) != 0)
        return -1;
    filling.item = CATALOGUE_FLASH;
    filling.warehouse = 1;
    filling.available = flash->pieces;
    if (ask(&reply, stock, &shop__stock__descriptor, "Fill", &filling.base, flash->text) != 0)
        return -1;
    crpc_message_free(reply);
    return 0;
}

static void order(struct sale *sale, struct tercet_client *client, uint32_t customer)
{
    static const struct tercet_metadata kind[] = {{"kind", "flash"}};
    const struct tercet_begin_options options = {
        .size = sizeof(options), .metadata = kind, .metadata_count = 1, .timeout_ms = TIMEOUT_MS};
    Shop__Reserve reserve = SHOP__RESERVE__INIT;
    Shop__Hold hold = SHOP__HOLD__INIT;
    Shop__Place place = SHOP__PLACE__INIT;
    reserve.item = place.item = CATALOGUE_FLASH;
    reserve.quantity = place.quantity = 1;
    hold.customer = place.customer = customer;
    hold.amount_cents = place.total_cents = catalogue_price_cents(CATALOGUE_FLASH);
    const struct tercet_branch branches[] = {
        {.action = "stock/reserve", .request = &reserve.base},
        {.action = "payment/hold", .request = &hold.base},
        {.action = "order/place", .request = &place.base},
    };
    int rc = tercet_run_start(client, branches, 3, &options, count, sale);
    if (rc != 0) {
        const struct tercet_result result = {.code = rc};
        count(&result, sale);
    }
}

int flash_run(struct flash *flash, struct tercet_client *client, struct crpc_channel *stock,
              struct crpc_channel *payment)
{
    struct sale sale = {.flash = flash, .open = flash->buyers};
    if (prepare(flash, stock, payment) != 0)
        return -1;
    pthread_mutex_init(&sale.lock, NULL);
    pthread_cond_init(&sale.answered, NULL);
    const int64_t began_ms = now_ms();
    for (uint32_t i = 0; i < flash->buyers; i++)
        order(&sale, client, FLASH_FIRST_CUSTOMER + i);
    pthread_mutex_lock(&sale.lock);
    while (sale.open > 0)
        pthread_cond_wait(&sale.answered, &sale.lock);
    pthread_mutex_unlock(&sale.lock);
    flash->elapsed_ms = now_ms() - began_ms;
    pthread_cond_destroy(&sale.answered);
    pthread_mutex_destroy(&sale.lock);
    return 0;
}
