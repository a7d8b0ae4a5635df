/* SPDX-License-Identifier: Apache-2.0
 *
 * edu-traffic: students who enrol, and students who hand in. Each is one transaction over two
 * services, which know nothing of each other.
 */
#include <money.h>
#include <stdio.h>
#include <traffic.h>

#include "edu.pb-c.h"
#include "syllabus.h"

static int64_t course_count = SYLLABUS_COURSES;
static int64_t assignment_count = SYLLABUS_ASSIGNMENTS;
static int64_t student_count = SYLLABUS_STUDENTS;

/* -- Enrolment --------------------------------------------------------------------------------- */

struct enrolment {
    Edu__Enrol enrol;
    Edu__Charge charge;
};

static void draw_enrolment(struct enrolment *enrolment, struct traffic_job *job)
{
    uint32_t student = 1 + random_below(&job->random, (uint32_t)student_count);
    uint32_t course = 1 + random_below(&job->random, (uint32_t)course_count);
    int64_t fee_cents = syllabus_fee_cents(course);
    edu__enrol__init(&enrolment->enrol);
    edu__charge__init(&enrolment->charge);
    enrolment->enrol.student = enrolment->charge.student = student;
    enrolment->enrol.course = course;
    enrolment->enrol.fee_cents = enrolment->charge.amount_cents = fee_cents;
    snprintf(job->what, sizeof(job->what), "student %u enrols in course %u for " MONEY, student,
             course, MONEY_OF(fee_cents));
}

static void step_through_enrolment(struct traffic_job *job, struct enrolment *enrolment,
                                   struct tercet_result *result)
{
    const struct tercet_branch enrol = {.action = "course/enrol",
                                        .request = &enrolment->enrol.base};
    const struct tercet_branch charge = {.action = "tuition/charge",
                                         .request = &enrolment->charge.base};
    struct tercet_transaction *transaction = NULL;
    struct tercet_tried tried;
    enrolment->enrol.fee_cents = 0; /* the course's reply tells it */
    if (tercet_begin(&transaction, job->client, &job->begin) != 0)
        return;
    if (tercet_try(transaction, &enrol, &tried) == 0) {
        Edu__Enrolled *enrolled = edu__enrolled__unpack(NULL, tried.reply.size, tried.reply.data);
        if (enrolled != NULL)
            enrolment->charge.amount_cents = enrolled->fee_cents;
        edu__enrolled__free_unpacked(enrolled, NULL);
        tercet_tried_clear(&tried);
        tercet_try(transaction, &charge, &tried);
    }
    traffic_decide(transaction, &tried, result);
}

static void enrol(struct traffic_job *job, struct tercet_result *result)
{
    struct enrolment enrolment;
    draw_enrolment(&enrolment, job);
    const struct tercet_branch plan[] = {
        {.action = "course/enrol", .request = &enrolment.enrol.base},
        {.action = "tuition/charge", .request = &enrolment.charge.base},
    };
    if (job->is_stepwise)
        step_through_enrolment(job, &enrolment, result);
    else
        tercet_run(job->client, plan, 2, &job->begin, result);
}

/* -- Handing in -------------------------------------------------------------------------------- */

static void step_through_submission(struct traffic_job *job, const struct tercet_branch *plan,
                                    struct tercet_result *result)
{
    struct tercet_transaction *transaction = NULL;
    struct tercet_tried tried;
    if (tercet_begin(&transaction, job->client, &job->begin) != 0)
        return;
    if (tercet_try(transaction, &plan[0], &tried) == 0) {
        tercet_tried_clear(&tried);
        tercet_try(transaction, &plan[1], &tried);
    }
    traffic_decide(transaction, &tried, result);
}

static void hand_in(struct traffic_job *job, struct tercet_result *result)
{
    Edu__Submit submit = EDU__SUBMIT__INIT;
    Edu__OpenGrade open = EDU__OPEN_GRADE__INIT;
    char text[64];
    submit.student = open.student = 1 + random_below(&job->random, (uint32_t)student_count);
    submit.assignment = open.assignment =
        1 + random_below(&job->random, (uint32_t)assignment_count);
    submit.text = text;
    snprintf(text, sizeof(text), "my answer is %u", random_below(&job->random, 1000));
    snprintf(job->what, sizeof(job->what), "student %u hands in assignment %u", submit.student,
             submit.assignment);
    const struct tercet_branch plan[] = {
        {.action = "assignment/submit", .request = &submit.base},
        {.action = "grade/open", .request = &open.base},
    };
    if (job->is_stepwise)
        step_through_submission(job, plan, result);
    else
        tercet_run(job->client, plan, 2, &job->begin, result);
}

/* -- The program ------------------------------------------------------------------------------- */

static void transact(struct traffic_job *job, struct tercet_result *result)
{
    if (random_below(&job->random, 2) == 0)
        enrol(job, result);
    else
        hand_in(job, result);
}

int main(int argc, char **argv)
{
    const struct option_entry options[] = {
        {"courses", OPTION_NUMBER, &course_count, "as edu-course has (default 8)"},
        {"assignments", OPTION_NUMBER, &assignment_count, "as edu-assignment has (default 12)"},
        {"students", OPTION_NUMBER, &student_count, "as edu-tuition has (default 60)"},
    };
    const struct traffic traffic = {
        .program = "edu-traffic",
        .summary = "Students: enrolments (course/enrol with tuition/charge) and submissions\n"
                   "(assignment/submit with grade/open), each together or not at all.\n"
                   "Exit status: 0 when every outcome is known.\n",
        .noun = "request",
        .options = options,
        .option_count = 3,
        .transact = transact};
    return traffic_main(&traffic, argc, argv);
}
