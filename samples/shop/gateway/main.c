/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-gateway: the shop's pages, and what they ask for.
 */
#include <options.h>
#include <samples.pb-c.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway.h"

#define CALL_MS_MAX 2000 /* how long a page waits for the coordinator */

extern const struct web_file shop_pages[];

static const ProtobufCServiceDescriptor *const asked[] = {
    [STOCK] = &shop__stock__descriptor,      [PAYMENT] = &shop__payment__descriptor,
    [ORDER] = &shop__order_book__descriptor, [CATALOGUE] = &shop__catalogue__descriptor,
    [CART] = &shop__carts__descriptor,       [SUPERVISOR] = &samples__supervisor__descriptor,
};

static const char *const sockets[] = {
    [STOCK] = "stock",         [PAYMENT] = "payment", [ORDER] = "order",
    [CATALOGUE] = "catalogue", [CART] = "cart",       [SUPERVISOR] = "supervisor",
};

int gateway_ask_quietly(void *reply, struct gateway *gateway, enum domain domain,
                        const char *method, const ProtobufCMessage *question, char *text)
{
    return ask(reply, gateway->channels[domain], asked[domain], method, question, text);
}

int gateway_ask(void *reply, struct web_request *request, struct gateway *gateway,
                enum domain domain, const char *method, const ProtobufCMessage *question)
{
    char text[TERCET_TEXT_MAX];
    int rc = gateway_ask_quietly(reply, gateway, domain, method, question, text);
    if (rc == 0)
        return 0;
    web_fail(request, strstr(text, "does not answer") != NULL ? 503 : 409, "%s", text);
    return -1;
}

/* -- Accounts ---------------------------------------------------------------------------------- */

static void serve_register(struct web_request *request, void *gateway)
{
    accounts_serve_register(request, ((struct gateway *)gateway)->accounts, ROLE_CUSTOMER);
}

static void serve_sign_in(struct web_request *request, void *gateway)
{
    accounts_serve_sign_in(request, ((struct gateway *)gateway)->accounts);
}

static void serve_me(struct web_request *request, void *gateway)
{
    accounts_serve_me(request, ((struct gateway *)gateway)->accounts);
}

static void serve_sign_out(struct web_request *request, void *gateway)
{
    (void)gateway;
    accounts_serve_sign_out(request);
}

static const struct web_route routes[] = {
    {"POST", "/api/register", serve_register, WEB_OPEN},
    {"POST", "/api/sign-in", serve_sign_in, WEB_OPEN},
    {"POST", "/api/sign-out", serve_sign_out, 0},
    {"GET", "/api/me", serve_me, WEB_OPEN},
    {"GET", "/api/products", serve_products, WEB_OPEN},
    {"GET", "/api/reviews/", serve_product, WEB_OPEN},
    {"POST", "/api/reviews", serve_review, 0},
    {"GET", "/api/cart", serve_cart, 0},
    {"POST", "/api/cart", serve_cart_put, 0},
    {"GET", "/api/wallet", serve_wallet, 0},
    {"POST", "/api/checkout", serve_checkout, 0},
    {"POST", "/api/buy", serve_buy, 0},
    {"POST", "/api/refund", serve_refund, 0},
    {"GET", "/api/orders", serve_orders, 0},
    {"GET", "/api/watch/", serve_watch, 0},
    {"GET", "/api/figures", serve_figures, 0},
    {"POST", "/api/fill", serve_fill, 0},
    {"POST", "/api/price", serve_price, 0},
    {"POST", "/api/flash", serve_flash, 0},
    {"GET", "/api/system", serve_system, 0},
    {"POST", "/api/break", serve_break, 0},
};

/* -- Running ----------------------------------------------------------------------------------- */

struct settings {
    const char *listen, *coordinator, *sockets, *url, *secret, *console, *seller;
};

