/* SPDX-License-Identifier: Apache-2.0
 *
 * edu-course: action course/enrol. A try takes a seat from free to reserved and writes the
 * enrolment down, and tells the fee; confirm makes the student a participant, cancel removes the
 * enrolment and gives the seat back.
 */
#include <service.h>

#include "edu.pb-c.h"
#include "syllabus.h"

static int64_t course_count = SYLLABUS_COURSES;
static int64_t seats_each = 20;

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS course (course BIGINT PRIMARY KEY, fee_cents BIGINT NOT NULL,"
    " initial BIGINT NOT NULL, free BIGINT NOT NULL CHECK (free >= 0),"
    " reserved BIGINT NOT NULL CHECK (reserved >= 0), taken BIGINT NOT NULL CHECK (taken >= 0));"
    "CREATE TABLE IF NOT EXISTS enrolment (student BIGINT NOT NULL, course BIGINT NOT NULL,"
    " gid VARCHAR(64) NOT NULL, state VARCHAR(16) NOT NULL CHECK (state IN ('RESERVED',"
    " 'ENROLLED')), PRIMARY KEY (student, course))";

static int seed(const struct db *db)
{
    int is_empty = db_is_empty(db, "course");
    for (uint32_t course = 1; is_empty > 0 && course <= (uint64_t)course_count; course++)
        if (db_change(db, "INSERT INTO course VALUES (?1, ?2, ?3, ?3, 0, 0)", db_int(course),
                      db_int(syllabus_fee_cents(course)), db_int(seats_each)) != 1)
            return -1;
    return is_empty < 0 ? -1 : 0;
}

/* Whether the student may have the seat; the fee. Returns what the hook returns. */
static int check_enrolment(const struct tercet_call *call, const Edu__Enrol *enrol,
                           int64_t *fee_cents)
{
    int64_t row[2]; /* fee_cents, free */
    int64_t has_seat;
    int found = service_read(call, row, 2,
                             "SELECT fee_cents, free FROM course WHERE course = ?1 FOR UPDATE",
                             db_int(enrol->course));
    if (found > 0 && service_read(call, &has_seat, 1,
                                  "SELECT count(*) FROM enrolment WHERE student = ?1"
                                  " AND course = ?2",
                                  db_int(enrol->student), db_int(enrol->course)) < 0)
        found = -1;
    if (found < 0)
        return service_failed(call);
    if (found == 0)
        return tercet_refuse(call, "there is no course %u", enrol->course);
    if (has_seat != 0)
        return tercet_refuse(call, "student %u has a seat in course %u already", enrol->student,
                             enrol->course);
    if (row[1] == 0)
        return tercet_refuse(call, "course %u is full", enrol->course);
    if (enrol->fee_cents != 0 && enrol->fee_cents != row[0])
        return tercet_refuse(call, "the fee of course %u has changed", enrol->course);
    *fee_cents = row[0];
    return 0;
}

static int enrol_try(const struct tercet_call *call, void *ctx)
{
    const Edu__Enrol *enrol = (const Edu__Enrol *)call->request;
    Edu__Enrolled enrolled = EDU__ENROLLED__INIT;
    (void)ctx;
    int rc = check_enrolment(call, enrol, &enrolled.fee_cents);
    if (rc == 0)
        rc = service_change(call, "INSERT INTO enrolment VALUES (?1, ?2, ?3, 'RESERVED')",
                            db_int(enrol->student), db_int(enrol->course), db_text(call->gid));
    if (rc == 0)
        rc = service_change(
            call, "UPDATE course SET free = free - 1, reserved = reserved + 1 WHERE course = ?1",
            db_int(enrol->course));
    if (rc == 0)
        rc = service_record(call, 1);
    return rc != 0 ? rc : tercet_reply(call, &enrolled.base);
}

static int enrol_confirm(const struct tercet_call *call, void *ctx)
{
    const Edu__Enrol *enrol = (const Edu__Enrol *)call->request;
    (void)ctx;
    int rc = service_change(
        call,
        "UPDATE enrolment SET state = 'ENROLLED' WHERE student = ?1 AND course = ?2 AND gid = ?3",
        db_int(enrol->student), db_int(enrol->course), db_text(call->gid));
    if (rc == 0)
        rc = service_change(
            call, "UPDATE course SET reserved = reserved - 1, taken = taken + 1 WHERE course = ?1",
            db_int(enrol->course));
    return rc != 0 ? rc : service_record(call, 1);
}

static int enrol_cancel(const struct tercet_call *call, void *ctx)
{
    const Edu__Enrol *enrol = (const Edu__Enrol *)call->request;
    (void)ctx;
    int rc = service_change(call,
                            "DELETE FROM enrolment WHERE student = ?1 AND course = ?2 AND gid = ?3",
                            db_int(enrol->student), db_int(enrol->course), db_text(call->gid));
    if (rc == 0)
        rc = service_change(
            call, "UPDATE course SET reserved = reserved - 1, free = free + 1 WHERE course = ?1",
            db_int(enrol->course));
    return rc != 0 ? rc : service_record(call, 1);
}

int main(int argc, char **argv)
{
    const struct tercet_action actions[] = {
        {.name = "enrol",
         .request = &edu__enrol__descriptor,
         .on_try = enrol_try,
         .on_confirm = enrol_confirm,
         .on_cancel = enrol_cancel},
    };
    const struct option_entry options[] = {
        {"courses", OPTION_NUMBER, &course_count, "courses of a new database (default 8)"},
        {"seats", OPTION_NUMBER, &seats_each, "seats of each (default 20)"},
    };
    const struct service service = {.program = "edu-course",
                                    .summary = "The platform's courses: serves course/enrol.\n",
                                    .name = "course",
                                    .actions = actions,
                                    .action_count = 1,
                                    .options = options,
                                    .option_count = 2,
                                    .tables = tables,
                                    .seed = seed};
    return service_main(&service, argc, argv);
}
