/* SPDX-License-Identifier: Apache-2.0
 *
 * Loaded before the libraries of a program (LD_PRELOAD): writes down what the program does to the
 * files of one folder, as log.h says, and lets it be done. A lock holds a write and its records
 * together; a sync runs outside of it, so that what other threads write meanwhile stands between
 * its begin and its end. What is not seen here (memory that is mapped for writing, say) would come
 * out at the next POWER_CHECK.
 */
#include "log.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS_MAX 65536

/* The library's declarations of these differ in what the compiler is told of them; these are the
 * shim's own. */
int open(const char *path, int flags, ...);
int open64(const char *path, int flags, ...);
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset);
int ftruncate64(int fd, off64_t size);
int truncate64(const char *path, off64_t size);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t files[FDS_MAX]; /* the file of a descriptor; 0: not one of the folder */
static atomic_bool is_dsync[FDS_MAX];
static uint64_t calls, writes, death;
static const char *folder;
static int log_fd = -1;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv(POWER_ENV_LOG);
    const char *dies_at = getenv(POWER_ENV_DEATH);
    death = dies_at != NULL ? strtoull(dies_at, NULL, 10) : 0;
    folder = getenv(POWER_ENV_FOLDER);
    if (path != NULL && folder != NULL)
        log_fd = power_log_open(path);
}

/* -- Names ------------------------------------------------------------------------------------- */

/* What is rebuilt at every start, or mapped, is no part of what must outlive a loss of power. */
static bool is_ignored(const char *name)
{
    size_t size = strlen(name);
    return strcmp(name, "..") == 0 || strcmp(name, "lock.mdb") == 0 ||
           strcmp(name, "tercet.lock") == 0 || (size > 4 && strcmp(name + size - 4, "-shm") == 0);
}

/* The name in the folder; "" for the folder itself, NULL for anything else. */
static const char *name_of(const char *path)
{
    size_t size = log_fd >= 0 ? strlen(folder) : 0;
    if (log_fd < 0 || strncmp(path, folder, size) != 0)
        return NULL;
    if (path[size] == '\0')
        return "";
    bool is_inside =
        path[size] == '/' && strchr(path + size + 1, '/') == NULL && !is_ignored(path + size + 1);
    return is_inside ? path + size + 1 : NULL;
}

static uint64_t file_of(int fd)
{
    return fd >= 0 && fd < FDS_MAX ? files[fd] : 0;
}

static uint64_t next_call(void)
{
    return ((uint64_t)getpid() << 32) | ++calls;
}

static void say(struct power_record record, const void *bytes, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)bytes, size};
    power_log_append(log_fd, record, &part, 1);
}

static uint64_t id_of(int fd)
{
    struct stat file;
    if (fstat(fd, &file) != 0)
        abort();
    return (uint64_t)file.st_ino + 1;
}

static void say_done(uint64_t file, uint64_t call, int64_t value)
{
    int error = errno;
    say((struct power_record){.kind = POWER_DONE, .file = file, .call = call, .value = value}, NULL,
        0);
    errno = error;
}

/* -- Opening and naming ------------------------------------------------------------------------ */

static void track(int fd, const char *name, int flags, bool is_new)
{
    uint64_t file = name[0] == '\0' ? POWER_FOLDER : id_of(fd);
    if (fd >= FDS_MAX)
        abort();
    is_dsync[fd] = (flags & O_DSYNC) != 0;
    files[fd] = file;
    if (is_new)
        say((struct power_record){.kind = POWER_CREATE, .file = file}, name, strlen(name));
    if (is_new || (flags & O_TRUNC) == 0)
        return;
    struct power_record cut = {.kind = POWER_SIZE, .file = file, .call = next_call()};
    say(cut, NULL, 0);
    say_done(file, cut.call, 0);
}

