/* SPDX-License-Identifier: Apache-2.0
 *
 * restore: a backup put in the place of a store, without a coordinator. It is copied beside that
 * place (into it, when it is an empty directory, which may be a mount point), read as a whole by
 * tercetd --check, and only then moved there: what is there is whole, or is not there.
 */
#include "tercetctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE_BYTES (1 << 20)
#define LINE_BYTES_MAX 1024
#define RESTORING ".restoring" /* the directory in the place, or the end of one beside it */
#define VARIABLES "TERCET_"    /* what tercetd reads as its options */
#define EXIT_DAMAGED 1         /* of tercetd --check */
#define EXIT_BAD_PAGE 70

struct restore {
    const char *backup, *place;
    bool is_there;                /* the place, as an empty directory */
    char *source, *beside, *copy; /* the backup's file, the directory beside the place, its file */
    char *store;                  /* the file in the place */
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
    if (stat(r->source, &r->status) != 0) {
        term_complain("%s%s%s: %s", errno == ENOENT ? r->backup : "",
                      errno == ENOENT ? " is no backup: " : "", r->source, strerror(errno));
        return EXIT_REFUSED;
    }
    if (S_ISREG(r->status.st_mode))
        return 0;
    term_complain("%s is no file", r->source);
    return EXIT_REFUSED;
}

/* Whether a directory with this entry still is empty: what a file system has for itself, and what a
 * restore has left, of which make_beside tells. */
static bool is_nothing(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, "lost+found") == 0 ||
           strcmp(name, RESTORING) == 0;
}

/* 0, or -1 with errno: ENOTEMPTY. */
static int check_empty(DIR *directory)
{
    const struct dirent *entry;
    errno = 0;
    while ((entry = readdir(directory)) != NULL && is_nothing(entry->d_name))
        errno = 0;
    if (entry != NULL)
        errno = ENOTEMPTY;
    return errno == 0 ? 0 : -1;
}

/* The place may be an empty directory, which stays what it is: its owner, mode and mount. */
static int check_place(struct restore *r)
{
    DIR *directory = opendir(r->place);
    if (directory == NULL)
        return errno == ENOENT ? 0 : fail(r->place);
    r->is_there = true;
    int status =
        check_empty(directory) == 0 && fstat(dirfd(directory), &r->status) == 0 ? 0 : EXIT_REFUSED;
    if (status != 0 && errno == ENOTEMPTY)
        term_complain("%s is there, and is not empty: stop tercetd and move it away first; nothing "
                      "was changed",
                      r->place);
    else if (status != 0)
        fail(r->place);
    closedir(directory);
    return status;
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

/* Without the variables that tercetd takes as its own options: a wrong one would end it. The caller
 * frees the list. */
static char **environment_of_check(void)
{
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **out = ctl_resize(NULL, (count + 1) * sizeof(*out));
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], VARIABLES, sizeof(VARIABLES) - 1) != 0)
            out[kept++] = environ[i];
    out[kept] = NULL;
    return out;
}

/* What tercetd --check has ended with. */
static int judge(const struct restore *r, const char *program, int status)
{
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code == 0)
        return 0;
    if (code == EXIT_DAMAGED || code == EXIT_BAD_PAGE)
        term_complain("the backup %s is damaged, or cannot be read: take another; nothing was "
                      "changed",
                      r->backup);
    else if (code >= 0)
        term_complain("%s could not read the copy (exit status %d): is it of the same version as "
                      "tercetctl? It says nothing about the backup %s; nothing was changed",
                      program, code, r->backup);
    else
        term_complain("%s was ended by the signal %d (%s) while it read the copy: try again; it "
                      "says nothing about the backup %s; nothing was changed",
                      program, WTERMSIG(status), strsignal(WTERMSIG(status)), r->backup);
    return EXIT_REFUSED;
}

/* Starts `program` to check the copy; *end is what it prints. */
static int start_check(pid_t *child, int *end, const struct restore *r, char *program)
{
    char *argv[] = {program, "--config", "none", "--data", r->beside, "--check", "all", NULL};
    char **environment = environment_of_check();
    posix_spawn_file_actions_t actions;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        ctl_die(strerror(errno));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    int rc = posix_spawnp(child, program, &actions, NULL, argv, environment);
    posix_spawn_file_actions_destroy(&actions);
    free(environment);
    close(ends[1]);
    *end = ends[0];
    if (rc != 0)
        term_complain("%s, which reads the copy, cannot be started: %s", program, strerror(rc));
    return rc;
}

static int check_copy(const struct restore *r)
{
    char *program = find_tercetd();
    int end = -1, status = 0;
    pid_t child;
    int rc = start_check(&child, &end, r, program);
    show_lines(end);
    if (rc != 0 || waitpid(child, &status, 0) < 0)
        rc = EXIT_REFUSED;
    else
        rc = judge(r, program, status);
    free(program);
    return rc;
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
static int give_away(const struct restore *r)
{
    if (geteuid() != 0)
        return 0;
    int rc = chown(r->copy, r->status.st_uid, r->status.st_gid);
    if (rc == 0 && !r->is_there)
        rc = chown(r->beside, r->status.st_uid, r->status.st_gid);
    return rc == 0 ? 0 : fail(r->copy);
}

/* A link, since it never takes the place of a store that somebody has made meanwhile. */
static int move_into(const struct restore *r)
{
    if (link(r->copy, r->store) != 0)
        return fail(r->store);
    if (sync_directory(r->place) == 0) {
        remove_copy(r);
        return 0;
    }
    int status = fail(r->place);
    unlink(r->store);
    return status;
}

static int move_beside(const struct restore *r)
{
    char *above = ctl_format("%s/..", r->place);
    int status = 0;
    if (rename(r->beside, r->place) != 0 || sync_directory(above) != 0)
        status = fail(r->place);
    free(above);
    return status;
}

static int move_there(const struct restore *r)
{
    char *lock = ctl_format("%s/lock.mdb", r->beside);
    unlink(lock); /* of the check; it would be root's */
    free(lock);
    int status = give_away(r);
    if (status == 0 && sync_directory(r->beside) != 0)
        status = fail(r->beside);
    if (status == 0)
        status = r->is_there ? move_into(r) : move_beside(r);
    return status;
}

static int make_beside(const struct restore *r)
{
    if (mkdir(r->beside, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return fail(r->beside);
    term_complain("%s is left of a restore that did not end: delete it first", r->beside);
    return EXIT_REFUSED;
}

static int copy_check_move(struct restore *r)
{
    r->beside = ctl_format(r->is_there ? "%s/" RESTORING : "%s" RESTORING, r->place);
    r->copy = ctl_format("%s/data.mdb", r->beside);
    r->store = ctl_format("%s/data.mdb", r->place);
    int status = make_beside(r);
    if (status != 0)
        return status;
    status = copy_file(r);
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
    free(r.store);
    return status;
}
