/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-stock: the warehouses. stock/reserve: a try moves pieces from available to reserved, and
 * tells what they cost; confirm sells them, cancel puts them back. stock/take-back: sold pieces
 * come back. One transaction may have several branches here, of several items or warehouses.
 */
#include <service.h>

#include "../catalogue/catalogue.h"
#include "stock.pb-c.h"

#define WAREHOUSES_MAX 9
#define PIECES_MAX 1000000 /* on one shelf */

static int64_t item_count = CATALOGUE_ITEMS;
static int64_t pieces_each = 100;
static int64_t warehouse_count = 1;

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS item (item BIGINT NOT NULL, warehouse BIGINT NOT NULL,"
    " price_cents BIGINT NOT NULL, initial BIGINT NOT NULL,"
    " available BIGINT NOT NULL CHECK (available >= 0),"
    " reserved BIGINT NOT NULL CHECK (reserved >= 0), sold BIGINT NOT NULL CHECK (sold >= 0),"
    " coming_back BIGINT NOT NULL CHECK (coming_back >= 0 AND coming_back <= sold),"
    " PRIMARY KEY (item, warehouse))";

/* Messages of before there were several say 0. */
static struct db_value first_if_none(uint32_t warehouse)
{
    return db_int(warehouse == 0 ? 1 : warehouse);
}

static int seed(const struct db *db)
{
    int is_empty = db_is_empty(db, "item");
    const int64_t count = is_empty > 0 ? item_count * warehouse_count : 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t item = 1 + (uint32_t)(i / warehouse_count);
        if (db_change(db, "INSERT INTO item VALUES (?1, ?2, ?3, ?4, ?4, 0, 0, 0)", db_int(item),
                      db_int(1 + i % warehouse_count), db_int(catalogue_price_cents(item)),
                      db_int(pieces_each)) != 1)
            return -1;
    }
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
                             "SELECT price_cents, available FROM item"
                             " WHERE item = ?1 AND warehouse = ?2 FOR UPDATE",
                             db_int(order->item), first_if_none(order->warehouse));
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
    int rc = service_change(call,
                            "UPDATE item SET available = available - ?2, reserved = reserved + ?2"
                            " WHERE item = ?1 AND warehouse = ?3",
                            db_int(order->item), db_int(order->quantity),
                            first_if_none(order->warehouse));
    if (rc == 0)
        rc = service_record(call, order->quantity);
    return rc != 0 ? rc : tercet_reply(call, &reserved.base);
}

static int reserve_confirm(const struct tercet_call *call, void *ctx)
{
    const Shop__Reserve *order = (const Shop__Reserve *)call->request;
    (void)ctx;
    int rc = service_change(call,
                            "UPDATE item SET reserved = reserved - ?2, sold = sold + ?2"
                            " WHERE item = ?1 AND warehouse = ?3",
                            db_int(order->item), db_int(order->quantity),
                            first_if_none(order->warehouse));
    return rc != 0 ? rc : service_record(call, order->quantity);
}

static int reserve_cancel(const struct tercet_call *call, void *ctx)
{
    const Shop__Reserve *order = (const Shop__Reserve *)call->request;
    (void)ctx;
    int rc = service_change(call,
                            "UPDATE item SET reserved = reserved - ?2, available = available + ?2"
                            " WHERE item = ?1 AND warehouse = ?3",
                            db_int(order->item), db_int(order->quantity),
                            first_if_none(order->warehouse));
    return rc != 0 ? rc : service_record(call, order->quantity);
}

/* Until it is confirmed the pieces are sold, and in nobody else's hands: a confirm cannot fail. */
static int take_back_try(const struct tercet_call *call, void *ctx)
{
    const Shop__TakeBack *back = (const Shop__TakeBack *)call->request;
    int64_t sold;
    (void)ctx;
    int found = service_read(call, &sold, 1,
                             "SELECT sold - coming_back FROM item"
                             " WHERE item = ?1 AND warehouse = ?2 FOR UPDATE",
                             db_int(back->item), first_if_none(back->warehouse));
    if (found < 0)
        return service_failed(call);
    if (found == 0 || back->quantity < 1 || sold < back->quantity)
        return tercet_refuse(call, "%u of item %u were not sold here", back->quantity, back->item);
    int rc = service_change(
        call, "UPDATE item SET coming_back = coming_back + ?2 WHERE item = ?1 AND warehouse = ?3",
        db_int(back->item), db_int(back->quantity), first_if_none(back->warehouse));
    return rc != 0 ? rc : service_record(call, -(int64_t)back->quantity);
}

