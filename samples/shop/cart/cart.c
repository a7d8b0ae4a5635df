/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-cart: action cart/checkout. A try sets the cart aside, so that it can neither be changed nor
 * ordered twice; confirm empties it, cancel gives it back. Lines belong to a version of their cart:
 * to empty it is to begin a new version.
 */
#include <service.h>

#include "../catalogue/catalogue.h"
#include "cart.pb-c.h"

#define LINES_MAX 10

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS cart (customer BIGINT PRIMARY KEY, version BIGINT NOT NULL,"
    " changes BIGINT NOT NULL, is_ordering BIGINT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS cart_line (customer BIGINT NOT NULL, version BIGINT NOT NULL,"
    " item BIGINT NOT NULL, quantity BIGINT NOT NULL, PRIMARY KEY (customer, version, item))";

static int seed(const struct db *db)
{
    (void)db;
    return 0;
}

static int checkout_try(const struct tercet_call *call, void *ctx)
{
    const Shop__Checkout *order = (const Shop__Checkout *)call->request;
    int64_t row[2]; /* changes, is_ordering */
    (void)ctx;
    int found = service_read(call, row, 2,
                             "SELECT changes, is_ordering FROM cart WHERE customer = ?1 FOR UPDATE",
                             db_int(order->customer));
    if (found < 0)
        return service_failed(call);
    if (found == 0 || row[0] != order->version)
        return tercet_refuse(call, "the cart has changed: look at it again");
    if (row[1] != 0)
        return tercet_refuse(call, "the cart is being ordered already");
    int rc = service_change(call, "UPDATE cart SET is_ordering = 1 WHERE customer = ?1",
                            db_int(order->customer));
    return rc != 0 ? rc : service_record(call, order->version);
}

static int checkout_confirm(const struct tercet_call *call, void *ctx)
{
    const Shop__Checkout *order = (const Shop__Checkout *)call->request;
    (void)ctx;
    int rc = service_change(call,
                            "UPDATE cart SET is_ordering = 0, version = version + 1,"
                            " changes = changes + 1 WHERE customer = ?1",
                            db_int(order->customer));
    return rc != 0 ? rc : service_record(call, order->version);
}

static int checkout_cancel(const struct tercet_call *call, void *ctx)
{
    const Shop__Checkout *order = (const Shop__Checkout *)call->request;
    (void)ctx;
    int rc = service_change(call, "UPDATE cart SET is_ordering = 0 WHERE customer = ?1",
                            db_int(order->customer));
    return rc != 0 ? rc : service_record(call, order->version);
}

/* -- Questions --------------------------------------------------------------------------------- */

static int add_line(const struct db_row *row, void *ctx)
{
    Shop__Cart *cart = ctx;
    if (row->is_head)
        return 0;
    Shop__CartLine *line = query_add(&cart->n_lines, &cart->lines, &shop__cart_line__descriptor);
    line->item = (uint32_t)row->values[0].number;
    line->quantity = (uint32_t)row->values[1].number;
    return 0;
}

static int fill_cart(struct query *query, int64_t customer)
{
    Shop__Cart *cart = (Shop__Cart *)query->reply;
    int64_t row[3] = {0}; /* version, changes, is_ordering */
    int found = db_read(&query->db, row, 3,
                        "SELECT version, changes, is_ordering FROM cart WHERE customer = ?1",
                        db_int(customer));
    cart->version = row[1];
    cart->is_ordering = row[2] != 0;
    if (found <= 0)
        return found;
    int rows = db_each(&query->db, add_line, cart,
                       "SELECT item, quantity FROM cart_line WHERE customer = ?1 AND version = ?2"
                       " AND quantity > 0 ORDER BY item",
                       db_int(customer), db_int(row[0]));
    return rows < 0 ? -1 : 0;
}

static int answer_look(struct query *query)
{
    const Shop__CartWanted *wanted = (const Shop__CartWanted *)query->request;
    return fill_cart(query, wanted->customer);
}

/* The cart's version, in a row that is locked; it is made when missing. -1 on failure. */
static int64_t open_cart(struct query *query, int64_t customer, int64_t *is_ordering)
{
    int64_t row[2] = {1, 0};
    int found = db_read(&query->db, row, 2,
                        "SELECT version, is_ordering FROM cart WHERE customer = ?1 FOR UPDATE",
                        db_int(customer));
    if (found == 0 &&
        db_change(&query->db, "INSERT INTO cart VALUES (?1, 1, 1, 0)", db_int(customer)) != 1)
        return -1;
    *is_ordering = row[1];
    return found < 0 ? -1 : row[0];
}

static int answer_put(struct query *query)
{
    const Shop__CartLine *line = (const Shop__CartLine *)query->request;
    int64_t is_ordering = 0, count = 0;
    int64_t version = open_cart(query, line->customer, &is_ordering);
    if (version < 0)
        return -1;
    if (is_ordering)
        return query_refuse(query, "the cart is being ordered: it can be changed again after that");
    if (line->quantity > QUANTITY_MAX)
        return query_refuse(query, "one may order 1 to %d pieces", QUANTITY_MAX);
    if (db_read(&query->db, &count, 1,
                "SELECT count(*) FROM cart_line WHERE customer = ?1 AND version = ?2"
                " AND quantity > 0 AND item <> ?3",
                db_int(line->customer), db_int(version), db_int(line->item)) != 1)
        return -1;
    if (count >= LINES_MAX)
        return query_refuse(query, "a cart holds %d different things at most", LINES_MAX);
    if (db_change(&query->db,
                  "DELETE FROM cart_line WHERE customer = ?1 AND version = ?2 AND item = ?3",
                  db_int(line->customer), db_int(version), db_int(line->item)) < 0 ||
        db_change(&query->db, "INSERT INTO cart_line VALUES (?1, ?2, ?3, ?4)",
                  db_int(line->customer), db_int(version), db_int(line->item),
                  db_int(line->quantity)) != 1 ||
        db_change(&query->db, "UPDATE cart SET changes = changes + 1 WHERE customer = ?1",
                  db_int(line->customer)) != 1)
        return -1;
    return fill_cart(query, line->customer);
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "checkout",
         .request = &shop__checkout__descriptor,
         .on_try = checkout_try,
         .on_confirm = checkout_confirm,
         .on_cancel = checkout_cancel},
    };
    const struct query_method queries[] = {{"Look", answer_look}, {"Put", answer_put}};
    const struct service service = {.program = "shop-cart",
                                    .summary = "The shop's carts: serves cart/checkout.\n",
                                    .name = "cart",
                                    .actions = actions,
                                    .action_count = 1,
                                    .tables = tables,
                                    .seed = seed,
                                    .asked = &shop__carts__descriptor,
                                    .queries = queries,
                                    .query_count = 2};
    return service_main(&service, argc, argv);
}
