/* SPDX-License-Identifier: Apache-2.0
 *
 * Small helpers: options that begin with their size, copies of bytes, a condition on the monotonic
 * clock.
 */
#ifndef CRPC_UTIL_H
#define CRPC_UTIL_H

#include <crpc/crpc.h>
#include <pthread.h>

/* Copies an options struct that may be of an older or newer version, with fewer or more fields;
 * NULL means all zero. Errors: CRPC_EINVAL when its size is not set. */
int options_copy(void *to, size_t to_size, const void *from);

/* A NUL-terminated copy, NULL without memory. */
char *text_copy(const void *data, size_t size);

/* How many bytes of the text to keep so that at most `size_max` remain and no UTF-8 character is
 * split. */
size_t text_cut(const char *text, size_t size_max);

/* A condition variable for waits with a deadline on the monotonic clock. */
void condition_init(pthread_cond_t *condition);

/* Waits to the deadline; false when it has passed. */
bool condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock,
                          const struct timespec *deadline);

/* Now plus `ms` on the monotonic clock. */
struct timespec deadline_after_ms(uint32_t ms);

/* A keepalive option as gRPC wants it: 0 is the default, UINT32_MAX never. */
int interval_ms(uint32_t option_ms, int default_ms);

#endif
