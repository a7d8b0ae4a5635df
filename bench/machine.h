/* SPDX-License-Identifier: Apache-2.0
 *
 * What a figure was measured on.
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdint.h>

struct machine {
    int cores;
    char model[128];
    char kernel[256];
    char date[32]; /* UTC */
    uint64_t memory_mib;
    double load_average; /* of the last minute, before the run: other work makes figures smaller */
};

void machine_look(struct machine *out);

#endif
