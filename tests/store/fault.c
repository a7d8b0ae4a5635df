/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.h: the dynamic linker takes the program's definition first.
 */
#include "fault.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define META_WRITE_SIZE_MAX 4095u

static atomic_bool is_sync_failing;
static atomic_bool is_meta_write_failing;
static atomic_bool is_on_network;

void fault_next_sync(void)
{
    atomic_store(&is_sync_failing, true);
}

void fault_next_meta_write(void)
{
    atomic_store(&is_meta_write_failing, true);
}

void fault_network(void)
{
    atomic_store(&is_on_network, true);
}

int fdatasync(int fd)
{
    if (atomic_exchange(&is_sync_failing, false)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (size <= META_WRITE_SIZE_MAX && atomic_exchange(&is_meta_write_failing, false)) {
        errno = EIO;
        return -1;
    }
    return (ssize_t)syscall(SYS_pwrite64, fd, data, size, offset);
}

int statfs(const char *path, struct statfs *out)
{
    int rc = (int)syscall(SYS_statfs, path, out);
    if (rc == 0 && atomic_load(&is_on_network))
        out->f_type = NFS_SUPER_MAGIC;
    return rc;
}
