/* SPDX-License-Identifier: Apache-2.0
 *
 * Buying and giving back. The page sends a key of its own with each order, and the same key again
 * is the same order: it becomes the transaction's gid. Prices come from the catalogue; what the
 * page believed it costs is only compared.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../catalogue/catalogue.h"
#include "gateway.h"

#define KEY_MIN 8
#define KEY_MAX 32
#define GID_SIZE 64

/* -- One transaction --------------------------------------------------------------------------- */

bool gateway_owns(const struct web_request *request, const char *gid)
{
    int64_t customer = 0;
    char kind[8];
    return strlen(gid) < GID_SIZE && sscanf(gid, "%7[a-z]-%" SCNd64 "-", kind, &customer) == 2 &&
           customer == web_user(request);
}

/* "order-101-key"; false: the request is answered. */
static bool make_gid(char gid[GID_SIZE], struct web_request *request, const char *kind)
{
    const char *key = web_field(request, "key", KEY_MAX);
    if (key == NULL || strlen(key) < KEY_MIN ||
        strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789") != strlen(key)) {
        web_fail(request, 400, "an order has a key of %d to %d letters and digits", KEY_MIN,
                 KEY_MAX);
        return false;
    }
    snprintf(gid, GID_SIZE, "%s-%" PRId64 "-%s", kind, web_user(request), key);
    return true;
}

static void reply_gid(struct web_request *request, const char *gid, bool is_known)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "gid", gid);
    cJSON_AddBoolToObject(json, "is_known", is_known);
    web_reply(request, 202, json);
}

/* Whether this order was taken before: then it is answered, and nothing is done again. */
static bool is_replay(struct web_request *request, struct gateway *gateway, const char *gid)
{
    struct tercet_result result;
    int rc = tercet_get(gateway->client, gid, &result);
    if (rc == TERCET_NOT_FOUND)
        return false;
    reply_gid(request, gid, rc == 0);
    return true;
}

/* Has the plan kept by the coordinator, and does not wait for its end: the page watches. */
static void run(struct web_request *request, struct gateway *gateway, const struct plan *plan,
                const char *gid)
{
    char customer[24];
    const struct tercet_metadata metadata[] = {{"customer", customer}};
    const struct tercet_begin_options options = {.size = sizeof(options),
                                                 .gid = gid,
                                                 .deadline_ms = PLAN_DEADLINE_MS,
                                                 .metadata = metadata,
                                                 .metadata_count = 1,
                                                 .wait = TERCET_WAIT_NOT};
    struct tercet_result result;
    snprintf(customer, sizeof(customer), "%" PRId64, web_user(request));
    int rc = tercet_run(gateway->client, plan->branches, plan->branch_count, &options, &result);
    if (rc == 0 || rc == TERCET_REFUSED)
        reply_gid(request, gid, true);
    else if (rc == TERCET_UNKNOWN || rc == TERCET_UNAVAILABLE)
        reply_gid(request, gid, false); /* the page asks again, with the same key */
    else
        web_fail(request, 409, "the order was not taken: %s", result.text);
}

/* -- Buying ------------------------------------------------------------------------------------ */

