/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking round: products, reviews, the cart, the wallet.
 */
#include <string.h>

#include "../catalogue/catalogue.h"
#include "gateway.h"

static cJSON *product_json(const Shop__Product *product, const Shop__Shelves *shelves)
{
    cJSON *json = cJSON_CreateObject();
    int64_t available = 0;
    cJSON_AddNumberToObject(json, "item", product->item);
    cJSON_AddStringToObject(json, "name", product->name);
    cJSON_AddStringToObject(json, "about", product->about);
    cJSON_AddNumberToObject(json, "unit_cents", (double)product->unit_cents);
    cJSON_AddNumberToObject(json, "reviews", product->review_count);
    cJSON_AddNumberToObject(
        json, "stars",
        product->review_count > 0 ? (double)product->star_sum / product->review_count : 0);
    for (size_t i = 0; shelves != NULL && i < shelves->n_shelves; i++)
        if (shelves->shelves[i]->item == product->item)
            available += shelves->shelves[i]->available;
    if (shelves != NULL) /* else it is not known, and the page says so */
        cJSON_AddNumberToObject(json, "available", (double)available);
    return json;
}

/* The products of a search, with what is on the shelves if the warehouse answers. */
static void reply_products(struct web_request *request, struct gateway *gateway,
                           Shop__Search *search)
{
    Shop__LevelsWanted wanted = SHOP__LEVELS_WANTED__INIT;
    Shop__Products *products;
    Shop__Shelves *shelves = NULL;
    char text[TERCET_TEXT_MAX];
    if (gateway_ask(&products, request, gateway, CATALOGUE, "Find", &search->base) != 0)
        return;
    if (gateway_ask_quietly(&shelves, gateway, STOCK, "Levels", &wanted.base, text) == 0)
        remember_shelves(gateway, shelves);
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < products->n_products; i++)
        cJSON_AddItemToArray(list, product_json(products->products[i], shelves));
    crpc_message_free(&products->base);
    if (shelves != NULL)
        crpc_message_free(&shelves->base);
    web_reply(request, 200, list);
}

void serve_products(struct web_request *request, void *gateway)
{
    Shop__Search search = SHOP__SEARCH__INIT;
    const char *words = web_query(request, "q");
    if (words != NULL && strlen(words) <= 100 && crpc_is_text(words, strlen(words)))
        search.words = (char *)(uintptr_t)words;
    reply_products(request, gateway, &search);
}

void serve_product(struct web_request *request, void *gateway)
{
    Shop__Search search = SHOP__SEARCH__INIT;
    Shop__Reviews *reviews;
    int64_t item;
    if (!web_parse_number(web_rest(request), 1, CATALOGUE_FLASH, &item)) {
        web_fail(request, 404, "there is no such product");
        return;
    }
    search.item = (uint32_t)item;
    if (gateway_ask(&reviews, request, gateway, CATALOGUE, "Read", &search.base) != 0)
        return;
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < reviews->n_reviews; i++) {
        cJSON *json = cJSON_CreateObject();
        cJSON_AddStringToObject(json, "author", reviews->reviews[i]->author);
        cJSON_AddNumberToObject(json, "stars", reviews->reviews[i]->stars);
        cJSON_AddStringToObject(json, "words", reviews->reviews[i]->words);
        cJSON_AddItemToArray(list, json);
    }
    crpc_message_free(&reviews->base);
    web_reply(request, 200, list);
}

void serve_review(struct web_request *request, void *ctx)
{
    struct gateway *gateway = ctx;
    Shop__Review review = SHOP__REVIEW__INIT;
    Shop__Reviews *reviews;
    char name[WEB_NAME_MAX + 1];
    int64_t item, stars;
    const char *words = web_field(request, "words", 500);
    if (!web_number(request, "item", 1, CATALOGUE_FLASH, &item) ||
        !web_number(request, "stars", 1, 5, &stars) || words == NULL) {
        web_fail(request, 400, "a review has 1 to 5 stars, and 1 to 500 bytes of text");
        return;
    }
    accounts_name(gateway->accounts, web_user(request), name);
    if (name[0] == '\0') { /* else all of those that are not known would share one review */
        web_fail(request, 503, "accounts cannot be read just now: try again");
        return;
    }
    review.item = (uint32_t)item;
    review.stars = (uint32_t)stars;
    review.author = name;
    review.words = (char *)(uintptr_t)words;
    if (gateway_ask(&reviews, request, gateway, CATALOGUE, "Write", &review.base) != 0)
        return;
    crpc_message_free(&reviews->base);
    web_reply(request, 200, cJSON_CreateObject());
}

/* -- The cart ---------------------------------------------------------------------------------- */

static void reply_cart(struct web_request *request, Shop__Cart *cart)
{
    cJSON *json = cJSON_CreateObject();
    cJSON *lines = cJSON_AddArrayToObject(json, "lines");
    cJSON_AddBoolToObject(json, "is_ordering", cart->is_ordering);
    for (size_t i = 0; i < cart->n_lines; i++) {
        cJSON *line = cJSON_CreateObject();
        cJSON_AddNumberToObject(line, "item", cart->lines[i]->item);
        cJSON_AddNumberToObject(line, "quantity", cart->lines[i]->quantity);
        cJSON_AddItemToArray(lines, line);
    }
    crpc_message_free(&cart->base);
    web_reply(request, 200, json);
}

void serve_cart(struct web_request *request, void *gateway)
{
    Shop__CartWanted wanted = SHOP__CART_WANTED__INIT;
    Shop__Cart *cart;
    wanted.customer = (uint32_t)web_user(request);
    if (gateway_ask(&cart, request, gateway, CART, "Look", &wanted.base) == 0)
        reply_cart(request, cart);
}

void serve_cart_put(struct web_request *request, void *gateway)
{
    Shop__CartLine line = SHOP__CART_LINE__INIT;
    Shop__Cart *cart;
    int64_t item, quantity;
    if (!web_number(request, "item", 1, CATALOGUE_FLASH, &item) ||
        !web_number(request, "quantity", 0, QUANTITY_MAX, &quantity)) {
        web_fail(request, 400, "a quantity is a whole number from 0 to %d", QUANTITY_MAX);
        return;
    }
    line.customer = (uint32_t)web_user(request);
    line.item = (uint32_t)item;
    line.quantity = (uint32_t)quantity;
    if (gateway_ask(&cart, request, gateway, CART, "Put", &line.base) == 0)
        reply_cart(request, cart);
}

/* Who is new gets a wallet with something in it, when it is first looked at or paid from: so to
 * register needs no cashier. */
void serve_wallet(struct web_request *request, void *gateway)
{
    Shop__Opening opening = SHOP__OPENING__INIT;
    Shop__Wallet *wallet;
    opening.customer = (uint32_t)web_user(request);
    opening.count = 1;
    opening.cents = WELCOME_CENTS;
    if (gateway_ask(&wallet, request, gateway, PAYMENT, "Open", &opening.base) != 0)
        return;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "available_cents", (double)wallet->available_cents);
    cJSON_AddNumberToObject(json, "held_cents", (double)wallet->held_cents);
    cJSON_AddNumberToObject(json, "paid_cents", (double)wallet->paid_cents);
    crpc_message_free(&wallet->base);
    web_reply(request, 200, json);
}
