/* SPDX-License-Identifier: Apache-2.0
 *
 * daemon.h
 */
#include "daemon.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MEMORY_FOLDER "/dev/shm"
#define MEMORY_ROOM_MIN (UINT64_C(1) << 30)

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder != NULL && folder[0] != '\0' ? folder : "/tmp";
}

static const char *memory_folder(void)
{
    struct statvfs stats;
    bool has_room = statvfs(MEMORY_FOLDER, &stats) == 0 &&
                    (uint64_t)stats.f_bavail * stats.f_frsize >= MEMORY_ROOM_MIN;
    return has_room ? MEMORY_FOLDER : temporary_folder();
}

void daemon_options(struct daemon *daemon, const char *const *options)
{
    size_t count = 0;
    memset(daemon->options, 0, sizeof(daemon->options));
    for (; options != NULL && options[count] != NULL; count++) {
        if (count == DAEMON_OPTIONS_MAX)
            abort();
        daemon->options[count] = options[count];
    }
}

static bool prepare_in(const char *folder, struct daemon *daemon, const char *program,
                       const char *const *options)
{
    memset(daemon, 0, sizeof(*daemon));
    daemon->program = program;
    daemon_options(daemon, options);
    snprintf(daemon->dir, sizeof(daemon->dir), "%.80s/tercet-test-XXXXXX", folder);
    if (mkdtemp(daemon->dir) == NULL) {
        perror(daemon->dir);
        return false;
    }
    process_pick_address(daemon->address);
    return true;
}

bool daemon_prepare(struct daemon *daemon, const char *program, const char *const *options)
{
    return prepare_in(temporary_folder(), daemon, program, options);
}

bool daemon_prepare_in_memory(struct daemon *daemon, const char *program,
                              const char *const *options)
{
    return prepare_in(memory_folder(), daemon, program, options);
}

const char *daemon_path(const struct daemon *daemon, const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", daemon->dir, name);
    return path;
}

/* -- Starting ---------------------------------------------------------------------------------- */

static void spawn(struct process *process, const struct daemon *daemon, const char *address,
                  const char *errors, const char *failpoint)
{
    char store[160], environment[96];
    const char *argv[DAEMON_OPTIONS_MAX + 6] = {daemon->program, "--data", store, "--listen",
                                                address};
    snprintf(store, sizeof(store), "%s/store", daemon->dir);
    snprintf(environment, sizeof(environment), "TERCET_FAILPOINT=%s",
             failpoint != NULL ? failpoint : "");
    memcpy(&argv[5], daemon->options, sizeof(daemon->options));
    process_start(process, argv, errors, environment);
}

bool daemon_start(struct daemon *daemon, const char *failpoint)
{
    char line[PROCESS_LINE_MAX];
    spawn(&daemon->process, daemon, daemon->address, daemon_path(daemon, "tercetd.log"), failpoint);
    return process_line(&daemon->process, "ready ", line, DAEMON_READY_MS);
}

static int run_to_the_end(struct process *process, char text[DAEMON_TEXT_MAX])
{
    int status;
    bool has_ended = process_text(process, text, DAEMON_TEXT_MAX, DAEMON_READY_MS) &&
                     process_wait(process, DAEMON_READY_MS, &status);
    if (!has_ended)
        process_end(process, SIGKILL);
    return has_ended ? process_code(status) : -1;
}

int daemon_run(const struct daemon *daemon, char text[DAEMON_TEXT_MAX])
{
    struct process process;
    spawn(&process, daemon, "127.0.0.1:0", PROCESS_WITH_OUTPUT, NULL);
    return run_to_the_end(&process, text);
}

int daemon_run_alone(const char *const *argv, char text[DAEMON_TEXT_MAX])
{
    struct process process;
    process_start(&process, argv, PROCESS_WITH_OUTPUT, NULL);
    return run_to_the_end(&process, text);
}

/* -- Ending ------------------------------------------------------------------------------------ */

void daemon_kill(struct daemon *daemon)
{
    process_end(&daemon->process, SIGKILL);
}

int daemon_stop(struct daemon *daemon)
{
    return process_code(process_end(&daemon->process, SIGTERM));
}

char *daemon_log(const struct daemon *daemon)
{
    char *text = NULL;
    size_t size = 0;
    FILE *log = fopen(daemon_path(daemon, "tercetd.log"), "re");
    if (log == NULL || getdelim(&text, &size, '\0', log) < 0)
        text = calloc(1, 1);
    if (log != NULL)
        fclose(log);
    return text;
}

/* Two levels are all there is. */
static void remove_folder(const char *path, int depth)
{
    DIR *folder = opendir(path);
    struct dirent *item;
    char inner[512];
    while (folder != NULL && (item = readdir(folder)) != NULL) {
        snprintf(inner, sizeof(inner), "%.200s/%.250s", path, item->d_name);
        if (strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0)
            continue;
        if (depth > 0 && item->d_type == DT_DIR)
            remove_folder(inner, depth - 1);
        else
            unlink(inner);
    }
    if (folder != NULL)
        closedir(folder);
    rmdir(path);
}

void daemon_clean(struct daemon *daemon)
{
    daemon_kill(daemon);
    if (daemon->dir[0] != '\0')
        remove_folder(daemon->dir, 1);
    daemon->dir[0] = '\0';
}