/* Looks up the price of each line. 0, or -1 when the request is answered. */
static int price(struct web_request *request, struct gateway *gateway, struct wanted *wanted,
                 size_t count)
{
    Shop__Search all = SHOP__SEARCH__INIT;
    Shop__Products *products;
    if (gateway_ask(&products, request, gateway, CATALOGUE, "Find", &all.base) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        for (size_t p = 0; p < products->n_products; p++)
            if (products->products[p]->item == wanted[i].item)
                wanted[i].unit_cents = products->products[p]->unit_cents;
    crpc_message_free(&products->base);
    for (size_t i = 0; i < count; i++)
        if (wanted[i].unit_cents == 0) {
            web_fail(request, 400, "there is no item %u", wanted[i].item);
            return -1;
        }
    return 0;
}

void remember_shelves(struct gateway *gateway, const Shop__Shelves *shelves)
{
    ProtobufCMessage *copy = NULL;
    if (crpc_message_copy(&copy, &shelves->base) != 0)
        return;
    pthread_mutex_lock(&gateway->lock);
    ProtobufCMessage *old = gateway->shelves;
    gateway->shelves = copy;
    pthread_mutex_unlock(&gateway->lock);
    if (old != NULL)
        crpc_message_free(old);
}

/* What is on the shelves; when the warehouse does not answer, what it said last (NULL: nothing
 * yet): it decides itself, when the coordinator reaches it. The caller's: crpc_message_free. */
static Shop__Shelves *look_at_shelves(struct gateway *gateway)
{
    const Shop__LevelsWanted levels = SHOP__LEVELS_WANTED__INIT;
    ProtobufCMessage *shelves = NULL;
    char text[TERCET_TEXT_MAX];
    if (gateway_ask_quietly(&shelves, gateway, STOCK, "Levels", &levels.base, text) == 0) {
        remember_shelves(gateway, (Shop__Shelves *)shelves);
        return (Shop__Shelves *)shelves;
    }
    pthread_mutex_lock(&gateway->lock);
    if (gateway->shelves != NULL)
        crpc_message_copy(&shelves, gateway->shelves);
    pthread_mutex_unlock(&gateway->lock);
    return (Shop__Shelves *)shelves;
}

static void order(struct web_request *request, struct gateway *gateway, const char *gid,
                  struct wanted *wanted, size_t count, int64_t cart_version)
{
    const Shop__Shelves unknown = SHOP__SHELVES__INIT;
    int64_t believed_cents;
    if (price(request, gateway, wanted, count) != 0)
        return;
    Shop__Shelves *shelves = look_at_shelves(gateway);
    struct plan *plan = calloc(1, sizeof(*plan));
    plan_order(plan, (uint32_t)web_user(request), wanted, count,
               shelves != NULL ? shelves : &unknown, cart_version);
    plan->hold.opening_cents = WELCOME_CENTS;
    if (shelves != NULL)
        crpc_message_free(&shelves->base);
    if (!web_number(request, "total_cents", 1, INT64_C(1000000000), &believed_cents) ||
        believed_cents != plan->total_cents)
        web_fail(request, 409,
                 "the price is %" PRId64 ".%02" PRId64
                 " now, which is not what your page says: look again. Nothing was ordered",
                 plan->total_cents / 100, plan->total_cents % 100);
    else
        run(request, gateway, plan, gid);
    free(plan);
}

void serve_checkout(struct web_request *request, void *ctx)
{
    struct gateway *gateway = ctx;
    Shop__CartWanted question = SHOP__CART_WANTED__INIT;
    Shop__Cart *cart;
    struct wanted wanted[PLAN_LINES_MAX] = {0};
    char gid[GID_SIZE];
    question.customer = (uint32_t)web_user(request);
    if (!make_gid(gid, request, "order") || is_replay(request, gateway, gid) ||
        gateway_ask(&cart, request, gateway, CART, "Look", &question.base) != 0)
        return;
    const size_t count = cart->n_lines < PLAN_LINES_MAX ? cart->n_lines : PLAN_LINES_MAX;
    for (size_t i = 0; i < count; i++)
        wanted[i] = (struct wanted){cart->lines[i]->item, cart->lines[i]->quantity, 0};
    const int64_t version = cart->version;
    const bool is_ordering = cart->is_ordering;
    crpc_message_free(&cart->base);
    if (is_ordering)
        web_fail(request, 409, "this cart is being ordered already: see your orders");
    else if (count == 0)
        web_fail(request, 409, "the cart is empty");
    else
        order(request, gateway, gid, wanted, count, version);
}

/* One thing at once, without the cart. */
void serve_buy(struct web_request *request, void *gateway)
{
    struct wanted wanted = {0};
    int64_t item, quantity;
    char gid[GID_SIZE];
    if (!web_number(request, "item", 1, CATALOGUE_FLASH, &item) ||
        !web_number(request, "quantity", 1, QUANTITY_MAX, &quantity)) {
        web_fail(request, 400, "one may order 1 to %d pieces of a product", QUANTITY_MAX);
        return;
    }
    wanted.item = (uint32_t)item;
    wanted.quantity = (uint32_t)quantity;
    if (make_gid(gid, request, "order") && !is_replay(request, gateway, gid))
        order(request, gateway, gid, &wanted, 1, 0);
}

/* -- Orders ------------------------------------------------------------------------------------ */

static Shop__Orders *ask_orders(struct web_request *request, struct gateway *gateway,
                                const char *gid)
{
    Shop__OrdersWanted wanted = SHOP__ORDERS_WANTED__INIT;
    Shop__Orders *orders;
    wanted.customer = (uint32_t)web_user(request);
    wanted.gid = (char *)(uintptr_t)gid;
    return gateway_ask(&orders, request, gateway, ORDER, "List", &wanted.base) == 0 ? orders : NULL;
}

/* The key is the order's own: an order is given back once. */
void serve_refund(struct web_request *request, void *ctx)
{
    struct gateway *gateway = ctx;
    const char *of = web_field(request, "gid", GID_SIZE - 1);
    Shop__TakeBack backs[PLAN_PARTS_MAX];
    Shop__Refund refund;
    Shop__GiveBack give_back;
    char gid[GID_SIZE];
    if (of == NULL || !gateway_owns(request, of)) {
        web_fail(request, 404, "you have no such order");
        return;
    }
    if (!make_gid(gid, request, "refund") || is_replay(request, gateway, gid))
        return;
    Shop__Orders *orders = ask_orders(request, gateway, of);
    if (orders == NULL)
        return;
    struct plan *plan = calloc(1, sizeof(*plan));
    if (orders->n_orders == 0)
        web_fail(request, 404, "you have no such order");
    else if (strcmp(orders->orders[0]->state, "PAID") != 0)
        web_fail(request, 409, "only a paid order can be given back");
    else {
        plan_return(plan, orders->orders[0], backs, &refund, &give_back);
        run(request, gateway, plan, gid);
    }
    free(plan);
    crpc_message_free(&orders->base);
}

static cJSON *order_json(const Shop__OrderEntry *order)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *lines = cJSON_AddArrayToObject(json, "lines");
    cJSON_AddStringToObject(json, "gid", order->gid);
    cJSON_AddStringToObject(json, "state", order->state);
    cJSON_AddNumberToObject(json, "total_cents", (double)order->total_cents);
    cJSON_AddNumberToObject(json, "placed_ms", (double)order->placed_ms);
    for (size_t i = 0; i < order->n_lines; i++) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddNumberToObject(line, "item", order->lines[i]->item);
        cJSON_AddNumberToObject(line, "quantity", order->lines[i]->quantity);
        cJSON_AddNumberToObject(line, "cents", (double)order->lines[i]->cents);
        cJSON_AddNumberToObject(line, "warehouse", order->lines[i]->warehouse);
        cJSON_AddItemToArray(lines, line);
    }
    return json;
}

/* From the order book what is in it; from the coordinator what is under way. Either may not answer:
 * then its part is null, and the page says so. */
void serve_orders(struct web_request *request, void *ctx)
{
    struct gateway *gateway = ctx;
    Shop__OrdersWanted wanted = SHOP__ORDERS_WANTED__INIT;
    Shop__Orders *orders;
    char text[TERCET_TEXT_MAX];
    cJSON *json = cJSON_CreateObject(), *list = NULL;
    wanted.customer = (uint32_t)web_user(request);
    if (gateway_ask_quietly(&orders, gateway, ORDER, "List", &wanted.base, text) == 0) {
        list = cJSON_CreateArray();
        for (size_t i = 0; i < orders->n_orders; i++)
            cJSON_AddItemToArray(list, order_json(orders->orders[i]));
        crpc_message_free(&orders->base);
    }
    cJSON *open = list_open(gateway, web_user(request));
    cJSON_AddItemToObject(json, "orders", list != NULL ? list : cJSON_CreateNull());
    cJSON_AddItemToObject(json, "open", open != NULL ? open : cJSON_CreateNull());
    web_reply(request, 200, json);
}
