/* SPDX-License-Identifier: Apache-2.0
 *
 * The drivers that come with the library, without the barrier around them: what their open
 * functions and the fault tests need.
 */
#ifndef BARRIER_DRIVERS_H
#define BARRIER_DRIVERS_H

#include <tercet/sys/barrier.h>

extern const struct tercet_barrier_driver memory_driver;
int memory_driver_open(void **out);

/* `options` as the caller gave them, complete and with the defaults filled in. */
extern const struct tercet_barrier_driver sqlite_driver;
int sqlite_driver_open(void **out, const char *path, const struct tercet_barrier_options *options,
                       char *text);

extern const struct tercet_barrier_driver lmdb_driver;
int lmdb_driver_open(void **out, const char *folder, const struct tercet_barrier_options *options,
                     char *text);
void lmdb_driver_close(void *driver);

extern const struct tercet_barrier_driver postgres_driver;
int postgres_driver_open(void **out, const char *url, const struct tercet_barrier_options *options,
                         char *text);

extern const struct tercet_barrier_driver mysql_driver;
int mysql_driver_open(void **out, const char *url, const struct tercet_barrier_options *options,
                      char *text);

extern const struct tercet_barrier_driver redis_driver;
int redis_driver_open(void **out, const char *url, const struct tercet_barrier_options *options,
                      char *text);

#endif
