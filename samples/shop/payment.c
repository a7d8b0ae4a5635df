/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-payment: action payment/hold. A try moves money from available to held; confirm pays it,
 * cancel gives it back.
 */
#include <money.h>
#include <service.h>

#include "catalogue.h"
#include "shop.pb-c.h"

static int64_t customer_count = CATALOGUE_CUSTOMERS;
static int64_t cents_each = 50000;

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS account (customer BIGINT PRIMARY KEY, initial BIGINT NOT NULL,"
    " available BIGINT NOT NULL CHECK (available >= 0), held BIGINT NOT NULL CHECK (held >= 0),"
    " paid BIGINT NOT NULL CHECK (paid >= 0))";

static int seed(const struct db *db)
{
    int is_empty = db_is_empty(db, "account");
    for (int64_t customer = 1; is_empty > 0 && customer <= customer_count; customer++)
        if (db_change(db, "INSERT INTO account VALUES (?1, ?2, ?2, 0, 0)", db_int(customer),
                      db_int(cents_each)) != 1)
            return -1;
    return is_empty < 0 ? -1 : 0;
}

static int hold_try(const struct tercet_call *call, void *ctx)
{
    const Shop__Hold *hold = (const Shop__Hold *)call->request;
    int64_t available;
    (void)ctx;
    if (hold->amount_cents <= 0)
        return tercet_refuse(call, "an amount is more than 0.00");
    int found = service_read(call, &available, 1,
                             "SELECT available FROM account WHERE customer = ?1 FOR UPDATE",
                             db_int(hold->customer));
    if (found < 0)
        return service_failed(call);
    if (found == 0)
        return tercet_refuse(call, "there is no customer %u", hold->customer);
    if (available < hold->amount_cents)
        return tercet_refuse(call, "no funds: customer %u has " MONEY ", not " MONEY,
                             hold->customer, MONEY_OF(available), MONEY_OF(hold->amount_cents));
    int rc = service_change(
        call, "UPDATE account SET available = available - ?2, held = held + ?2 WHERE customer = ?1",
        db_int(hold->customer), db_int(hold->amount_cents));
    return rc != 0 ? rc : service_record(call, hold->amount_cents);
}

static int hold_confirm(const struct tercet_call *call, void *ctx)
{
    const Shop__Hold *hold = (const Shop__Hold *)call->request;
    (void)ctx;
    int rc = service_change(
        call, "UPDATE account SET held = held - ?2, paid = paid + ?2 WHERE customer = ?1",
        db_int(hold->customer), db_int(hold->amount_cents));
    return rc != 0 ? rc : service_record(call, hold->amount_cents);
}

static int hold_cancel(const struct tercet_call *call, void *ctx)
{
    const Shop__Hold *hold = (const Shop__Hold *)call->request;
    (void)ctx;
    int rc = service_change(
        call, "UPDATE account SET held = held - ?2, available = available + ?2 WHERE customer = ?1",
        db_int(hold->customer), db_int(hold->amount_cents));
    return rc != 0 ? rc : service_record(call, hold->amount_cents);
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "hold",
         .request = &shop__hold__descriptor,
         .on_try = hold_try,
         .on_confirm = hold_confirm,
         .on_cancel = hold_cancel},
    };
    const struct option_entry options[] = {
        {"customers", OPTION_NUMBER, &customer_count, "customers of a new database (default 50)"},
        {"funds", OPTION_NUMBER, &cents_each, "cents of each (default 50000)"},
    };
    const struct service service = {.program = "shop-payment",
                                    .summary = "The shop's cashier: serves payment/hold.\n",
                                    .name = "payment",
                                    .actions = actions,
                                    .action_count = 1,
                                    .options = options,
                                    .option_count = 2,
                                    .tables = tables,
                                    .seed = seed};
    return service_main(&service, argc, argv);
}
