/* SPDX-License-Identifier: Apache-2.0
 *
 * edu-assignment: action assignment/submit. A try writes the submission down as PENDING; confirm
 * makes it SUBMITTED, cancel WITHDRAWN. A student may hand in an assignment a few times.
 */
#include <service.h>

#include "edu.pb-c.h"
#include "syllabus.h"

static int64_t assignment_count = SYLLABUS_ASSIGNMENTS;
static int64_t attempts_each = 2;

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS assignment (assignment BIGINT PRIMARY KEY, is_open BIGINT NOT NULL,"
    " attempts BIGINT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS submission (gid VARCHAR(64) PRIMARY KEY, student BIGINT NOT NULL,"
    " assignment BIGINT NOT NULL, text TEXT NOT NULL,"
    " state VARCHAR(16) NOT NULL CHECK (state IN ('PENDING', 'SUBMITTED', 'WITHDRAWN')),"
    " UNIQUE (student, assignment, gid))";

static int seed(const struct db *db)
{
    int is_empty = db_is_empty(db, "assignment");
    for (uint32_t assignment = 1; is_empty > 0 && assignment <= (uint64_t)assignment_count;
         assignment++)
        if (db_change(db, "INSERT INTO assignment VALUES (?1, ?2, ?3)", db_int(assignment),
                      db_int(syllabus_is_open(assignment)), db_int(attempts_each)) != 1)
            return -1;
    return is_empty < 0 ? -1 : 0;
}

static int submit_try(const struct tercet_call *call, void *ctx)
{
    const Edu__Submit *submit = (const Edu__Submit *)call->request;
    int64_t row[2]; /* is_open, attempts */
    int64_t made;
    (void)ctx;
    int found = service_read(
        call, row, 2, "SELECT is_open, attempts FROM assignment WHERE assignment = ?1 FOR UPDATE",
        db_int(submit->assignment));
    if (found > 0 && service_read(call, &made, 1,
                                  "SELECT count(*) FROM submission WHERE student = ?1"
                                  " AND assignment = ?2 AND state <> 'WITHDRAWN'",
                                  db_int(submit->student), db_int(submit->assignment)) < 0)
        found = -1;
    if (found < 0)
        return service_failed(call);
    if (found == 0)
        return tercet_refuse(call, "there is no assignment %u", submit->assignment);
    if (row[0] == 0)
        return tercet_refuse(call, "assignment %u is closed", submit->assignment);
    if (made >= row[1])
        return tercet_refuse(call, "student %u has handed in assignment %u %d times",
                             submit->student, submit->assignment, (int)made);
    int rc = service_change(call, "INSERT INTO submission VALUES (?1, ?2, ?3, ?4, 'PENDING')",
                            db_text(call->gid), db_int(submit->student), db_int(submit->assignment),
                            db_text(submit->text));
    return rc != 0 ? rc : service_record(call, 1);
}

static int submit_confirm(const struct tercet_call *call, void *ctx)
{
    (void)ctx;
    int rc = service_change(
        call, "UPDATE submission SET state = 'SUBMITTED' WHERE gid = ?1 AND state = 'PENDING'",
        db_text(call->gid));
    return rc != 0 ? rc : service_record(call, 1);
}

static int submit_cancel(const struct tercet_call *call, void *ctx)
{
    (void)ctx;
    int rc = service_change(
        call, "UPDATE submission SET state = 'WITHDRAWN' WHERE gid = ?1 AND state = 'PENDING'",
        db_text(call->gid));
    return rc != 0 ? rc : service_record(call, 1);
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "submit",
         .request = &edu__submit__descriptor,
         .on_try = submit_try,
         .on_confirm = submit_confirm,
         .on_cancel = submit_cancel},
    };
    const struct option_entry options[] = {
        {"assignments", OPTION_NUMBER, &assignment_count,
         "assignments of a new database (default 12)"},
        {"attempts", OPTION_NUMBER, &attempts_each,
         "how often a student may hand in each (default 2)"},
    };
    const struct service service = {.program = "edu-assignment",
                                    .summary =
                                        "The platform's assignments: serves assignment/submit.\n",
                                    .name = "assignment",
                                    .actions = actions,
                                    .action_count = 1,
                                    .options = options,
                                    .option_count = 2,
                                    .tables = tables,
                                    .seed = seed};
    return service_main(&service, argc, argv);
}
