/* SPDX-License-Identifier: Apache-2.0
 *
 * Barriers that are wrong on purpose, each in one way: what tercet-conformance must find.
 */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <tercet/barrier.h>

/* Makes the barrier, which is SQLite's, wrong in the way of that name. false: there is none. */
bool faults_apply(struct tercet_barrier *barrier, const char *name);

#endif
