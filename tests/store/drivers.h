/* SPDX-License-Identifier: Apache-2.0
 *
 * CONFORMANCE(name) { ... } is a test that every driver runs, with `fixture` acquired and buckets
 * of 1000 ms.
 */
#ifndef DRIVERS_H
#define DRIVERS_H

#include "fixture.h"

/* After criterion.h, which fixture.h includes: it would undo this one's macros. */
#include <criterion/parameterized.h>

#define CONFORMANCE(name)                                                                          \
    static void run_##name(struct fixture *fixture);                                               \
    ParameterizedTestParameters(conformance, name)                                                 \
    {                                                                                              \
        static enum fixture_driver drivers[] = {FIXTURE_MEMORY, FIXTURE_LMDB};                     \
        return cr_make_param_array(enum fixture_driver, drivers, 2);                               \
    }                                                                                              \
    ParameterizedTest(enum fixture_driver *driver, conformance, name, .timeout = 60)               \
    {                                                                                              \
        struct fixture fixture;                                                                    \
        fixture_open(&fixture, *driver, 1000);                                                     \
        run_##name(&fixture);                                                                      \
        fixture_close(&fixture);                                                                   \
    }                                                                                              \
    static void run_##name(struct fixture *fixture)

#endif
