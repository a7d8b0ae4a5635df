/* SPDX-License-Identifier: Apache-2.0
 *
 * One record of a batch that cannot be decoded, such as a request with a NUL in a string, costs
 * that record and not the batch, and not the stream.
 */
#ifndef TERCET_SALVAGE_H
#define TERCET_SALVAGE_H

#include <crpc/crpc.h>

/* crpc_message_decode of a message of `type`; but an element of its repeated field number `field`
 * that cannot be decoded by itself is replaced by one that has only the element's id (its field 1,
 * a number) and then `rest`, encoded fields. Errors: those of crpc_message_decode; CRPC_EDECODE
 * also when it cannot be told which id an element has, or when what is outside the elements is at
 * fault. A batch without a fault costs nothing more than decoding it. */
int salvage_decode(ProtobufCMessage **out, const ProtobufCMessageDescriptor *type, unsigned field,
                   struct crpc_bytes rest, struct crpc_bytes bytes);

#endif
