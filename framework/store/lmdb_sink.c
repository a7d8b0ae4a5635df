/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_sink.h
 */
#include "lmdb_sink.h"

#include "lmdb_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define TURN_MS 200
#define SYNC_BYTES (8u * 1024 * 1024) /* so that no sync takes long on a disk that works */
#define END_WAIT_MS 5000              /* for a piece that is under way when the copying ends */

enum job { JOB_NONE, JOB_OPEN, JOB_WRITE, JOB_FINISH, JOB_REMOVE, JOB_END };

struct lmdb_sink {
    struct lmdb_sink_options options; /* of who gives work; not for the thread */
    bool is_left;                     /* the thread did not come back from its last job in time */
    bool has_hung;
    char directory[PATH_MAX], path[PATH_MAX];

    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned refs; /* who gives work, and the thread */
    enum job job;  /* whose turn it is: the thread's, if there is one */

    /* of whoever `job` says, without the lock */
    int file; /* -1: none */
    unsigned char piece[SINK_PIECE_SIZE];
    size_t size, unsynced_bytes;
    uint64_t free_bytes;
    const char *failed; /* what, with this errno */
    int error;
};

/* -- The thread -------------------------------------------------------------------------------- */

static void note(struct lmdb_sink *sink, const char *what)
{
    sink->failed = what;
    sink->error = errno != 0 ? errno : EIO;
}

static void look_at_disk(struct lmdb_sink *sink)
{
    struct statvfs disk;
    if (fstatvfs(sink->file, &disk) == 0)
        sink->free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
}

