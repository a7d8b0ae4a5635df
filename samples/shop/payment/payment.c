/* SPDX-License-Identifier: Apache-2.0
 *
 * shop-payment: wallets. payment/hold: a try moves money from available to held; confirm pays it,
 * cancel gives it back. payment/refund: what was paid comes back.
 */
#include <money.h>
#include <service.h>

#include "../catalogue/catalogue.h"
#include "payment.pb-c.h"

#define OPENED_MAX 10000 /* wallets with one question */

static int64_t customer_count = CATALOGUE_CUSTOMERS;
static int64_t cents_each = 50000;

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS account (customer BIGINT PRIMARY KEY, initial BIGINT NOT NULL,"
    " available BIGINT NOT NULL CHECK (available >= 0), held BIGINT NOT NULL CHECK (held >= 0),"
    " paid BIGINT NOT NULL CHECK (paid >= 0),"
    " coming_back BIGINT NOT NULL CHECK (coming_back >= 0 AND coming_back <= paid))";

static int seed(const struct db *db)
{
    int is_empty = db_is_empty(db, "account");
    for (int64_t customer = 1; is_empty > 0 && customer <= customer_count; customer++)
        if (db_change(db, "INSERT INTO account VALUES (?1, ?2, ?2, 0, 0, 0)", db_int(customer),
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
    if (found == 0 && hold->opening_cents <= 0)
        return tercet_refuse(call, "there is no customer %u", hold->customer);
    if (found == 0) {
        int rc = service_change(call, "INSERT INTO account VALUES (?1, ?2, ?2, 0, 0, 0)",
                                db_int(hold->customer), db_int(hold->opening_cents));
        if (rc != 0)
            return rc;
        available = hold->opening_cents;
    }
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

/* Until it is confirmed the money is paid, and set aside: a confirm cannot fail. */
static int refund_try(const struct tercet_call *call, void *ctx)
{
    const Shop__Refund *refund = (const Shop__Refund *)call->request;
    int64_t paid;
    (void)ctx;
    int found = service_read(call, &paid, 1,
                             "SELECT paid - coming_back FROM account WHERE customer = ?1"
                             " FOR UPDATE",
                             db_int(refund->customer));
    if (found < 0)
        return service_failed(call);
    if (found == 0 || refund->amount_cents <= 0 || paid < refund->amount_cents)
        return tercet_refuse(call, "customer %u has not paid " MONEY, refund->customer,
                             MONEY_OF(refund->amount_cents));
    int rc = service_change(call,
                            "UPDATE account SET coming_back = coming_back + ?2 WHERE customer = ?1",
                            db_int(refund->customer), db_int(refund->amount_cents));
    return rc != 0 ? rc : service_record(call, -refund->amount_cents);
}

static int refund_confirm(const struct tercet_call *call, void *ctx)
{
    const Shop__Refund *refund = (const Shop__Refund *)call->request;
    (void)ctx;
    int rc = service_change(call,
                            "UPDATE account SET coming_back = coming_back - ?2, paid = paid - ?2,"
                            " available = available + ?2 WHERE customer = ?1",
                            db_int(refund->customer), db_int(refund->amount_cents));
    return rc != 0 ? rc : service_record(call, -refund->amount_cents);
}

static int refund_cancel(const struct tercet_call *call, void *ctx)
{
    const Shop__Refund *refund = (const Shop__Refund *)call->request;
    (void)ctx;
    int rc = service_change(call,
                            "UPDATE account SET coming_back = coming_back - ?2 WHERE customer = ?1",
                            db_int(refund->customer), db_int(refund->amount_cents));
    return rc != 0 ? rc : service_record(call, -refund->amount_cents);
}

/* -- Questions --------------------------------------------------------------------------------- */

/* A NULL customer: all of them. */
static int fill_wallet(struct query *query, const uint32_t *customer)
{
    Shop__Wallet *wallet = (Shop__Wallet *)query->reply;
    int64_t row[3] = {0};
    int found =
        customer != NULL
            ? db_read(&query->db, row, 3,
                      "SELECT available, held, paid FROM account WHERE customer = ?1",
                      db_int(*customer))
            : query_sums(query, row, 3, "SELECT sum(available), sum(held), sum(paid) FROM account");
    wallet->customer = customer != NULL && found > 0 ? *customer : 0;
    wallet->available_cents = row[0];
    wallet->held_cents = row[1];
    wallet->paid_cents = row[2];
    return found < 0 ? -1 : 0;
}

static int answer_look(struct query *query)
{
    return fill_wallet(query, &((const Shop__WalletWanted *)query->request)->customer);
}

static int answer_totals(struct query *query)
{
    return fill_wallet(query, NULL);
}

static int answer_open(struct query *query)
{
    const Shop__Opening *opening = (const Shop__Opening *)query->request;
    int64_t count;
    if (opening->customer < 1 || opening->count < 1 || opening->count > OPENED_MAX ||
        opening->cents < 0)
        return query_refuse(query, "1 to %d wallets can be opened at once", OPENED_MAX);
    for (uint32_t i = 0; i < opening->count; i++) {
        struct db_value customer = db_int((int64_t)opening->customer + i);
        if (db_read(&query->db, &count, 1, "SELECT count(*) FROM account WHERE customer = ?1",
                    customer) != 1)
            return -1;
        if (count == 0 && db_change(&query->db, "INSERT INTO account VALUES (?1, ?2, ?2, 0, 0, 0)",
                                    customer, db_int(opening->cents)) != 1)
            return -1;
    }
    return fill_wallet(query, &opening->customer);
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "hold",
         .request = &shop__hold__descriptor,
         .on_try = hold_try,
         .on_confirm = hold_confirm,
         .on_cancel = hold_cancel},
        {.name = "refund",
         .request = &shop__refund__descriptor,
         .on_try = refund_try,
         .on_confirm = refund_confirm,
         .on_cancel = refund_cancel},
    };
    const struct query_method queries[] = {
        {"Look", answer_look}, {"Open", answer_open}, {"Totals", answer_totals}};
    const struct option_entry options[] = {
        {"customers", OPTION_NUMBER, &customer_count, "customers of a new database (default 50)"},
        {"funds", OPTION_NUMBER, &cents_each, "cents of each (default 50000)"},
    };
    const struct service service = {.program = "shop-payment",
                                    .summary = "The shop's cashier: serves payment/hold\n"
                                               "and payment/refund.\n",
                                    .name = "payment",
                                    .actions = actions,
                                    .action_count = 2,
                                    .options = options,
                                    .option_count = 2,
                                    .tables = tables,
                                    .seed = seed,
                                    .asked = &shop__payment__descriptor,
                                    .queries = queries,
                                    .query_count = 3};
    return service_main(&service, argc, argv);
}
