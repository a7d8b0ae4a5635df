/* SPDX-License-Identifier: Apache-2.0
 *
 * restore: a backup put in the place of a store, without a coordinator. It is copied beside that
 * place, read as a whole by tercetd --check, and only then moved there: what is there is whole, or
 * is not there.
 */
#include "tercetctl.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE_BYTES (1 << 20)
#define LINE_BYTES_MAX 1024

struct restore {
    const char *backup, *place;
    char *source, *beside, *copy; /* the backup's file, the directory beside the place, its file */
    struct stat status;           /* of the backup's file, or of the place when it is there */
};

extern char **environ;

static int fail(const char *path)
{
    term_complain("%s: %s", path, strerror(errno));
    return EXIT_REFUSED;
}

/* -- What is there ----------------------------------------------------------------------------- */

static int check_backup(struct restore *r)
{
    const size_t size = strlen(r->backup);
    if (size > 5 && strcmp(r->backup + size - 5, ".part") == 0) {
        term_complain("%s is what a backup that did not end has left: take another", r->backup);
        return EXIT_REFUSED;
    }
    if (stat(r->source, &r->status) != 0)
        return fail(r->source);
    if (S_ISREG(r->status.st_mode))
        return 0;
    term_complain("%s is no file", r->source);
    return EXIT_REFUSED;
}

/* The place may be an empty directory, whose owner and mode it keeps. rmdir is the check, so that
 * nothing can come in between. */
static int check_place(struct restore *r)
{
    struct stat status;
    if (stat(r->place, &status) != 0)
        return errno == ENOENT ? 0 : fail(r->place);
    if (rmdir(r->place) == 0) {
        r->status.st_uid = status.st_uid;
        r->status.st_gid = status.st_gid;
        return mkdir(r->place, status.st_mode & 07777) == 0 ? 0 : fail(r->place);
    }
    if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
        return fail(r->place);
    term_complain("%s is there, and is not empty: stop tercetd and move it away first; nothing was "
                  "changed",
                  r->place);
    return EXIT_REFUSED;
}

/* -- Copying ----------------------------------------------------------------------------------- */

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno != EINTR)
            return -1;
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int copy_bytes(int to, int from)
{
    char *piece = ctl_resize(NULL, PIECE_BYTES);
    ssize_t n = 0;
    int rc = 0;
    while (rc == 0 && ((n = read(from, piece, PIECE_BYTES)) > 0 || (n < 0 && errno == EINTR)))
        rc = n > 0 ? write_all(to, piece, (size_t)n) : 0;
    free(piece);
    return rc == 0 && n == 0 ? fsync(to) : -1;
}

static int copy_file(const struct restore *r)
{
    int from = open(r->source, O_RDONLY | O_CLOEXEC);
    int to = open(r->copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int status = 0;
    if (from < 0)
        status = fail(r->source);
    else if (to < 0 || copy_bytes(to, from) != 0)
        status = fail(r->copy);
    if (from >= 0)
        close(from);
    if (to >= 0 && close(to) != 0 && status == 0)
        status = fail(r->copy);
    return status;
}

/* -- Checking ---------------------------------------------------------------------------------- */

/* tercetd beside this program, else in the PATH. */
static char *find_tercetd(void)
{
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[size > 0 ? size : 0] = '\0';
    char *slash = strrchr(path, '/');
    char *beside = slash != NULL ? ctl_format("%.*s/tercetd", (int)(slash - path), path) : NULL;
    if (beside != NULL && access(beside, X_OK) == 0)
        return beside;
    free(beside);
    return ctl_format("tercetd");
}

/* Shows what is damaged, not what was read. */
static void show_lines(int fd)
{
    FILE *lines = fdopen(fd, "r");
    char line[LINE_BYTES_MAX];
    if (lines == NULL)
        ctl_die("out of memory");
    while (fgets(line, sizeof(line), lines) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "read", 4) != 0 && strncmp(line, "done", 4) != 0)
            term_complain("%s", line);
    }
    fclose(lines);
}

static int check_copy(const struct restore *r)
{
    char *program = find_tercetd();
    char *argv[] = {program, "--config", "none", "--data", r->beside, "--check", "all", NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], status = 0;
    pid_t child;
    if (pipe2(ends, O_CLOEXEC) != 0)
        ctl_die(strerror(errno));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    int rc = posix_spawnp(&child, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (rc != 0)
        term_complain("%s, which reads the copy, cannot be started: %s", program, strerror(rc));
    show_lines(ends[0]);
    free(program);
    if (rc != 0 || waitpid(child, &status, 0) < 0)
        return EXIT_REFUSED;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    term_complain("the backup %s is damaged, or cannot be read: take another; nothing was changed",
                  r->backup);
    return EXIT_REFUSED;
}

/* -- Moving it there --------------------------------------------------------------------------- */

static void remove_copy(const struct restore *r)
{
    char *lock = ctl_format("%s/lock.mdb", r->beside);
    unlink(lock);
    unlink(r->copy);
    rmdir(r->beside);
    free(lock);
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd >= 0 ? fsync(fd) : -1;
    if (fd >= 0)
        close(fd);
    return rc;
}

/* As the place's or the backup's owner, when root restores. */
static int move_there(const struct restore *r)
{
    char *lock = ctl_format("%s/lock.mdb", r->beside);
    char *above = ctl_format("%s/..", r->place);
    unlink(lock); /* of the check; it would be root's */
    int rc = 0;
    if (geteuid() == 0 && (chown(r->copy, r->status.st_uid, r->status.st_gid) != 0 ||
                           chown(r->beside, r->status.st_uid, r->status.st_gid) != 0))
        rc = fail(r->copy);
    else if (sync_directory(r->beside) != 0 || rename(r->beside, r->place) != 0 ||
             sync_directory(above) != 0)
        rc = fail(r->place);
    free(above);
    free(lock);
    return rc;
}

static int copy_check_move(const struct restore *r)
{
    if (mkdir(r->beside, 0700) != 0) {
        if (errno != EEXIST)
            return fail(r->beside);
        term_complain("%s is left of a restore that did not end: delete it first", r->beside);
        return EXIT_REFUSED;
    }
    int status = copy_file(r);
    if (status == 0)
        status = check_copy(r);
    if (status == 0)
        status = move_there(r);
    if (status != 0)
        remove_copy(r);
    return status;
}

static void strip_slashes(char *path)
{
    for (size_t size = strlen(path); size > 1 && path[size - 1] == '/'; size--)
        path[size - 1] = '\0';
}

int command_restore(struct ctl *ctl)
{
    struct restore r = {.backup = ctl->args[0], .place = ctl->args[1]};
    strip_slashes(ctl->args[0]);
    strip_slashes(ctl->args[1]);
    if (r.backup[0] == '\0' || r.place[0] == '\0')
        ctl_misuse("the backup's directory and the store's are wanted");
    r.source = ctl_format("%s/data.mdb", r.backup);
    r.beside = ctl_format("%s.restoring", r.place);
    r.copy = ctl_format("%s/data.mdb", r.beside);
    int status = check_backup(&r);
    if (status == 0)
        status = check_place(&r);
    if (status == 0)
        status = copy_check_move(&r);
    if (status == 0) {
        puts("restored, and all of it is whole; start tercetd");
        puts("then read tercetctl ls --parked: decisions made after the backup are unknown to it");
    }
    free(r.source);
    free(r.beside);
    free(r.copy);
    return status;
}
