/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.h: the dynamic linker takes the program's definition first.
 */
#include "fault.h"

#include <errno.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define META_WRITE_SIZE_MAX 4095u

static atomic_bool is_sync_failing;
static atomic_bool is_meta_write_failing;
static atomic_bool is_on_network;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t let_go = PTHREAD_COND_INITIALIZER;
static bool are_writes_held;

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

void fault_hold_writes(bool holds)
{
    pthread_mutex_lock(&lock);
    are_writes_held = holds;
    pthread_cond_broadcast(&let_go);
    pthread_mutex_unlock(&lock);
}

static bool is_file(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

ssize_t write(int fd, const void *data, size_t size)
{
    if (is_file(fd)) {
        pthread_mutex_lock(&lock);
        while (are_writes_held)
            pthread_cond_wait(&let_go, &lock);
        pthread_mutex_unlock(&lock);
    }
    return (ssize_t)syscall(SYS_write, fd, data, size);
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