static int open_links(struct gateway *gateway, const struct settings *settings, char *text)
{
    const struct tercet_client_options options = {.size = sizeof(options),
                                                  .timeout_ms = CALL_MS_MAX};
    char address[1024];
    if (crpc_loop_new(&gateway->loop, NULL) != 0)
        return -1;
    for (int i = 0; i < DOMAIN_COUNT; i++) {
        snprintf(address, sizeof(address), "unix:%s/%s", settings->sockets, sockets[i]);
        if (crpc_channel_new(&gateway->channels[i], gateway->loop, address, NULL) != 0)
            return -1;
    }
    return tercet_client_open(&gateway->client, settings->coordinator, &options, text) == 0 &&
                   tercet_admin_open(&gateway->admin, settings->coordinator, &options, text) == 0
               ? 0
               : -1;
}

static void close_all(struct gateway *gateway)
{
    web_close(gateway->web);
    tercet_client_close(gateway->client);
    tercet_admin_close(gateway->admin);
    for (int i = 0; i < DOMAIN_COUNT; i++)
        crpc_channel_free(gateway->channels[i]);
    crpc_loop_free(gateway->loop);
    accounts_close(gateway->accounts);
    if (gateway->shelves != NULL)
        crpc_message_free(gateway->shelves);
}

static int open_all(struct gateway *gateway, const struct settings *settings, char *text)
{
    struct web_options options = {.size = sizeof(options),
                                  .listen = settings->listen,
                                  .routes = routes,
                                  .route_count = sizeof(routes) / sizeof(routes[0]),
                                  .files = shop_pages,
                                  .ctx = gateway};
    pthread_mutex_init(&gateway->lock, NULL);
    gateway->console = settings->console;
    if (web_secret_load(options.secret, settings->secret, text) != 0 ||
        accounts_open(&gateway->accounts, settings->url, text) != 0)
        return -1;
    snprintf(text, TERCET_TEXT_MAX, "the seller's account cannot be made");
    if (accounts_seed(gateway->accounts, "seller", settings->seller, ROLE_SELLER) != 0 ||
        open_links(gateway, settings, text) != 0)
        return -1;
    return web_open(&gateway->web, &options, text);
}

int main(int argc, char **argv)
{
    struct settings settings = {.listen = "127.0.0.1:8080",
                                .coordinator = "127.0.0.1:7420",
                                .console = "",
                                .seller = "seller-seller"};
    const struct option_entry entries[] = {
        {"listen", OPTION_TEXT, &settings.listen, "host:port of the page (default 127.0.0.1:8080)"},
        {"coordinator", OPTION_TEXT, &settings.coordinator,
         "the coordinator's address (default 127.0.0.1:7420)"},
        {"sockets", OPTION_TEXT, &settings.sockets, "the folder with the services' sockets"},
        {"db", OPTION_TEXT, &settings.url, "the accounts' database, as a service's --db"},
        {"secret", OPTION_TEXT, &settings.secret,
         "the file of the sessions' key; made when missing"},
        {"console", OPTION_TEXT, &settings.console, "the URL of the operator's console, for links"},
        {"seller-password", OPTION_TEXT, &settings.seller,
         "of the account \"seller\", when it is made (default seller-seller)"},
    };
    struct options options = {.program = "shop-gateway", .summary = "The shop's pages.\n"};
    struct gateway gateway = {0};
    char text[TERCET_TEXT_MAX] = "out of memory";
    sigset_t signals;
    options_add(&options, entries, sizeof(entries) / sizeof(entries[0]));
    options_parse(&options, argc, argv);
    if (settings.sockets == NULL || settings.url == NULL || settings.secret == NULL)
        options_fail(&options, "sockets", "and --db and --secret are needed");
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    int rc = open_all(&gateway, &settings, text);
    if (rc == 0) {
        printf("ready %s\n", web_url(gateway.web));
        fflush(stdout);
        while (sigwaitinfo(&signals, NULL) < 0)
            continue;
    } else {
        fprintf(stderr, "shop-gateway: %s\n", text);
    }
    close_all(&gateway);
    return rc == 0 ? 0 : 1;
}
