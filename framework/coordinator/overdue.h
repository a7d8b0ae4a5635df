/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to calls with time: one that is not answered within its timeout is late, then given
 * up, or its instance is ended; one that could not be sent is tried again. The owner's.
 */
#ifndef TERCET_OVERDUE_H
#define TERCET_OVERDUE_H

struct coordinator;

/* Does what is due; cheap when nothing is. */
void overdue_tick(struct coordinator *c);

#endif
