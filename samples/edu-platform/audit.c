/* SPDX-License-Identifier: Apache-2.0
 *
 * edu-audit: proves from outside that seats, money and graders' time are conserved, that whoever
 * has a seat has paid for it and the reverse, and that every submission has its grade entry.
 */
#include <audit.h>

static const struct audit_database databases[] = {
    {"course", "enrolment", {"course", "enrolment"}},
    {"tuition", "enrolment", {"account"}},
    {"assignment", "submission", {"assignment", "submission"}},
    {"grade", "submission", {"grader", "entry"}}};

/* A service's totals beside what its ledger adds up to. */
#define BOOK_CHECK(service, table, open, done)                                                     \
    "SELECT '" service "', printf('%d " open " and %d " done ", by the ledger %d and %d',"         \
    " b.open, b.done, l.open, l.done)"                                                             \
    " FROM (SELECT total(" open ") AS open, total(" done ") AS done FROM " table ") AS b,"         \
    " (SELECT total(CASE op WHEN 'try' THEN amount ELSE -amount END) AS open,"                     \
    " total((op = 'confirm') * amount) AS done"                                                    \
    " FROM ledger WHERE service = '" service "') AS l WHERE b.open <> l.open OR b.done <> l.done"

/* A row's state beside what the ledger says of its gid. */
#define STATE_CHECK(service, table, pending, confirmed, cancelled)                                 \
    "SELECT t.gid, printf('" table                                                                 \
    ": %s, by the ledger %s', t.state, coalesce(l.state, 'not there'))"                            \
    " FROM " table                                                                                 \
    " AS t LEFT JOIN (SELECT gid, CASE WHEN sum(op = 'confirm') > 0 THEN '" confirmed "'"          \
    " WHEN sum(op = 'cancel') > 0 THEN '" cancelled "' ELSE '" pending                             \
    "' END AS state FROM ledger"                                                                   \
    " WHERE service = '" service                                                                   \
    "' GROUP BY gid) AS l ON l.gid = t.gid WHERE t.state IS NOT l.state"

static const struct audit_check checks[] = {
    {"seats are conserved", false,
     "SELECT printf('course %d', course), printf('%d seats at first, now %d free + %d reserved + "
     "%d taken', initial,"
     " free, reserved, taken) FROM course WHERE initial <> free + reserved + taken OR min(free, "
     "reserved, taken) < 0"},
    {"money is conserved", false,
     "SELECT printf('student %d', student), printf('%d cents at first, now %d balance + %d held + "
     "%d charged', initial,"
     " balance, held, charged) FROM account"
     " WHERE initial <> balance + held + charged OR min(balance, held, charged) < 0"},
    {"graders' time is conserved", false,
     "SELECT printf('grader %d', grader), printf('%d at first, now %d free + %d reserved + %d "
     "taken', initial, free,"
     " reserved, taken) FROM grader WHERE initial <> free + reserved + taken OR min(free, "
     "reserved, taken) < 0"},
    {"the courses' book is their ledger's sum", false,
     BOOK_CHECK("course", "course", "reserved", "taken")},
    {"the bursar's book is the ledger's sum", false,
     BOOK_CHECK("tuition", "account", "held", "charged")},
    {"the graders' book is their ledger's sum", false,
     BOOK_CHECK("grade", "grader", "reserved", "taken")},
    {"an enrolment's state is its ledger's", false,
     STATE_CHECK("course", "enrolment", "RESERVED", "ENROLLED", "REMOVED")},
    {"a submission's state is its ledger's", false,
     STATE_CHECK("assignment", "submission", "PENDING", "SUBMITTED", "WITHDRAWN")},
    {"a grade entry's state is its ledger's", false,
     STATE_CHECK("grade", "entry", "PENDING", "OPEN", "VOID")},
    {"nobody is enrolled but by a row", false,
     "SELECT printf('course %d', c.course), printf('%d seats reserved or taken, %d enrolments', "
     "c.reserved + c.taken,"
     " count(e.student)) FROM course AS c LEFT JOIN enrolment AS e ON e.course = c.course"
     " GROUP BY c.course HAVING c.reserved + c.taken <> count(e.student)"},
    {"nothing is reserved, held or pending", true,
     "SELECT printf('course %d', course), printf('%d seats reserved', reserved) FROM course WHERE "
     "reserved <> 0 "
     "UNION ALL "
     "SELECT printf('student %d', student), printf('%d cents held', held) FROM account WHERE held "
     "<> 0 "
     "UNION ALL "
     "SELECT printf('grader %d', grader), printf('%d reserved', reserved) FROM grader WHERE "
     "reserved <> 0 "
     "UNION ALL "
     "SELECT gid, 'the submission is pending' FROM submission WHERE state = 'PENDING' "
     "UNION ALL "
     "SELECT gid, 'the grade entry is pending' FROM entry WHERE state = 'PENDING'"},
    {"whoever has a seat has paid for it, and no more", true,
     "SELECT printf('student %d', a.student), printf('%d cents charged, seats for %d', a.charged, "
     "total(c.fee_cents))"
     " FROM account AS a LEFT JOIN enrolment AS e ON e.student = a.student AND e.state = 'ENROLLED'"
     " LEFT JOIN course AS c ON c.course = e.course GROUP BY a.student HAVING a.charged <> "
     "total(c.fee_cents)"},
    {"every submission has its grade entry", true,
     "SELECT s.gid, printf('assignment %d of student %d has no open entry', s.assignment, "
     "s.student)"
     " FROM submission AS s WHERE s.state = 'SUBMITTED' AND NOT EXISTS (SELECT 1 FROM entry AS e"
     " WHERE e.gid = s.gid AND e.state = 'OPEN' AND e.student = s.student AND e.assignment = "
     "s.assignment)"},
    {"every grade entry has its submission", true,
     "SELECT e.gid, printf('an open entry of student %d without a submission', e.student) FROM "
     "entry AS e"
     " WHERE e.state = 'OPEN' AND NOT EXISTS (SELECT 1 FROM submission AS s WHERE s.gid = e.gid"
     " AND s.state = 'SUBMITTED')"},
};

int main(int argc, char **argv)
{
    const struct audit audit = {
        .program = "edu-audit",
        .summary =
            "Opens the platform's four databases read-only and proves that nothing was lost, "
            "gained or\n"
            "done by half. Exit status: 0 when all holds, 1 when not, 2 when it could not look.\n",
        .databases = databases,
        .database_count = sizeof(databases) / sizeof(databases[0]),
        .checks = checks,
        .check_count = sizeof(checks) / sizeof(checks[0]),
    };
    return audit_main(&audit, argc, argv);
}
