/* SPDX-License-Identifier: Apache-2.0
 *
 * The seller's page: figures as they change, prices, shelves, the flash sale; and what breaks the
 * system on purpose.
 */
#include <samples.pb-c.h>
#include <stdlib.h>
#include <string.h>

#include "../catalogue/catalogue.h"
#include "../flash.h"
#include "gateway.h"

#define FIGURES_MS 500
#define DELAY_MS_MAX 5000

static bool is_seller(struct web_request *request)
{
    if (web_role(request) == ROLE_SELLER)
        return true;
    web_fail(request, 403, "this is the seller's: sign in as the seller");
    return false;
}

/* -- Figures ----------------------------------------------------------------------------------- */

static void add_stock(cJSON *json, struct gateway *gateway)
{
    Shop__LevelsWanted wanted = SHOP__LEVELS_WANTED__INIT;
    Shop__Shelves *shelves;
    char text[TERCET_TEXT_MAX];
    if (gateway_ask_quietly(&shelves, gateway, STOCK, "Levels", &wanted.base, text) != 0) {
        cJSON_AddNullToObject(json, "stock");
        return;
    }
    cJSON *list = cJSON_AddArrayToObject(json, "stock");
    for (size_t i = 0; i < shelves->n_shelves; i++) {
        const Shop__Shelf *shelf = shelves->shelves[i];
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddNumberToObject(entry, "item", shelf->item);
        cJSON_AddNumberToObject(entry, "warehouse", shelf->warehouse);
        cJSON_AddNumberToObject(entry, "available", (double)shelf->available);
        cJSON_AddNumberToObject(entry, "reserved", (double)shelf->reserved);
        cJSON_AddNumberToObject(entry, "sold", (double)shelf->sold);
        cJSON_AddItemToArray(list, entry);
    }
    crpc_message_free(&shelves->base);
}

static void add_money(cJSON *json, struct gateway *gateway)
{
    Shop__Nothing nothing = SHOP__NOTHING__INIT;
    Shop__Wallet *totals;
    char text[TERCET_TEXT_MAX];
    if (gateway_ask_quietly(&totals, gateway, PAYMENT, "Totals", &nothing.base, text) != 0) {
        cJSON_AddNullToObject(json, "money");
        return;
    }
    cJSON *money = cJSON_AddObjectToObject(json, "money");
    cJSON_AddNumberToObject(money, "held_cents", (double)totals->held_cents);
    cJSON_AddNumberToObject(money, "paid_cents", (double)totals->paid_cents);
    crpc_message_free(&totals->base);
}

static void add_orders(cJSON *json, struct gateway *gateway)
{
    Shop__CountsWanted wanted = SHOP__COUNTS_WANTED__INIT;
    Shop__Counts *counts;
    char text[TERCET_TEXT_MAX];
    if (gateway_ask_quietly(&counts, gateway, ORDER, "Count", &wanted.base, text) != 0) {
        cJSON_AddNullToObject(json, "orders");
        return;
    }
    cJSON *orders = cJSON_AddObjectToObject(json, "orders");
    cJSON_AddNumberToObject(orders, "pending", (double)counts->pending);
    cJSON_AddNumberToObject(orders, "paid", (double)counts->paid);
    cJSON_AddNumberToObject(orders, "cancelled", (double)counts->cancelled);
    cJSON_AddNumberToObject(orders, "returned", (double)counts->returned);
    crpc_message_free(&counts->base);
}

static bool next_figures(cJSON **event, void *gateway)
{
    *event = cJSON_CreateObject();
    add_stock(*event, gateway);
    add_money(*event, gateway);
    add_orders(*event, gateway);
    return true;
}

void serve_figures(struct web_request *request, void *gateway)
{
    const struct web_stream stream = {next_figures, NULL, gateway, FIGURES_MS};
    if (is_seller(request))
        web_reply_stream(request, &stream);
}

/* -- Acting ------------------------------------------------------------------------------------ */

void serve_fill(struct web_request *request, void *gateway)
{
    Shop__Filling filling = SHOP__FILLING__INIT;
    Shop__Shelves *shelves;
    int64_t item, warehouse;
    if (!is_seller(request))
        return;
    if (!web_number(request, "item", 1, CATALOGUE_FLASH, &item) ||
        !web_number(request, "warehouse", 1, 9, &warehouse) ||
        !web_number(request, "available", 0, 1000000, &filling.available)) {
        web_fail(request, 400, "an item, a warehouse and a number of pieces are wanted");
        return;
    }
    filling.item = (uint32_t)item;
    filling.warehouse = (uint32_t)warehouse;
    if (gateway_ask(&shelves, request, gateway, STOCK, "Fill", &filling.base) != 0)
        return;
    crpc_message_free(&shelves->base);
    web_reply(request, 200, cJSON_CreateObject());
}

void serve_price(struct web_request *request, void *gateway)
{
    Shop__Pricing pricing = SHOP__PRICING__INIT;
    Shop__Products *products;
    int64_t item;
    if (!is_seller(request))
        return;
    if (!web_number(request, "item", 1, CATALOGUE_ITEMS, &item) ||
        !web_number(request, "unit_cents", 1, 10000000, &pricing.unit_cents)) {
        web_fail(request, 400, "an item and a price in cents are wanted");
        return;
    }
    pricing.item = (uint32_t)item;
    if (gateway_ask(&products, request, gateway, CATALOGUE, "Price", &pricing.base) != 0)
        return;
    crpc_message_free(&products->base);
    web_reply(request, 200, cJSON_CreateObject());
}

