/* SPDX-License-Identifier: Apache-2.0
 *
 * What the gateway's files share. The gateway has no tables of its own but the accounts: it asks
 * the domains, makes plans, and has them run.
 */
#ifndef SHOP_GATEWAY_H
#define SHOP_GATEWAY_H

#include <accounts.h>
#include <pthread.h>
#include <queries.h>
#include <web.h>

#include "../plan.h"

#define WELCOME_CENTS 50000 /* in the wallet of who is new */

enum { ROLE_CUSTOMER = 1, ROLE_SELLER = 2 };
enum domain { STOCK, PAYMENT, ORDER, CATALOGUE, CART, SUPERVISOR, DOMAIN_COUNT };

struct gateway {
    struct web *web;
    struct accounts *accounts;
    struct tercet_client *client;
    struct tercet_admin *admin;
    struct crpc_loop *loop;
    struct crpc_channel *channels[DOMAIN_COUNT];
    const char *console;       /* its URL; "": there is none */
    pthread_mutex_t lock;      /* over what follows */
    ProtobufCMessage *shelves; /* as the warehouse told them last; NULL: it has not */
    bool is_flash_on;
};

/* Asks a domain; on failure the request is answered, and -1 returned. */
int gateway_ask(void *reply, struct web_request *request, struct gateway *gateway,
                enum domain domain, const char *method, const ProtobufCMessage *question);
/* The same without a request to be answered. */
int gateway_ask_quietly(void *reply, struct gateway *gateway, enum domain domain,
                        const char *method, const ProtobufCMessage *question, char *text);

/* Whose the transaction is: its gid says so. */
bool gateway_owns(const struct web_request *request, const char *gid);

/* shopping.c */
void serve_products(struct web_request *request, void *gateway);
void serve_product(struct web_request *request, void *gateway);
void serve_review(struct web_request *request, void *gateway);
void serve_cart(struct web_request *request, void *gateway);
void serve_cart_put(struct web_request *request, void *gateway);
void serve_wallet(struct web_request *request, void *gateway);

/* ordering.c */
void remember_shelves(struct gateway *gateway, const Shop__Shelves *shelves);
void serve_checkout(struct web_request *request, void *gateway);
void serve_buy(struct web_request *request, void *gateway);
void serve_refund(struct web_request *request, void *gateway);
void serve_orders(struct web_request *request, void *gateway);

/* watching.c */
void serve_watch(struct web_request *request, void *gateway);
cJSON *show_transaction(struct gateway *gateway, const char *gid);
/* Those of a customer that are not over. NULL: the coordinator does not answer. */
cJSON *list_open(struct gateway *gateway, int64_t customer);

/* seller.c */
void serve_figures(struct web_request *request, void *gateway);
void serve_fill(struct web_request *request, void *gateway);
void serve_price(struct web_request *request, void *gateway);
void serve_flash(struct web_request *request, void *gateway);
void serve_system(struct web_request *request, void *gateway);
void serve_break(struct web_request *request, void *gateway);

#endif
