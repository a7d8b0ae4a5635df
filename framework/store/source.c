/* SPDX-License-Identifier: Apache-2.0
 *
 * source.h
 */
#include "source.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

int source_make(uint64_t *out)
{
    uint64_t made = 0;
    while (made == 0) {
        ssize_t size = getrandom(&made, sizeof(made), 0);
        if (size < 0 && errno != EINTR)
            return errno;
        if (size != (ssize_t)sizeof(made))
            made = 0;
    }
    *out = made;
    return 0;
}
