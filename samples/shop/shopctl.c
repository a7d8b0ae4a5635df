/* SPDX-License-Identifier: Apache-2.0
 *
 * shopctl: the running shop without a browser. It buys as the gateway does: by the same plan.
 */
#include <inttypes.h>
#include <limits.h>
#include <money.h>
#include <options.h>
#include <queries.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "catalogue/catalogue.h"
#include "flash.h"
#include "plan.h"

struct shopctl {
    const char *folder, *gid;
    int64_t customer, item, quantity, buyers, pieces;
    struct tercet_client *client;
    struct crpc_loop *loop;
    struct crpc_channel *stock, *payment, *order, *catalogue;
};

__attribute__((noreturn)) static void fail(const char *text)
{
    fprintf(stderr, "shopctl: %s\n", text);
    exit(1);
}

/* -- Opening ----------------------------------------------------------------------------------- */

static struct crpc_channel *open_channel(const struct shopctl *ctl, const char *name)
{
    char address[PATH_MAX];
    struct crpc_channel *channel = NULL;
    snprintf(address, sizeof(address), "unix:%s/sockets/%s", ctl->folder, name);
    if (crpc_channel_new(&channel, ctl->loop, address, NULL) != 0)
        fail("out of memory");
    return channel;
}

static void open_all(struct shopctl *ctl)
{
    const struct tercet_client_options options = {.size = sizeof(options), .timeout_ms = 30000};
    static char real[PATH_MAX];
    char path[PATH_MAX], coordinator[128] = "", text[TERCET_TEXT_MAX] = "no memory";
    snprintf(path, sizeof(path), "%s/coordinator", ctl->folder);
    FILE *file = fopen(path, "re");
    if (file == NULL || fscanf(file, "%127s", coordinator) != 1 ||
        realpath(ctl->folder, real) == NULL)
        fail("there is no shop in this folder: start one with samples/shop/run, or say --folder");
    fclose(file);
    ctl->folder = real;
    if (crpc_loop_new(&ctl->loop, NULL) != 0 ||
        tercet_client_open(&ctl->client, coordinator, &options, text) != 0)
        fail(text);
    ctl->stock = open_channel(ctl, "stock");
    ctl->payment = open_channel(ctl, "payment");
    ctl->order = open_channel(ctl, "order");
    ctl->catalogue = open_channel(ctl, "catalogue");
}

static void close_all(struct shopctl *ctl)
{
    tercet_client_close(ctl->client);
    crpc_channel_free(ctl->stock);
    crpc_channel_free(ctl->payment);
    crpc_channel_free(ctl->order);
    crpc_channel_free(ctl->catalogue);
    crpc_loop_free(ctl->loop);
}

/* A question's answer; without one there is no going on. */
static void *ask_or_fail(struct crpc_channel *channel, const ProtobufCServiceDescriptor *service,
                         const char *method, const ProtobufCMessage *question)
{
    ProtobufCMessage *reply = NULL;
    char text[TERCET_TEXT_MAX];
    if (ask(&reply, channel, service, method, question, text) != 0)
        fail(text);
    return reply;
}

/* -- Commands ---------------------------------------------------------------------------------- */

static int64_t price_of(const struct shopctl *ctl)
{
    Shop__Search search = SHOP__SEARCH__INIT;
    search.item = (uint32_t)ctl->item;
    Shop__Products *products =
        ask_or_fail(ctl->catalogue, &shop__catalogue__descriptor, "Find", &search.base);
    if (products->n_products == 0 || ctl->item == 0)
        fail("there is no such item: shopctl products lists them");
    const int64_t cents = products->products[0]->unit_cents;
    crpc_message_free(&products->base);
    return cents;
}

static int buy(struct shopctl *ctl)
{
    Shop__LevelsWanted levels = SHOP__LEVELS_WANTED__INIT;
    struct wanted wanted = {(uint32_t)ctl->item, (uint32_t)ctl->quantity, price_of(ctl)};
    struct tercet_begin_options options = {.size = sizeof(options), .gid = ctl->gid};
    struct plan *plan = calloc(1, sizeof(*plan));
    struct tercet_result result;
    Shop__Shelves *shelves =
        ask_or_fail(ctl->stock, &shop__stock__descriptor, "Levels", &levels.base);
    if (plan == NULL || ctl->quantity < 1 || ctl->quantity > QUANTITY_MAX)
        fail("one may order 1 to 100 pieces of an item");
    plan_order(plan, (uint32_t)ctl->customer, &wanted, 1, shelves, 0);
    crpc_message_free(&shelves->base);
    int rc = tercet_run(ctl->client, plan->branches, plan->branch_count, &options, &result);
    if (rc == 0)
        printf("order %s: paid " MONEY "\n", result.gid.text, MONEY_OF(plan->total_cents));
    else if (rc == TERCET_REFUSED)
        printf("order %s: not made, nothing was charged: %s\n", result.gid.text, result.text);
    else
        printf("order %s: not known yet; the same again with --gid %s: %s\n", result.gid.text,
               result.gid.text, result.text);
    free(plan);
    return rc == 0 ? 0 : rc == TERCET_REFUSED ? 1 : 3;
}

