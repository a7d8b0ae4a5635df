/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-order: action order/place. A try writes the order down as PENDING; confirm makes it PAID,
 * cancel CANCELLED. The transaction's gid is the order's key: so the three databases can be laid
 * side by side.
 */
#include <inttypes.h>
#include <service.h>

#include "catalogue.h"
#include "shop.pb-c.h"

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS orders (gid VARCHAR(64) PRIMARY KEY, customer BIGINT NOT NULL,"
    " item BIGINT NOT NULL, quantity BIGINT NOT NULL, total_cents BIGINT NOT NULL,"
    " state VARCHAR(16) NOT NULL CHECK (state IN ('PENDING', 'PAID', 'CANCELLED')))";

/* A shop begins without orders. */
static int seed(const struct db *db)
{
    (void)db;
    return 0;
}

static int place_try(const struct tercet_call *call, void *ctx)
{
    const Shop__Place *order = (const Shop__Place *)call->request;
    (void)ctx;
    if (order->quantity < 1 || order->quantity > QUANTITY_MAX || order->total_cents <= 0)
        return tercet_refuse(call, "this is no order: %u pieces for %" PRId64 " cents",
                             order->quantity, order->total_cents);
    int rc = service_change(call, "INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5, 'PENDING')",
                            db_text(call->gid), db_int(order->customer), db_int(order->item),
                            db_int(order->quantity), db_int(order->total_cents));
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

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "place",
         .request = &shop__place__descriptor,
         .on_try = place_try,
         .on_confirm = place_confirm,
         .on_cancel = place_cancel},
    };
    const struct service service = {.program = "shop-order",
                                    .summary = "The shop's order book: serves order/place.\n",
                                    .name = "order",
                                    .actions = actions,
                                    .action_count = 1,
                                    .tables = tables,
                                    .seed = seed};
    return service_main(&service, argc, argv);
}
