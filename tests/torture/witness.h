/* SPDX-License-Identifier: Apache-2.0
 *
 * What the proxy sees leave the coordinator: a confirm or cancel says that the decision is made and
 * durable, whatever happens to the message then. Logged as history.h has it, with the OP "call".
 */
#ifndef TERCET_TORTURE_WITNESS_H
#define TERCET_TORTURE_WITNESS_H

#include <stdbool.h>
#include <tercet/v1/tercet.pb-c.h>

bool witness_open(const char *path);
void witness_call(const Tercet__V1__Call *call);

#endif
