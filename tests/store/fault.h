/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults of the disk: the program's own fdatasync, write, pwrite and statfs stand before the C
 * library's, also for LMDB.
 */
#ifndef FAULT_H
#define FAULT_H

#include <stdbool.h>

/* The next fdatasync fails with EIO. */
void fault_next_sync(void);

/* The next pwrite of less than a page fails with EIO: in a commit that is LMDB's meta page, after
 * the sync. */
void fault_next_meta_write(void);

/* Writes of files (not of pipes) hang until they are let go. */
void fault_hold_writes(bool holds);

/* From now on every directory is on NFS. */
void fault_network(void);

#endif
