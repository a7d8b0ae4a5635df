/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-order: the order book. order/place: a try writes the order down as PENDING; confirm makes it
 * PAID, cancel CANCELLED. The transaction's gid is the order's key: so the databases can be laid
 * side by side. order/give-back, of another transaction: PAID, RETURNING, RETURNED.
 */
#include <inttypes.h>
#include <service.h>
#include <string.h>
#include <time.h>

#include "../catalogue/catalogue.h"
#include "order.pb-c.h"

#define LISTED_MAX "50"

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS orders (gid VARCHAR(64) PRIMARY KEY, customer BIGINT NOT NULL,"
    " item BIGINT NOT NULL, quantity BIGINT NOT NULL, total_cents BIGINT NOT NULL,"
    " state VARCHAR(16) NOT NULL"
    " CHECK (state IN ('PENDING', 'PAID', 'CANCELLED', 'RETURNING', 'RETURNED')),"
    " placed_ms BIGINT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS order_line (gid VARCHAR(64) NOT NULL, line BIGINT NOT NULL,"
    " item BIGINT NOT NULL, quantity BIGINT NOT NULL, cents BIGINT NOT NULL,"
    " warehouse BIGINT NOT NULL, PRIMARY KEY (gid, line))";

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A shop begins without orders. */
static int seed(const struct db *db)
{
    (void)db;
    return 0;
}

/* A plan that has no room for all of an order (PLAN_PARTS_MAX) would be paid for more than it
 * reserves. An order of one item has no lines. */
static bool is_whole(const Shop__Place *order)
{
    uint64_t pieces = 0, cents = 0;
    for (size_t i = 0; i < order->n_lines; i++) {
        pieces += order->lines[i]->quantity;
        cents += (uint64_t)order->lines[i]->cents;
    }
    return order->n_lines == 0 ||
           (pieces == order->quantity && cents == (uint64_t)order->total_cents);
}

static int place_try(const struct tercet_call *call, void *ctx)
{
    const Shop__Place *order = (const Shop__Place *)call->request;
    (void)ctx;
    const uint32_t pieces_max = order->n_lines > 0 ? ORDER_PIECES_MAX : QUANTITY_MAX;
    if (order->quantity < 1 || order->quantity > pieces_max || order->total_cents <= 0)
        return tercet_refuse(call, "this is no order: %u pieces for %" PRId64 " cents",
                             order->quantity, order->total_cents);
    if (!is_whole(order))
        return tercet_refuse(call, "this order has more parts than fit in one: order less at once");
    int rc = service_change(call, "INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, 'PENDING', ?6)",
                            db_text(call->gid), db_int(order->customer), db_int(order->item),
                            db_int(order->quantity), db_int(order->total_cents), db_int(now_ms()));
    for (size_t i = 0; rc == 0 && i < order->n_lines; i++) {
        const Shop__Line *line = order->lines[i];
        rc = service_change(call, "INSERT INTO order_line VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                            db_text(call->gid), db_int((int64_t)i), db_int(line->item),
                            db_int(line->quantity), db_int(line->cents), db_int(line->warehouse));
    }
    return rc != 0 ? rc : service_record(call, order->total_cents);
}

static int place_confirm(const struct tercet_call *call, void *ctx)
{
    const Shop__Place *order = (const Shop__Place *)call->request;
    (void)ctx;
    int rc = service_change(call,
                            "UPDATE orders SET state = 'PAID' WHERE gid = ?1 AND state = 'PENDING'",
                            db_text(call->gid));
    return rc != 0 ? rc : service_record(call, order->total_cents);
}

static int place_cancel(const struct tercet_call *call, void *ctx)
{
    const Shop__Place *order = (const Shop__Place *)call->request;
    (void)ctx;
    int rc = service_change(
        call, "UPDATE orders SET state = 'CANCELLED' WHERE gid = ?1 AND state = 'PENDING'",
        db_text(call->gid));
    return rc != 0 ? rc : service_record(call, order->total_cents);
}

/* Changes the state of the order that is given back. */
static int turn(const struct tercet_call *call, const char *from, const char *to)
{
    const Shop__GiveBack *back = (const Shop__GiveBack *)call->request;
    int rc = service_change(call, "UPDATE orders SET state = ?2 WHERE gid = ?1 AND state = ?3",
                            db_text(back->gid), db_text(to), db_text(from));
    return rc != 0 ? rc : service_record(call, -back->total_cents);
}

static int give_back_try(const struct tercet_call *call, void *ctx)
{
    const Shop__GiveBack *back = (const Shop__GiveBack *)call->request;
    int64_t total_cents;
    (void)ctx;
    int found = service_read(call, &total_cents, 1,
                             "SELECT total_cents FROM orders WHERE gid = ?1 AND customer = ?2"
                             " AND state = 'PAID' FOR UPDATE",
                             db_text(back->gid), db_int(back->customer));
    if (found < 0)
        return service_failed(call);
    if (found == 0 || total_cents != back->total_cents)
        return tercet_refuse(call, "this order is not paid, or was given back before");
    return turn(call, "PAID", "RETURNING");
}

static int give_back_confirm(const struct tercet_call *call, void *ctx)
{
    (void)ctx;
    return turn(call, "RETURNING", "RETURNED");
}

static int give_back_cancel(const struct tercet_call *call, void *ctx)
{
    (void)ctx;
    return turn(call, "RETURNING", "PAID");
}

/* -- Questions --------------------------------------------------------------------------------- */

static int add_order(const struct db_row *row, void *ctx)
{
    Shop__Orders *orders = ctx;
    if (row->is_head)
        return 0;
    Shop__OrderEntry *order =
        query_add(&orders->n_orders, &orders->orders, &shop__order_entry__descriptor);
    order->gid = strdup(row->values[0].text);
    order->customer = (uint32_t)row->values[1].number;
    order->total_cents = row->values[2].number;
    order->state = strdup(row->values[3].text);
    order->placed_ms = row->values[4].number;
    if (row->values[5].number == 0)
        return 0; /* its lines follow */
    Shop__Line *line = query_add(&order->n_lines, &order->lines, &shop__line__descriptor);
    line->item = (uint32_t)row->values[5].number;
    line->quantity = (uint32_t)row->values[6].number;
    line->cents = order->total_cents;
    line->warehouse = 1;
    return 0;
}

static int add_line(const struct db_row *row, void *ctx)
{
    Shop__OrderEntry *order = ctx;
    if (row->is_head)
        return 0;
    Shop__Line *line = query_add(&order->n_lines, &order->lines, &shop__line__descriptor);
    line->item = (uint32_t)row->values[0].number;
    line->quantity = (uint32_t)row->values[1].number;
    line->cents = row->values[2].number;
    line->warehouse = (uint32_t)row->values[3].number;
    return 0;
}

static int answer_list(struct query *query)
{
    const Shop__OrdersWanted *wanted = (const Shop__OrdersWanted *)query->request;
    Shop__Orders *orders = (Shop__Orders *)query->reply;
    int rows = db_each(&query->db, add_order, orders,
                       "SELECT gid, customer, total_cents, state, placed_ms, item, quantity"
                       " FROM orders WHERE customer = ?1 AND (?2 = '' OR gid = ?2)"
                       " ORDER BY placed_ms DESC, gid LIMIT " LISTED_MAX,
                       db_int(wanted->customer), db_text(wanted->gid));
    for (size_t i = 0; rows >= 0 && i < orders->n_orders; i++)
        if (orders->orders[i]->n_lines == 0)
            rows = db_each(&query->db, add_line, orders->orders[i],
                           "SELECT item, quantity, cents, warehouse FROM order_line"
                           " WHERE gid = ?1 ORDER BY line",
                           db_text(orders->orders[i]->gid));
    return rows < 0 ? -1 : 0;
}

static int add_count(const struct db_row *row, void *ctx)
{
    Shop__Counts *counts = ctx;
    if (row->is_head)
        return 0;
    const char *state = row->values[0].text;
    const int64_t count = query_number(&row->values[1]);
    if (strcmp(state, "PENDING") == 0)
        counts->pending += count;
    else if (strcmp(state, "CANCELLED") == 0)
        counts->cancelled += count;
    else if (strcmp(state, "RETURNED") == 0)
        counts->returned += count;
    else
        counts->paid += count;
    return 0;
}

static int answer_count(struct query *query)
{
    int rows =
        query->db.driver->run(query->db.handle, "SELECT state, count(*) FROM orders GROUP BY state",
                              NULL, 0, add_count, query->reply);
    return rows < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "place",
         .request = &shop__place__descriptor,
         .on_try = place_try,
         .on_confirm = place_confirm,
         .on_cancel = place_cancel},
        {.name = "give-back",
         .request = &shop__give_back__descriptor,
         .on_try = give_back_try,
         .on_confirm = give_back_confirm,
         .on_cancel = give_back_cancel},
    };
    const struct query_method queries[] = {{"List", answer_list}, {"Count", answer_count}};
    const struct service service = {.program = "shop-order",
                                    .summary = "The shop's order book: serves order/place\n"
                                               "and order/give-back.\n",
                                    .name = "order",
                                    .actions = actions,
                                    .action_count = 2,
                                    .tables = tables,
                                    .seed = seed,
                                    .asked = &shop__order_book__descriptor,
                                    .queries = queries,
                                    .query_count = 2};
    return service_main(&service, argc, argv);
}