static int list_orders(struct shopctl *ctl)
{
    Shop__OrdersWanted wanted = SHOP__ORDERS_WANTED__INIT;
    wanted.customer = (uint32_t)ctl->customer;
    Shop__Orders *orders =
        ask_or_fail(ctl->order, &shop__order_book__descriptor, "List", &wanted.base);
    for (size_t i = 0; i < orders->n_orders; i++) {
        const Shop__OrderEntry *order = orders->orders[i];
        printf("%-40s %-10s " MONEY, order->gid, order->state, MONEY_OF(order->total_cents));
        for (size_t l = 0; l < order->n_lines; l++)
            printf("  %u x item %u", order->lines[l]->quantity, order->lines[l]->item);
        puts("");
    }
    crpc_message_free(&orders->base);
    return 0;
}

static int show_wallet(struct shopctl *ctl)
{
    Shop__WalletWanted wanted = SHOP__WALLET_WANTED__INIT;
    wanted.customer = (uint32_t)ctl->customer;
    Shop__Wallet *wallet =
        ask_or_fail(ctl->payment, &shop__payment__descriptor, "Look", &wanted.base);
    if (wallet->customer == 0)
        fail("there is no such customer");
    printf(MONEY " available, " MONEY " held, " MONEY " paid\n", MONEY_OF(wallet->available_cents),
           MONEY_OF(wallet->held_cents), MONEY_OF(wallet->paid_cents));
    crpc_message_free(&wallet->base);
    return 0;
}

static int list_products(struct shopctl *ctl)
{
    const Shop__Search search = SHOP__SEARCH__INIT;
    const Shop__LevelsWanted levels = SHOP__LEVELS_WANTED__INIT;
    Shop__Products *products =
        ask_or_fail(ctl->catalogue, &shop__catalogue__descriptor, "Find", &search.base);
    Shop__Shelves *shelves =
        ask_or_fail(ctl->stock, &shop__stock__descriptor, "Levels", &levels.base);
    for (size_t i = 0; i < products->n_products; i++) {
        const Shop__Product *product = products->products[i];
        printf("%3u %-16s %5" PRId64 ".%02" PRId64, product->item, product->name,
               MONEY_OF(product->unit_cents));
        for (size_t s = 0; s < shelves->n_shelves; s++) {
            const Shop__Shelf *shelf = shelves->shelves[s];
            if (shelf->item == product->item)
                printf("  warehouse %u: %" PRId64 " available, %" PRId64 " reserved, %" PRId64
                       " sold",
                       shelf->warehouse, shelf->available, shelf->reserved, shelf->sold);
        }
        puts("");
    }
    crpc_message_free(&shelves->base);
    crpc_message_free(&products->base);
    return 0;
}

static int sell_in_a_flash(struct shopctl *ctl)
{
    struct flash flash = {.buyers = (uint32_t)ctl->buyers, .pieces = (uint32_t)ctl->pieces};
    if (ctl->buyers < 1 || ctl->buyers > FLASH_BUYERS_MAX)
        fail("a flash sale has 1 to 5000 buyers");
    if (flash_run(&flash, ctl->client, ctl->stock, ctl->payment) != 0)
        fail(flash.text);
    printf("%u buyers: %u got a piece, %u were told that it is sold out, %u do not know yet;"
           " %" PRId64 " ms, %" PRId64 " checkouts a second\n",
           flash.buyers, flash.confirmed, flash.refused, flash.unknown, flash.elapsed_ms,
           (int64_t)flash.buyers * 1000 / (flash.elapsed_ms > 0 ? flash.elapsed_ms : 1));
    return flash.unknown == 0 ? 0 : 3;
}

static const struct {
    const char *name;
    int (*run)(struct shopctl *ctl);
} commands[] = {
    {"buy", buy},
    {"orders", list_orders},
    {"wallet", show_wallet},
    {"products", list_products},
    {"flash", sell_in_a_flash},
};

int main(int argc, char **argv)
{
    struct shopctl ctl = {
        .folder = ".shop", .customer = 1, .quantity = 1, .buyers = 1000, .pieces = 100};
    const struct option_entry entries[] = {
        {"folder", OPTION_TEXT, &ctl.folder, "of the running shop (default .shop)"},
        {"customer", OPTION_NUMBER, &ctl.customer, "who (default 1; 1 to 50 are there always)"},
        {"item", OPTION_NUMBER, &ctl.item, "buy: what"},
        {"quantity", OPTION_NUMBER, &ctl.quantity, "buy: how many (default 1)"},
        {"gid", OPTION_TEXT, &ctl.gid, "buy: the order's own id; the same again is the same order"},
        {"buyers", OPTION_NUMBER, &ctl.buyers, "flash: how many (default 1000)"},
        {"pieces", OPTION_NUMBER, &ctl.pieces, "flash: how many there are (default 100)"},
    };
    struct options options = {
        .program = "shopctl buy|orders|wallet|products|flash",
        .summary = "The running shop without a browser: shopctl buy --customer 3 --item 7.\n"
                   "Exit status: 0 done, 1 refused or failed, 2 a wrong command line, 3 not known "
                   "yet.\n"};
    const char *command = argc > 1 ? argv[1] : "";
    const bool has_command = argc > 1 && strncmp(command, "--", 2) != 0;
    options_add(&options, entries, sizeof(entries) / sizeof(entries[0]));
    options_parse(&options, argc - has_command, argv + has_command);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, command) == 0) {
            open_all(&ctl);
            int status = commands[i].run(&ctl);
            close_all(&ctl);
            return status;
        }
    fputs("shopctl: buy, orders, wallet, products or flash is wanted; see shopctl --help\n",
          stderr);
    return 2;
}
