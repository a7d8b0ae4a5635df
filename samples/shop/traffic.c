/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-traffic: customers who order, in both forms. Run sends the whole order at once, with the
 * price from the catalogue; step by step, the warehouse's reply to the first try says what the next
 * is to hold.
 */
#include <money.h>
#include <stdio.h>
#include <traffic.h>

#include "catalogue/catalogue.h"
#include "order.pb-c.h"
#include "payment.pb-c.h"
#include "stock.pb-c.h"

static int64_t item_count = CATALOGUE_ITEMS;
static int64_t customer_count = CATALOGUE_CUSTOMERS;

struct order {
    Shop__Reserve reserve;
    Shop__Hold hold;
    Shop__Place place;
};

static void draw_order(struct order *order, struct traffic_job *job)
{
    uint32_t customer = 1 + random_below(&job->random, (uint32_t)customer_count);
    uint32_t item = 1 + random_below(&job->random, (uint32_t)item_count);
    uint32_t quantity = 1 + random_below(&job->random, 5);
    int64_t total_cents = catalogue_price_cents(item) * quantity;
    shop__reserve__init(&order->reserve);
    shop__hold__init(&order->hold);
    shop__place__init(&order->place);
    order->reserve.item = order->place.item = item;
    order->reserve.quantity = order->place.quantity = quantity;
    order->hold.customer = order->place.customer = customer;
    order->reserve.total_cents = order->hold.amount_cents = order->place.total_cents = total_cents;
    snprintf(job->what, sizeof(job->what), "customer %u buys %u x item %u for " MONEY, customer,
             quantity, item, MONEY_OF(total_cents));
}

static void run_order(struct traffic_job *job, const struct order *order,
                      struct tercet_result *result)
{
    const struct tercet_branch branches[] = {
        {.action = "stock/reserve", .request = &order->reserve.base},
        {.action = "payment/hold", .request = &order->hold.base},
        {.action = "order/place", .request = &order->place.base},
    };
    tercet_run(job->client, branches, 3, &job->begin, result);
}

/* Takes the price from the warehouse's reply. */
static void read_price(struct order *order, struct tercet_tried *tried)
{
    Shop__Reserved *reserved = shop__reserved__unpack(NULL, tried->reply.size, tried->reply.data);
    if (reserved != NULL)
        order->hold.amount_cents = order->place.total_cents = reserved->total_cents;
    shop__reserved__free_unpacked(reserved, NULL);
    tercet_tried_clear(tried);
}

static void step_through_order(struct traffic_job *job, struct order *order,
                               struct tercet_result *result)
{
    const struct tercet_branch reserve = {.action = "stock/reserve",
                                          .request = &order->reserve.base};
    const struct tercet_branch hold = {.action = "payment/hold", .request = &order->hold.base};
    const struct tercet_branch place = {.action = "order/place", .request = &order->place.base};
    struct tercet_transaction *transaction = NULL;
    struct tercet_tried tried;
    order->reserve.total_cents = 0;
    if (tercet_begin(&transaction, job->client, &job->begin) != 0)
        return;
    if (tercet_try(transaction, &reserve, &tried) == 0) {
        read_price(order, &tried);
        if (tercet_try(transaction, &hold, &tried) == 0)
            tercet_try(transaction, &place, &tried);
    }
    traffic_decide(transaction, &tried, result);
}

static void transact(struct traffic_job *job, struct tercet_result *result)
{
    struct order order;
    draw_order(&order, job);
    if (job->is_stepwise)
        step_through_order(job, &order, result);
    else
        run_order(job, &order, result);
}

int main(int argc, char **argv)
{
    const struct option_entry options[] = {
        {"items", OPTION_NUMBER, &item_count, "as shop-stock has (default 20)"},
        {"customers", OPTION_NUMBER, &customer_count, "as shop-payment has (default 50)"},
    };
    const struct traffic traffic = {
        .program = "shop-traffic",
        .summary =
            "Customers who order: each order is stock/reserve, payment/hold and order/place,\n"
            "together or not at all. Exit status: 0 when every outcome is known.\n",
        .noun = "order",
        .options = options,
        .option_count = 2,
        .transact = transact};
    return traffic_main(&traffic, argc, argv);
}
