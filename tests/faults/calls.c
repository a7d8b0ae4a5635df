/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of the system that fail: the program's own definitions stand before the C library's, also
 * for LMDB, and count the calls that the coordinator makes.
 */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SIGNALS_MAX 100 /* a call that is interrupted for ever would rightly be made for ever */

struct call_order *call_order;
_Thread_local int calls_outside;

const char *class_name(int class)
{
    static const char *const names[CLASSES] = {"alloc", "open", "write", "sync",
                                               "size",  "map",  "read",  "name"};
    return names[class];
}

const int *class_errors(int class)
{
    static const int errors[CLASSES][8] = {
        [CLASS_ALLOC] = {ENOMEM},
        [CLASS_OPEN] = {EMFILE, EIO, ENOSPC, EINTR},
        [CLASS_WRITE] = {EIO, ENOSPC, EINTR, CALL_SHORT, CALL_KILL, CALL_KILL_AFTER},
        [CLASS_SYNC] = {EIO, ENOSPC, EINTR, CALL_KILL, CALL_KILL_AFTER},
        [CLASS_SIZE] = {EIO, ENOSPC, EINTR, CALL_KILL, CALL_KILL_AFTER},
        [CLASS_MAP] = {ENOMEM, EMFILE},
        [CLASS_READ] = {EIO, EINTR, CALL_SHORT},
        [CLASS_NAME] = {EIO, ENOSPC, EINTR, CALL_KILL, CALL_KILL_AFTER},
    };
    return errors[class];
}

const char *error_name(int error)
{
    switch (error) {
    case CALL_SHORT:
        return "short";
    case CALL_KILL:
        return "kill";
    case CALL_KILL_AFTER:
        return "kill-after";
    default:
        return strerrorname_np(error);
    }
}

/* The error with which this call is to fail; 0: it goes through. */
static int fault_of(enum call_class class)
{
    struct call_order *o = call_order;
    if (o == NULL || !o->is_on || calls_outside > 0)
        return 0;
    uint32_t nth = __atomic_add_fetch(&o->counts[class], 1, __ATOMIC_RELAXED);
    if (o->class != (int)class || nth < o->nth || (nth > o->nth && !o->is_sticky))
        return 0;
    if (o->error == EINTR && nth - o->nth >= SIGNALS_MAX)
        return 0;
    __atomic_add_fetch(&o->hits, 1, __ATOMIC_RELAXED);
    if (o->error == CALL_KILL)
        kill(getpid(), SIGKILL);
    return o->error;
}

static long finish(int fault, long rc)
{
    if (fault == CALL_KILL_AFTER)
        kill(getpid(), SIGKILL);
    return rc;
}

/* Sets errno and leaves with -1 when the call is to fail. */
#define FAIL_OR_GO_ON(fault)                                                                       \
    if ((fault) > 0) {                                                                             \
        errno = (fault);                                                                           \
        return -1;                                                                                 \
    }

/* -- Memory ------------------------------------------------------------------------------------ */

#ifndef FAULTS_SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *data, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size)
{
    return fault_of(CLASS_ALLOC) != 0 ? no_memory() : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fault_of(CLASS_ALLOC) != 0 ? no_memory() : __libc_calloc(count, size);
}

void *realloc(void *data, size_t size)
{
    return fault_of(CLASS_ALLOC) != 0 ? no_memory() : __libc_realloc(data, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *data = fault_of(CLASS_ALLOC) != 0 ? NULL : __libc_memalign(alignment, size);
    if (data == NULL)
        return ENOMEM;
    *out = data;
    return 0;
}
#endif

/* -- Files ------------------------------------------------------------------------------------- */

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    int fault = fault_of(CLASS_OPEN);
    FAIL_OR_GO_ON(fault);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t size)
{
    int fault = fault_of(CLASS_WRITE);
    FAIL_OR_GO_ON(fault);
    return finish(fault, syscall(SYS_write, fd, data, fault == CALL_SHORT ? size / 2 : size));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    int fault = fault_of(CLASS_WRITE);
    FAIL_OR_GO_ON(fault);
    return finish(fault,
                  syscall(SYS_pwrite64, fd, data, fault == CALL_SHORT ? size / 2 : size, offset));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    int fault = fault_of(CLASS_WRITE);
    FAIL_OR_GO_ON(fault);
    if (fault == CALL_SHORT)
        return syscall(SYS_write, fd, parts[0].iov_base, parts[0].iov_len / 2);
    return finish(fault, syscall(SYS_writev, fd, parts, count));
}

off_t lseek(int fd, off_t offset, int whence)
{
    int fault = fault_of(CLASS_WRITE);
    FAIL_OR_GO_ON(fault);
    return finish(fault, syscall(SYS_lseek, fd, offset, whence));
}

int fdatasync(int fd)
{
    int fault = fault_of(CLASS_SYNC);
    FAIL_OR_GO_ON(fault);
    return (int)finish(fault, syscall(SYS_fdatasync, fd));
}

int fsync(int fd)
{
    int fault = fault_of(CLASS_SYNC);
    FAIL_OR_GO_ON(fault);
    return (int)finish(fault, syscall(SYS_fsync, fd));
}

int msync(void *data, size_t size, int flags)
{
    int fault = fault_of(CLASS_SYNC);
    FAIL_OR_GO_ON(fault);
    return (int)finish(fault, syscall(SYS_msync, data, size, flags));
}

int ftruncate(int fd, off_t size)
{
    int fault = fault_of(CLASS_SIZE);
    FAIL_OR_GO_ON(fault);
    return (int)finish(fault, syscall(SYS_ftruncate, fd, size));
}

int truncate(const char *path, off_t size)
{
    int fault = fault_of(CLASS_SIZE);
    FAIL_OR_GO_ON(fault);
    return (int)finish(fault, syscall(SYS_truncate, path, size));
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    int fault = fault_of(CLASS_MAP);
    if (fault > 0) {
        errno = fault;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
    int fault = fault_of(CLASS_READ);
    FAIL_OR_GO_ON(fault);
    return syscall(SYS_pread64, fd, data, fault == CALL_SHORT ? size / 2 : size, offset);
}

ssize_t read(int fd, void *data, size_t size)
{
    int fault = fault_of(CLASS_READ);
    FAIL_OR_GO_ON(fault);
    return syscall(SYS_read, fd, data, fault == CALL_SHORT ? size / 2 : size);
}

/* -- Names and locks --------------------------------------------------------------------------- */

int rename(const char *from, const char *to)
{
    int fault = fault_of(CLASS_NAME);
    FAIL_OR_GO_ON(fault);
    return (int)finish(fault, syscall(SYS_rename, from, to));
}

int unlink(const char *path)
{
    int fault = fault_of(CLASS_NAME);
    FAIL_OR_GO_ON(fault);
    return (int)finish(fault, syscall(SYS_unlink, path));
}

int mkdir(const char *path, mode_t mode)
{
    int fault = fault_of(CLASS_NAME);
    FAIL_OR_GO_ON(fault);
    return (int)finish(fault, syscall(SYS_mkdir, path, mode));
}

int flock(int fd, int operation)
{
    int fault = fault_of(CLASS_NAME);
    FAIL_OR_GO_ON(fault);
    return (int)finish(fault, syscall(SYS_flock, fd, operation));
}