static int take_back_confirm(const struct tercet_call *call, void *ctx)
{
    const Shop__TakeBack *back = (const Shop__TakeBack *)call->request;
    (void)ctx;
    int rc =
        service_change(call,
                       "UPDATE item SET coming_back = coming_back - ?2, sold = sold - ?2,"
                       " available = available + ?2 WHERE item = ?1 AND warehouse = ?3",
                       db_int(back->item), db_int(back->quantity), first_if_none(back->warehouse));
    return rc != 0 ? rc : service_record(call, -(int64_t)back->quantity);
}

static int take_back_cancel(const struct tercet_call *call, void *ctx)
{
    const Shop__TakeBack *back = (const Shop__TakeBack *)call->request;
    (void)ctx;
    int rc = service_change(
        call, "UPDATE item SET coming_back = coming_back - ?2 WHERE item = ?1 AND warehouse = ?3",
        db_int(back->item), db_int(back->quantity), first_if_none(back->warehouse));
    return rc != 0 ? rc : service_record(call, -(int64_t)back->quantity);
}

/* -- Questions --------------------------------------------------------------------------------- */

static int add_shelf(const struct db_row *row, void *ctx)
{
    Shop__Shelves *shelves = ctx;
    if (row->is_head)
        return 0;
    Shop__Shelf *shelf =
        query_add(&shelves->n_shelves, &shelves->shelves, &shop__shelf__descriptor);
    shelf->item = (uint32_t)row->values[0].number;
    shelf->warehouse = (uint32_t)row->values[1].number;
    shelf->available = row->values[2].number;
    shelf->reserved = row->values[3].number;
    shelf->sold = row->values[4].number;
    return 0;
}

static int fill_shelves(struct query *query, uint32_t item)
{
    int rows = db_each(&query->db, add_shelf, query->reply,
                       "SELECT item, warehouse, available, reserved, sold FROM item"
                       " WHERE ?1 = 0 OR item = ?1 ORDER BY item, warehouse",
                       db_int(item));
    return rows < 0 ? -1 : 0;
}

static int answer_levels(struct query *query)
{
    return fill_shelves(query, ((const Shop__LevelsWanted *)query->request)->item);
}

/* What comes from outside was there from the beginning: so pieces are still conserved. */
static int answer_fill(struct query *query)
{
    const Shop__Filling *filling = (const Shop__Filling *)query->request;
    int64_t available;
    int found = db_read(&query->db, &available, 1,
                        "SELECT available FROM item WHERE item = ?1 AND warehouse = ?2 FOR UPDATE",
                        db_int(filling->item), db_int(filling->warehouse));
    if (filling->item < 1 || filling->item > CATALOGUE_FLASH || filling->warehouse < 1 ||
        filling->warehouse > WAREHOUSES_MAX || filling->available < 0 ||
        filling->available > PIECES_MAX)
        return query_refuse(query, "a shelf holds 0 to %d pieces of an item of the catalogue",
                            PIECES_MAX);
    if (found == 0 && db_change(&query->db, "INSERT INTO item VALUES (?1, ?2, ?3, 0, 0, 0, 0, 0)",
                                db_int(filling->item), db_int(filling->warehouse),
                                db_int(catalogue_price_cents(filling->item))) != 1)
        return -1;
    const int64_t more = filling->available - (found > 0 ? available : 0);
    if (found < 0 ||
        (more > 0 &&
         db_change(&query->db,
                   "UPDATE item SET initial = initial + ?3, available = available + ?3"
                   " WHERE item = ?1 AND warehouse = ?2",
                   db_int(filling->item), db_int(filling->warehouse), db_int(more)) != 1))
        return -1;
    return fill_shelves(query, filling->item);
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "reserve",
         .request = &shop__reserve__descriptor,
         .on_try = reserve_try,
         .on_confirm = reserve_confirm,
         .on_cancel = reserve_cancel},
        {.name = "take-back",
         .request = &shop__take_back__descriptor,
         .on_try = take_back_try,
         .on_confirm = take_back_confirm,
         .on_cancel = take_back_cancel},
    };
    const struct query_method queries[] = {{"Levels", answer_levels}, {"Fill", answer_fill}};
    const struct option_entry options[] = {
        {"items", OPTION_NUMBER, &item_count, "items of a new database (default 20)"},
        {"stock", OPTION_NUMBER, &pieces_each, "pieces of each, in each warehouse (default 100)"},
        {"warehouses", OPTION_NUMBER, &warehouse_count, "of a new database (default 1)"},
    };
    const struct service service = {.program = "shop-stock",
                                    .summary = "The shop's warehouses: serves stock/reserve\n"
                                               "and stock/take-back.\n",
                                    .name = "stock",
                                    .actions = actions,
                                    .action_count = 2,
                                    .options = options,
                                    .option_count = 3,
                                    .tables = tables,
                                    .seed = seed,
                                    .asked = &shop__stock__descriptor,
                                    .queries = queries,
                                    .query_count = 2};
    return service_main(&service, argc, argv);
}