static void open_file(struct lmdb_sink *sink)
{
    if (mkdir(sink->directory, 0700) != 0) {
        note(sink, "cannot make the directory of the copy");
        return;
    }
    sink->file = open(sink->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (sink->file < 0) {
        note(sink, "cannot make the file of the copy");
        rmdir(sink->directory);
        return;
    }
    look_at_disk(sink);
}

static void write_piece(struct lmdb_sink *sink)
{
    for (size_t done = 0; done < sink->size;) {
        errno = 0;
        ssize_t written = write(sink->file, sink->piece + done, sink->size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            note(sink, "the copy cannot be written");
            return;
        }
        done += (size_t)written;
    }
    sink->unsynced_bytes += sink->size;
    if (sink->unsynced_bytes < SYNC_BYTES)
        return;
    sink->unsynced_bytes = 0;
    if (fdatasync(sink->file) != 0)
        note(sink, "the copy cannot be written");
    look_at_disk(sink);
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 ? -1 : fsync(fd);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* The file is durable, then its name is. */
static void finish(struct lmdb_sink *sink)
{
    if (fsync(sink->file) != 0 || sync_directory(sink->directory) != 0)
        note(sink, "the copy is not durable");
}

static void close_file(struct lmdb_sink *sink)
{
    if (sink->file >= 0)
        close(sink->file);
    sink->file = -1;
}

static void remove_all(struct lmdb_sink *sink)
{
    close_file(sink);
    unlink(sink->path);
    rmdir(sink->directory);
}

static void sink_unref(struct lmdb_sink *sink)
{
    pthread_mutex_lock(&sink->lock);
    unsigned refs = --sink->refs;
    pthread_mutex_unlock(&sink->lock);
    if (refs > 0)
        return;
    close_file(sink);
    pthread_cond_destroy(&sink->changed);
    pthread_mutex_destroy(&sink->lock);
    free(sink);
}

static void *sink_run(void *ctx)
{
    static void (*const does[])(struct lmdb_sink *) = {[JOB_OPEN] = open_file,
                                                       [JOB_WRITE] = write_piece,
                                                       [JOB_FINISH] = finish,
                                                       [JOB_REMOVE] = remove_all};
    struct lmdb_sink *sink = ctx;
    pthread_mutex_lock(&sink->lock);
    for (;;) {
        while (sink->job == JOB_NONE)
            pthread_cond_wait(&sink->changed, &sink->lock);
        enum job job = sink->job;
        if (job == JOB_END)
            break;
        pthread_mutex_unlock(&sink->lock);
        does[job](sink);
        pthread_mutex_lock(&sink->lock);
        if (sink->job == job) /* else it has been told to end meanwhile */
            sink->job = JOB_NONE;
        pthread_cond_broadcast(&sink->changed);
    }
    pthread_mutex_unlock(&sink->lock);
    sink_unref(sink);
    return NULL;
}

/* -- Who gives it work ------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Lock held. */
static void wait_a_turn(struct lmdb_sink *sink)
{
    int64_t until_ms = now_ms() + TURN_MS;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_cond_clockwait(&sink->changed, &sink->lock, CLOCK_MONOTONIC, &until);
}

static int fail_hung(struct lmdb_sink *sink)
{
    return lmdb_store_fail(sink->options.text, TERCET_STORE_IO,
                           "what is copied to has taken nothing for %u s: %s is left as it is; see "
                           "whether that disk or server answers, and remove it then",
                           (sink->options.stall_ms + 999) / 1000, sink->directory);
}

/* Waits until the job is done. Not 0: nothing has moved for stall_ms, and the thread may hang for
 * ever. */
static int wait_for(struct lmdb_sink *sink)
{
    int64_t stalled_ms = now_ms() + sink->options.stall_ms;
    int result = 0;
    pthread_mutex_lock(&sink->lock);
    while (sink->job != JOB_NONE && result == 0) {
        wait_a_turn(sink);
        if (sink->job == JOB_NONE)
            break;
        pthread_mutex_unlock(&sink->lock);
        result = sink->options.meanwhile(sink->options.ctx);
        sink->has_hung = result == 0 && now_ms() >= stalled_ms;
        if (sink->has_hung)
            result = fail_hung(sink);
        pthread_mutex_lock(&sink->lock);
    }
    pthread_mutex_unlock(&sink->lock);
    return result;
}

static int give(struct lmdb_sink *sink, enum job job)
{
    pthread_mutex_lock(&sink->lock);
    sink->job = job;
    pthread_cond_broadcast(&sink->changed);
    pthread_mutex_unlock(&sink->lock);
    int result = wait_for(sink);
    sink->is_left = result != 0;
    if (sink->is_left)
        return result;
    const char *failed = sink->failed;
    sink->failed = NULL;
    return failed == NULL
               ? 0
               : lmdb_store_fail(sink->options.text, TERCET_STORE_IO, "%s, %s: %s", failed,
                                 sink->directory, lmdb_store_reason(sink->error));
}

static struct lmdb_sink *sink_new(const struct lmdb_sink_options *options)
{
    struct lmdb_sink *sink = calloc(1, sizeof(*sink));
    if (sink == NULL)
        return NULL;
    sink->options = *options;
    if (sink->options.stall_ms == 0)
        sink->options.stall_ms = SINK_STALL_MS_DEFAULT;
    sink->file = -1;
    sink->free_bytes = UINT64_MAX;
    sink->refs = 1;
    pthread_mutex_init(&sink->lock, NULL);
    pthread_cond_init(&sink->changed, NULL);
    return sink;
}

static bool start_thread(struct lmdb_sink *sink)
{
    pthread_t thread;
    sink->refs = 2;
    if (pthread_create(&thread, NULL, sink_run, sink) != 0) {
        sink->refs = 1;
        return false;
    }
    pthread_setname_np(thread, "tercet-copy");
    pthread_detach(thread);
    return true;
}

int lmdb_sink_open(struct lmdb_sink **out, const struct lmdb_sink_options *options)
{
    struct lmdb_sink *sink = sink_new(options);
    *out = sink;
    if (sink == NULL)
        return lmdb_store_fail(options->text, TERCET_STORE_NOMEM, "no memory for the copy");
    if (!lmdb_store_path(sink->path, options->directory, "data.mdb"))
        return lmdb_store_fail(options->text, TERCET_STORE_INVALID,
                               "the path of the copy is too long");
    strcpy(sink->directory, options->directory);
    if (!start_thread(sink))
        return lmdb_store_fail(options->text, TERCET_STORE_NOMEM, "no thread can be started");
    return give(sink, JOB_OPEN);
}

unsigned char *lmdb_sink_piece(struct lmdb_sink *sink)
{
    return sink->piece;
}

int lmdb_sink_write(struct lmdb_sink *sink, size_t size)
{
    sink->size = size;
    return give(sink, JOB_WRITE);
}

uint64_t lmdb_sink_free_bytes(const struct lmdb_sink *sink)
{
    return sink->free_bytes;
}

int lmdb_sink_finish(struct lmdb_sink *sink)
{
    return give(sink, JOB_FINISH);
}

/* Gives the thread a moment to end: it was left because the copying is called off, not because it
 * hung. */
static void wait_a_little(struct lmdb_sink *sink)
{
    int64_t until_ms = now_ms() + END_WAIT_MS;
    pthread_mutex_lock(&sink->lock);
    while (sink->job != JOB_NONE && now_ms() < until_ms)
        wait_a_turn(sink);
    sink->is_left = sink->job != JOB_NONE;
    pthread_mutex_unlock(&sink->lock);
}

static int go_on(void *ctx)
{
    (void)ctx;
    return 0;
}

void lmdb_sink_drop(struct lmdb_sink *sink, bool removes)
{
    char why[TERCET_STORE_TEXT_MAX]; /* of the removal: what was said before counts */
    if (sink == NULL)
        return;
    sink->options.text = why;
    sink->options.meanwhile = go_on;
    if (sink->is_left && !sink->has_hung)
        wait_a_little(sink);
    if (removes && !sink->is_left && sink->file >= 0)
        give(sink, JOB_REMOVE);
    pthread_mutex_lock(&sink->lock);
    sink->job = JOB_END;
    pthread_cond_broadcast(&sink->changed);
    pthread_mutex_unlock(&sink->lock);
    sink_unref(sink);
}
