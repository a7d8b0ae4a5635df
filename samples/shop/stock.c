/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-stock: action stock/reserve. A try moves pieces from available to reserved, and tells what
 * they cost; confirm sells them, cancel gives them back.
 */
#include <service.h>

#include "catalogue.h"
#include "shop.pb-c.h"

static int64_t item_count = CATALOGUE_ITEMS;
static int64_t pieces_each = 100;

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS item (item BIGINT PRIMARY KEY, price_cents BIGINT NOT NULL,"
    " initial BIGINT NOT NULL, available BIGINT NOT NULL CHECK (available >= 0),"
    " reserved BIGINT NOT NULL CHECK (reserved >= 0), sold BIGINT NOT NULL CHECK (sold >= 0))";

static int seed(const struct db *db)
{
    int is_empty = db_is_empty(db, "item");
    for (uint32_t item = 1; is_empty > 0 && item <= (uint64_t)item_count; item++)
        if (db_change(db, "INSERT INTO item VALUES (?1, ?2, ?3, ?3, 0, 0)", db_int(item),
                      db_int(catalogue_price_cents(item)), db_int(pieces_each)) != 1)
            return -1;
    return is_empty < 0 ? -1 : 0;
}

static int reserve_try(const struct tercet_call *call, void *ctx)
{
    const Shop__Reserve *order = (const Shop__Reserve *)call->request;
    Shop__Reserved reserved = SHOP__RESERVED__INIT;
    int64_t row[2]; /* price_cents, available */
    (void)ctx;
    if (order->quantity < 1 || order->quantity > QUANTITY_MAX)
        return tercet_refuse(call, "one may order 1 to %d pieces, not %u", QUANTITY_MAX,
                             order->quantity);
    int found = service_read(call, row, 2,
                             "SELECT price_cents, available FROM item WHERE item = ?1 FOR UPDATE",
                             db_int(order->item));
    if (found < 0)
        return service_failed(call);
    if (found == 0)
        return tercet_refuse(call, "there is no item %u", order->item);
    if (row[1] < order->quantity)
        return tercet_refuse(call, "sold out: %u of item %u wanted, %d left", order->quantity,
                             order->item, (int)row[1]);
    reserved.total_cents = row[0] * order->quantity;
    if (order->total_cents != 0 && order->total_cents != reserved.total_cents)
        return tercet_refuse(call, "the price of item %u has changed", order->item);
    int rc = service_change(
        call,
        "UPDATE item SET available = available - ?2, reserved = reserved + ?2 WHERE item = ?1",
        db_int(order->item), db_int(order->quantity));
    if (rc == 0)
        rc = service_record(call, order->quantity);
    return rc != 0 ? rc : tercet_reply(call, &reserved.base);
}

static int reserve_confirm(const struct tercet_call *call, void *ctx)
{
    const Shop__Reserve *order = (const Shop__Reserve *)call->request;
    (void)ctx;
    int rc = service_change(
        call, "UPDATE item SET reserved = reserved - ?2, sold = sold + ?2 WHERE item = ?1",
        db_int(order->item), db_int(order->quantity));
    return rc != 0 ? rc : service_record(call, order->quantity);
}

static int reserve_cancel(const struct tercet_call *call, void *ctx)
{
    const Shop__Reserve *order = (const Shop__Reserve *)call->request;
    (void)ctx;
    int rc = service_change(
        call,
        "UPDATE item SET reserved = reserved - ?2, available = available + ?2 WHERE item = ?1",
        db_int(order->item), db_int(order->quantity));
    return rc != 0 ? rc : service_record(call, order->quantity);
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "reserve",
         .request = &shop__reserve__descriptor,
         .on_try = reserve_try,
         .on_confirm = reserve_confirm,
         .on_cancel = reserve_cancel},
    };
    const struct option_entry options[] = {
        {"items", OPTION_NUMBER, &item_count, "items of a new database (default 20)"},
        {"stock", OPTION_NUMBER, &pieces_each, "pieces of each (default 100)"},
    };
    const struct service service = {.program = "shop-stock",
                                    .summary = "The shop's warehouse: serves stock/reserve.\n",
                                    .name = "stock",
                                    .actions = actions,
                                    .action_count = 1,
                                    .options = options,
                                    .option_count = 2,
                                    .tables = tables,
                                    .seed = seed};
    return service_main(&service, argc, argv);
}
