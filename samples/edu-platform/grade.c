/* SPDX-License-Identifier: Apache-2.0
 *
 * edu-grade: action grade/open. A try finds the grader with the most time, reserves an hour, and
 * writes the grade entry down as PENDING; confirm makes it OPEN, cancel VOID. Who was chosen is
 * known to this database alone: confirm and cancel find it there, by the gid.
 */
#include <service.h>

#include "edu.pb-c.h"

static int64_t grader_count = 4;
static int64_t hours_each = 30;

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS grader (grader BIGINT PRIMARY KEY, initial BIGINT NOT NULL,"
    " free BIGINT NOT NULL CHECK (free >= 0), reserved BIGINT NOT NULL CHECK (reserved >= 0),"
    " taken BIGINT NOT NULL CHECK (taken >= 0));"
    "CREATE TABLE IF NOT EXISTS entry (gid VARCHAR(64) PRIMARY KEY, student BIGINT NOT NULL,"
    " assignment BIGINT NOT NULL, grader BIGINT NOT NULL,"
    " state VARCHAR(16) NOT NULL CHECK (state IN ('PENDING', 'OPEN', 'VOID')))";

static int seed(const struct db *db)
{
    int is_empty = db_is_empty(db, "grader");
    for (int64_t grader = 1; is_empty > 0 && grader <= grader_count; grader++)
        if (db_change(db, "INSERT INTO grader VALUES (?1, ?2, ?2, 0, 0)", db_int(grader),
                      db_int(hours_each)) != 1)
            return -1;
    return is_empty < 0 ? -1 : 0;
}

static int open_try(const struct tercet_call *call, void *ctx)
{
    const Edu__OpenGrade *open = (const Edu__OpenGrade *)call->request;
    Edu__GradeOpened opened = EDU__GRADE_OPENED__INIT;
    int64_t grader;
    (void)ctx;
    int found = service_read(
        call, &grader, 1,
        "SELECT grader FROM grader WHERE free >= ?1 ORDER BY free DESC, grader LIMIT 1", db_int(1));
    if (found < 0)
        return service_failed(call);
    if (found == 0)
        return tercet_refuse(call, "no grader has time for assignment %u", open->assignment);
    int rc = service_change(call, "INSERT INTO entry VALUES (?1, ?2, ?3, ?4, 'PENDING')",
                            db_text(call->gid), db_int(open->student), db_int(open->assignment),
                            db_int(grader));
    if (rc == 0)
        rc = service_change(
            call,
            "UPDATE grader SET free = free - 1, reserved = reserved + 1 WHERE grader = ?1"
            " AND free > 0", /* another may have been faster: asked again, it is seen */
            db_int(grader));
    if (rc == 0)
        rc = service_record(call, 1);
    opened.grader = (uint32_t)grader;
    return rc != 0 ? rc : tercet_reply(call, &opened.base);
}

static int open_confirm(const struct tercet_call *call, void *ctx)
{
    (void)ctx;
    int rc =
        service_change(call, "UPDATE entry SET state = 'OPEN' WHERE gid = ?1 AND state = 'PENDING'",
                       db_text(call->gid));
    if (rc == 0)
        rc = service_change(call,
                            "UPDATE grader SET reserved = reserved - 1, taken = taken + 1"
                            " WHERE grader = (SELECT grader FROM entry WHERE gid = ?1)",
                            db_text(call->gid));
    return rc != 0 ? rc : service_record(call, 1);
}

static int open_cancel(const struct tercet_call *call, void *ctx)
{
    (void)ctx;
    int rc =
        service_change(call, "UPDATE entry SET state = 'VOID' WHERE gid = ?1 AND state = 'PENDING'",
                       db_text(call->gid));
    if (rc == 0)
        rc = service_change(call,
                            "UPDATE grader SET reserved = reserved - 1, free = free + 1"
                            " WHERE grader = (SELECT grader FROM entry WHERE gid = ?1)",
                            db_text(call->gid));
    return rc != 0 ? rc : service_record(call, 1);
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "open",
         .request = &edu__open_grade__descriptor,
         .on_try = open_try,
         .on_confirm = open_confirm,
         .on_cancel = open_cancel},
    };
    const struct option_entry options[] = {
        {"graders", OPTION_NUMBER, &grader_count, "graders of a new database (default 4)"},
        {"hours", OPTION_NUMBER, &hours_each, "entries each has time for (default 30)"},
    };
    const struct service service = {.program = "edu-grade",
                                    .summary = "The platform's grade book: serves grade/open.\n",
                                    .name = "grade",
                                    .actions = actions,
                                    .action_count = 1,
                                    .options = options,
                                    .option_count = 2,
                                    .tables = tables,
                                    .seed = seed};
    return service_main(&service, argc, argv);
}
