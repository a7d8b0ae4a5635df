/* SPDX-License-Identifier: Apache-2.0
 *
 * edu-tuition: action tuition/charge. A try moves money from the student's balance to held; confirm
 * charges it, cancel gives it back.
 */
#include <money.h>
#include <service.h>

#include "edu.pb-c.h"
#include "syllabus.h"

static int64_t student_count = SYLLABUS_STUDENTS;
static int64_t cents_each = 50000;

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS account (student BIGINT PRIMARY KEY, initial BIGINT NOT NULL,"
    " balance BIGINT NOT NULL CHECK (balance >= 0), held BIGINT NOT NULL CHECK (held >= 0),"
    " charged BIGINT NOT NULL CHECK (charged >= 0))";

static int seed(const struct db *db)
{
    int is_empty = db_is_empty(db, "account");
    for (int64_t student = 1; is_empty > 0 && student <= student_count; student++)
        if (db_change(db, "INSERT INTO account VALUES (?1, ?2, ?2, 0, 0)", db_int(student),
                      db_int(cents_each)) != 1)
            return -1;
    return is_empty < 0 ? -1 : 0;
}

static int charge_try(const struct tercet_call *call, void *ctx)
{
    const Edu__Charge *charge = (const Edu__Charge *)call->request;
    int64_t balance;
    (void)ctx;
    if (charge->amount_cents <= 0)
        return tercet_refuse(call, "an amount is more than 0.00");
    int found =
        service_read(call, &balance, 1, "SELECT balance FROM account WHERE student = ?1 FOR UPDATE",
                     db_int(charge->student));
    if (found < 0)
        return service_failed(call);
    if (found == 0)
        return tercet_refuse(call, "there is no student %u", charge->student);
    if (balance < charge->amount_cents)
        return tercet_refuse(call, "no funds: student %u has " MONEY ", the fee is " MONEY,
                             charge->student, MONEY_OF(balance), MONEY_OF(charge->amount_cents));
    int rc = service_change(
        call, "UPDATE account SET balance = balance - ?2, held = held + ?2 WHERE student = ?1",
        db_int(charge->student), db_int(charge->amount_cents));
    return rc != 0 ? rc : service_record(call, charge->amount_cents);
}

static int charge_confirm(const struct tercet_call *call, void *ctx)
{
    const Edu__Charge *charge = (const Edu__Charge *)call->request;
    (void)ctx;
    int rc = service_change(
        call, "UPDATE account SET held = held - ?2, charged = charged + ?2 WHERE student = ?1",
        db_int(charge->student), db_int(charge->amount_cents));
    return rc != 0 ? rc : service_record(call, charge->amount_cents);
}

static int charge_cancel(const struct tercet_call *call, void *ctx)
{
    const Edu__Charge *charge = (const Edu__Charge *)call->request;
    (void)ctx;
    int rc = service_change(
        call, "UPDATE account SET held = held - ?2, balance = balance + ?2 WHERE student = ?1",
        db_int(charge->student), db_int(charge->amount_cents));
    return rc != 0 ? rc : service_record(call, charge->amount_cents);
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "charge",
         .request = &edu__charge__descriptor,
         .on_try = charge_try,
         .on_confirm = charge_confirm,
         .on_cancel = charge_cancel},
    };
    const struct option_entry options[] = {
        {"students", OPTION_NUMBER, &student_count, "students of a new database (default 60)"},
        {"funds", OPTION_NUMBER, &cents_each, "cents of each (default 50000)"},
    };
    const struct service service = {.program = "edu-tuition",
                                    .summary = "The platform's bursar: serves tuition/charge.\n",
                                    .name = "tuition",
                                    .actions = actions,
                                    .action_count = 1,
                                    .options = options,
                                    .option_count = 2,
                                    .tables = tables,
                                    .seed = seed};
    return service_main(&service, argc, argv);
}
