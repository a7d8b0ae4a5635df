/* SPDX-License-Identifier: Apache-2.0
 *
 * A store's file is mapped into memory: where it is damaged in a way that LMDB does not notice, or
 * its disk fails, reading it raises SIGBUS or SIGSEGV.
 */
#ifndef TERCETD_FAULT_H
#define TERCETD_FAULT_H

/* From now on such a signal over a mapped data.mdb, or from within LMDB, says what to do, and which
 * page it was when that is known, and ends the process with 70, as other failures of the store. Any
 * other is as it was. */
void fault_watch(void);

#endif
