/* SPDX-License-Identifier: Apache-2.0
 *
 * Tercet: try, confirm, cancel for C and C++. Participants implement participant.h with a barrier
 * from barrier.h; initiators call client.h, operators admin.h; coordinator.h runs a coordinator
 * inside the process. types.h states the conventions.
 */
#ifndef TERCET_TERCET_H
#define TERCET_TERCET_H

#include <tercet/admin.h>
#include <tercet/barrier.h>
#include <tercet/client.h>
#include <tercet/coordinator.h>
#include <tercet/metrics.h>
#include <tercet/participant.h>
#include <tercet/types.h>

#endif