/* One sale at a time: the second is told so. */
static bool begin_flash(struct gateway *gateway)
{
    pthread_mutex_lock(&gateway->lock);
    const bool is_free = !gateway->is_flash_on;
    gateway->is_flash_on = true;
    pthread_mutex_unlock(&gateway->lock);
    return is_free;
}

static void end_flash(struct gateway *gateway)
{
    pthread_mutex_lock(&gateway->lock);
    gateway->is_flash_on = false;
    pthread_mutex_unlock(&gateway->lock);
}

void serve_flash(struct web_request *request, void *ctx)
{
    struct gateway *gateway = ctx;
    struct flash flash = {.buyers = 1000, .pieces = 100};
    if (!is_seller(request))
        return;
    if (!begin_flash(gateway)) {
        web_fail(request, 409, "a flash sale is on already");
        return;
    }
    int rc =
        flash_run(&flash, gateway->client, gateway->channels[STOCK], gateway->channels[PAYMENT]);
    end_flash(gateway);
    if (rc != 0) {
        web_fail(request, 503, "the sale did not begin: %s", flash.text);
        return;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "buyers", flash.buyers);
    cJSON_AddNumberToObject(json, "confirmed", flash.confirmed);
    cJSON_AddNumberToObject(json, "refused", flash.refused);
    cJSON_AddNumberToObject(json, "unknown", flash.unknown);
    cJSON_AddNumberToObject(json, "elapsed_ms", (double)flash.elapsed_ms);
    web_reply(request, 200, json);
}

/* -- Breaking it ------------------------------------------------------------------------------- */

static const char *const domains[] = {
    [STOCK] = "stock",         [PAYMENT] = "payment", [ORDER] = "order",
    [CATALOGUE] = "catalogue", [CART] = "cart",
};

static void add_faults(cJSON *json, struct gateway *gateway)
{
    const Samples__Fault none = SAMPLES__FAULT__INIT;
    const struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = 300};
    cJSON *faults = cJSON_AddObjectToObject(json, "faults");
    for (int i = STOCK; i <= CART; i++) {
        Samples__Fault *fault = NULL;
        if (crpc_unary((ProtobufCMessage **)&fault, gateway->channels[i],
                       &samples__faults__descriptor, "Get", &none.base, &options, NULL) != 0)
            continue;
        cJSON *entry = cJSON_AddObjectToObject(faults, domains[i]);
        cJSON_AddNumberToObject(entry, "delay_ms", fault->delay_ms);
        cJSON_AddBoolToObject(entry, "refuses", fault->refuses);
        crpc_message_free(&fault->base);
    }
}

void serve_system(struct web_request *request, void *ctx)
{
    struct gateway *gateway = ctx;
    const Samples__Task task = SAMPLES__TASK__INIT;
    Samples__Processes *processes;
    if (gateway_ask(&processes, request, gateway, SUPERVISOR, "Look", &task.base) != 0)
        return;
    cJSON *json = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(json, "processes");
    for (size_t i = 0; i < processes->n_processes; i++) {
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "name", processes->processes[i]->name);
        cJSON_AddStringToObject(entry, "state", processes->processes[i]->state);
        cJSON_AddNumberToObject(entry, "restarts", processes->processes[i]->restarts);
        cJSON_AddItemToArray(list, entry);
    }
    crpc_message_free(&processes->base);
    cJSON_AddStringToObject(json, "console", gateway->console);
    add_faults(json, gateway);
    web_reply(request, 200, json);
}

/* "slow", "refuse", "well": the service itself is told. */
static void set_fault(struct web_request *request, struct gateway *gateway, const char *name,
                      const char *verb)
{
    const struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = 1000};
    Samples__Fault fault = SAMPLES__FAULT__INIT;
    ProtobufCMessage *reply = NULL;
    int64_t delay_ms = 2000;
    int domain = STOCK;
    while (domain <= CART && strcmp(domains[domain], name) != 0)
        domain++;
    web_number(request, "delay_ms", 1, DELAY_MS_MAX, &delay_ms);
    fault.delay_ms = strcmp(verb, "slow") == 0 ? (uint32_t)delay_ms : 0;
    fault.refuses = strcmp(verb, "refuse") == 0;
    if (domain > CART)
        web_fail(request, 400, "there is no service of this name");
    else if (crpc_unary(&reply, gateway->channels[domain], &samples__faults__descriptor, "Set",
                        &fault.base, &options, NULL) != 0)
        web_fail(request, 503, "%s does not answer", name);
    else
        web_reply(request, 200, cJSON_CreateObject());
    crpc_message_free(reply);
}

/* Whoever is signed in may: this is what the page is for. */
void serve_break(struct web_request *request, void *gateway)
{
    const char *name = web_field(request, "name", 40), *verb = web_field(request, "verb", 16);
    Samples__Task task = SAMPLES__TASK__INIT;
    Samples__Processes *processes;
    if (name == NULL || verb == NULL) {
        web_fail(request, 400, "a name and a verb are wanted");
        return;
    }
    if (strcmp(verb, "slow") == 0 || strcmp(verb, "refuse") == 0 || strcmp(verb, "well") == 0) {
        set_fault(request, gateway, name, verb);
        return;
    }
    if (strcmp(name, "gateway") == 0) {
        web_fail(request, 400, "the gateway is what you look through");
        return;
    }
    task.name = (char *)(uintptr_t)name;
    task.verb = (char *)(uintptr_t)verb;
    if (gateway_ask(&processes, request, gateway, SUPERVISOR, "Act", &task.base) != 0)
        return;
    crpc_message_free(&processes->base);
    web_reply(request, 200, cJSON_CreateObject());
}
