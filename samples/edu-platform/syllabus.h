/* SPDX-License-Identifier: Apache-2.0
 *
 * What students see before they choose: courses, their fees, and assignments. All are numbered from
 * 1; the counts are what the programs take unless told otherwise.
 */
#ifndef EDU_SYLLABUS_H
#define EDU_SYLLABUS_H

#include <stdbool.h>
#include <stdint.h>

#define SYLLABUS_COURSES 8
#define SYLLABUS_ASSIGNMENTS 12
#define SYLLABUS_STUDENTS 60

/* From 80.00 to 200.00. */
static inline int64_t syllabus_fee_cents(uint32_t course)
{
    return 8000 + (int64_t)(course * 5 % 7) * 2000;
}

/* Some assignments are over. */
static inline bool syllabus_is_open(uint32_t assignment)
{
    return assignment % 6 != 0;
}

#endif
