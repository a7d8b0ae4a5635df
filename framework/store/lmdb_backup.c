/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_store.h: a copy of the store while it is in use. LMDB writes a snapshot into a pipe; what
 * comes out of it goes to a file, and the reading can be ended at any moment: while it lasts, LMDB
 * cannot use again what is freed, and the store grows.
 */
#include "lmdb_sink.h"
#include "lmdb_store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LOOK_BYTES (4u * 1024 * 1024)                  /* between two looks at the limits */
#define COPY_DISK_RESERVE_BYTES (128ull * 1024 * 1024) /* is left free where the copy goes */
#define COPY_MAP_PERCENT 70 /* of the store's size_max that it may have grown to meanwhile */

struct copy {
    struct lmdb_store *store;
    const struct tercet_store_backup *backup;
    char *text;
    int from, into; /* the pipe's ends */
    struct lmdb_sink *sink;
    int rc; /* what LMDB said */
    uint64_t bytes, bytes_looked;
    uint64_t pages_first; /* of the store when it began */
    uint64_t growth_bytes;
    uint64_t disk_free_bytes; /* where it goes */
};

/* LMDB's part, in a thread: a broken pipe ends it with EPIPE, and not the process. */
static void *write_snapshot(void *ctx)
{
    struct copy *copy = ctx;
    copy->rc = mdb_env_copyfd(copy->store->env, copy->into);
    close(copy->into);
    return NULL;
}

static int start_snapshot(struct copy *copy, pthread_t *thread)
{
    sigset_t broken_pipe, before;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
    int rc = pthread_create(thread, NULL, write_snapshot, copy);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* -- Limits ------------------------------------------------------------------------------------ */

static uint64_t count_pages(const struct copy *copy)
{
    MDB_envinfo info;
    return mdb_env_info(copy->store->env, &info) == 0 ? info.me_last_pgno + 1 : 0;
}

/* Whether the store is about to be full: what is freed meanwhile cannot be used again. */
static bool is_store_short(const struct copy *copy)
{
    MDB_envinfo info;
    struct statvfs disk;
    int file = -1;
    if (mdb_env_info(copy->store->env, &info) != 0 || copy->growth_bytes == 0)
        return false;
    uint64_t bytes = (info.me_last_pgno + 1) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (bytes > info.me_mapsize / 100 * COPY_MAP_PERCENT)
        return true;
    return mdb_env_get_fd(copy->store->env, &file) == 0 && fstatvfs(file, &disk) == 0 &&
           (uint64_t)disk.f_bavail * disk.f_frsize < COPY_DISK_RESERVE_BYTES;
}

/* 0, or a code with a text: the copy is to end here. */
static int look_at_limits(struct copy *copy)
{
    uint64_t pages = count_pages(copy);
    copy->bytes_looked = copy->bytes;
    if (pages > copy->pages_first)
        copy->growth_bytes = (pages - copy->pages_first) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (copy->growth_bytes > copy->backup->growth_bytes_max)
        return lmdb_store_fail(
            copy->text, TERCET_STORE_IO,
            "the store grew by %llu MiB while it was copied, which is more than "
            "was allowed: copy to a faster disk, at a quieter time, or allow more",
            (unsigned long long)(copy->growth_bytes >> 20));
    if (is_store_short(copy))
        return lmdb_store_fail(
            copy->text, TERCET_STORE_IO,
            "the store grew while it was copied, and comes near its size_max or to the end of its "
            "disk: copy to a faster disk, at a quieter time, or give it more room");
    if (copy->disk_free_bytes < COPY_DISK_RESERVE_BYTES)
        return lmdb_store_fail(copy->text, TERCET_STORE_IO,
                               "the disk that is copied to has less than 128 MiB free");
    if (!copy->backup->goes_on(copy->bytes, copy->backup->ctx))
        return lmdb_store_fail(copy->text, TERCET_STORE_IO, "the copying was ended");
    return 0;
}

/* -- Copying ----------------------------------------------------------------------------------- */

static int look_meanwhile(void *ctx)
{
    return look_at_limits(ctx);
}

/* What LMDB has written into the pipe; *size is 0 at its end. */
static int read_piece(struct copy *copy, unsigned char *piece, size_t *size)
{
    ssize_t n;
    do
        n = read(copy->from, piece, SINK_PIECE_SIZE);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return lmdb_store_fail(copy->text, TERCET_STORE_IO, "the copy failed: %s", strerror(errno));
    *size = (size_t)n;
    return 0;
}

/* Until LMDB has written all. */
static int take_all(struct copy *copy)
{
    size_t size = 0;
    copy->disk_free_bytes = lmdb_sink_free_bytes(copy->sink);
    int result = look_at_limits(copy);
    while (result == 0) {
        result = read_piece(copy, lmdb_sink_piece(copy->sink), &size);
        if (result != 0 || size == 0)
            break;
        result = lmdb_sink_write(copy->sink, size);
        if (result != 0)
            break;
        copy->bytes += size;
        copy->disk_free_bytes = lmdb_sink_free_bytes(copy->sink);
        if (copy->bytes - copy->bytes_looked >= LOOK_BYTES)
            result = look_at_limits(copy);
    }
    return result;
}

static int copy_through_pipe(struct copy *copy)
{
    int ends[2];
    pthread_t thread;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return lmdb_store_fail(copy->text, TERCET_STORE_NOMEM, "no pipe for the copy");
    copy->from = ends[0];
    copy->into = ends[1];
    int result = 0;
    if (start_snapshot(copy, &thread) == 0) {
        result = take_all(copy);
        close(copy->from);
        pthread_join(thread, NULL);
        if (result == 0 && copy->rc != 0)
            result = lmdb_store_fail(copy->text, lmdb_store_error(copy->rc), "the copy failed: %s",
                                     lmdb_store_reason(copy->rc));
    } else {
        close(copy->from);
        close(copy->into);
        result = lmdb_store_fail(copy->text, TERCET_STORE_NOMEM, "no thread can be started");
    }
    return result;
}

int lmdb_store_backup(void *state, const struct tercet_store_backup *backup, uint64_t *bytes,
                      uint64_t *growth_bytes, char *text)
{
    struct copy copy = {.store = state, .backup = backup, .text = text};
    const struct lmdb_sink_options options = {.directory = backup->directory,
                                              .stall_ms = backup->stall_ms,
                                              .meanwhile = look_meanwhile,
                                              .ctx = &copy,
                                              .text = text};
    copy.disk_free_bytes = UINT64_MAX;
    copy.pages_first = count_pages(&copy);
    atomic_store(&copy.store->is_copied, true);
    int result = lmdb_sink_open(&copy.sink, &options);
    if (result == 0)
        result = copy_through_pipe(&copy);
    if (result == 0)
        result = lmdb_sink_finish(copy.sink);
    lmdb_sink_drop(copy.sink, result != 0);
    atomic_store(&copy.store->is_copied, false);
    if (result != 0)
        return result;
    *bytes = copy.bytes;
    *growth_bytes = copy.growth_bytes;
    return 0;
}