static int open_file(const char *path, int flags, mode_t mode)
{
    const char *name = name_of(path);
    if (name == NULL)
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    pthread_mutex_lock(&lock);
    bool is_new = (flags & O_CREAT) != 0 && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    int error = errno;
    if (fd >= 0)
        track(fd, name, flags, is_new);
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE_OF(flags)                                                                             \
    mode_t mode = 0;                                                                               \
    if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) {                                                \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode = va_arg(args, mode_t);                                                               \
        va_end(args);                                                                              \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_file(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_file(path, flags, mode);
}

int close(int fd)
{
    if (fd >= 0 && fd < FDS_MAX)
        files[fd] = 0;
    return (int)syscall(SYS_close, fd);
}

int rename(const char *from, const char *to)
{
    const char *old = name_of(from), *new = name_of(to);
    if (old == NULL || new == NULL)
        return (int)syscall(SYS_rename, from, to);
    struct iovec parts[] = {{(void *)(uintptr_t)old, strlen(old) + 1},
                            {(void *)(uintptr_t) new, strlen(new) + 1}};
    pthread_mutex_lock(&lock);
    int rc = (int)syscall(SYS_rename, from, to);
    int error = errno;
    if (rc == 0)
        power_log_append(log_fd, (struct power_record){.kind = POWER_RENAME}, parts, 2);
    pthread_mutex_unlock(&lock);
    errno = error;
    return rc;
}

int unlink(const char *path)
{
    const char *name = name_of(path);
    if (name == NULL)
        return (int)syscall(SYS_unlink, path);
    pthread_mutex_lock(&lock);
    int rc = (int)syscall(SYS_unlink, path);
    int error = errno;
    if (rc == 0)
        say((struct power_record){.kind = POWER_UNLINK}, name, strlen(name));
    pthread_mutex_unlock(&lock);
    errno = error;
    return rc;
}

/* -- Writing ----------------------------------------------------------------------------------- */

/* As when a kill comes within a write: the page cache has some of it. */
static void die_if_due(int fd, const struct iovec *part, uint64_t offset)
{
    if (++writes != death)
        return;
    (void)!syscall(SYS_pwrite64, fd, part->iov_base, part->iov_len / 2, offset);
    kill(getpid(), SIGKILL);
    pause();
}

/* At `offset`, or where the descriptor stands (-1). */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off64_t offset)
{
    pthread_mutex_lock(&lock);
    struct power_record record = {.kind = POWER_WRITE, .file = files[fd], .call = next_call()};
    record.flags = is_dsync[fd] ? POWER_DSYNC : 0;
    record.offset = (uint64_t)(offset >= 0 ? offset : lseek(fd, 0, SEEK_CUR));
    power_log_append(log_fd, record, parts, (size_t)count);
    die_if_due(fd, parts, record.offset);
    bool is_placed = offset >= 0;
    ssize_t size = is_placed ? syscall(SYS_pwritev, fd, parts, count, offset, 0)
                             : syscall(SYS_writev, fd, parts, count);
    say_done(record.file, record.call, size);
    pthread_mutex_unlock(&lock);
    return size;
}

ssize_t write(int fd, const void *data, size_t size)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    return file_of(fd) != 0 ? write_parts(fd, &part, 1, -1) : syscall(SYS_write, fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    struct iovec part = {(void *)(uintptr_t)data, size};
    return file_of(fd) != 0 ? write_parts(fd, &part, 1, offset)
                            : syscall(SYS_pwrite64, fd, data, size, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return pwrite(fd, data, size, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return file_of(fd) != 0 ? write_parts(fd, parts, count, -1)
                            : syscall(SYS_writev, fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return file_of(fd) != 0 ? write_parts(fd, parts, count, offset)
                            : syscall(SYS_pwritev, fd, parts, count, offset, 0);
}

int ftruncate(int fd, off_t size)
{
    uint64_t file = file_of(fd);
    if (file == 0)
        return (int)syscall(SYS_ftruncate, fd, size);
    pthread_mutex_lock(&lock);
    struct power_record record = {
        .kind = POWER_SIZE, .file = file, .call = next_call(), .offset = (uint64_t)size};
    say(record, NULL, 0);
    int rc = (int)syscall(SYS_ftruncate, fd, size);
    say_done(file, record.call, rc);
    pthread_mutex_unlock(&lock);
    return rc;
}

int ftruncate64(int fd, off64_t size)
{
    return ftruncate(fd, size);
}

int truncate(const char *path, off_t size)
{
    if (name_of(path) == NULL)
        return (int)syscall(SYS_truncate, path, size);
    int fd = open_file(path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int rc = ftruncate(fd, size);
    int error = errno;
    close(fd);
    errno = error;
    return rc;
}

int truncate64(const char *path, off64_t size)
{
    return truncate(path, size);
}

/* -- Syncing ----------------------------------------------------------------------------------- */

static int sync_file(int fd, long number)
{
    struct power_record record = {.kind = POWER_SYNC, .file = file_of(fd)};
    if (record.file == 0)
        return (int)syscall(number, fd);
    pthread_mutex_lock(&lock);
    record.call = next_call();
    say(record, NULL, 0);
    pthread_mutex_unlock(&lock);
    int rc = (int)syscall(number, fd);
    int error = errno;
    record.kind = POWER_SYNCED;
    record.value = rc;
    say(record, NULL, 0);
    errno = error;
    return rc;
}

int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}

/* -- A store that is broken on purpose --------------------------------------------------------- */

int mdb_env_open(MDB_env *env, const char *path, unsigned int flags, mdb_mode_t mode)
{
    int (*real)(MDB_env *, const char *, unsigned int, mdb_mode_t);
    const char *more = getenv(POWER_ENV_LMDB);
    *(void **)&real = dlsym(RTLD_NEXT, "mdb_env_open");
    return real(env, path, flags | (more != NULL ? (unsigned)strtoul(more, NULL, 0) : 0), mode);
}
