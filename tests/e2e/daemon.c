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
#include <sys/wait.h>
#include <unistd.h>

static const char *temporary_folder(void)
{
    const char *folder = getenv("TMPDIR");
    return folder != NULL && folder[0] != '\0' ? folder : "/tmp";
}

bool daemon_prepare(struct daemon *daemon, const char *program, const char *const *options)
{
    size_t count = 0;
    memset(daemon, 0, sizeof(*daemon));
    daemon->program = program;
    for (; options != NULL && options[count] != NULL && count < DAEMON_OPTIONS_MAX; count++)
        daemon->options[count] = options[count];
    snprintf(daemon->dir, sizeof(daemon->dir), "%.80s/tercet-e2e-XXXXXX", temporary_folder());
    if (mkdtemp(daemon->dir) == NULL) {
        perror(daemon->dir);
        return false;
    }
    process_pick_address(daemon->address);
    return true;
}

bool daemon_start(struct daemon *daemon, const char *program, const char *const *options)
{
    return daemon_prepare(daemon, program, options) && daemon_restart(daemon, NULL);
}

bool daemon_restart(struct daemon *daemon, const char *failpoint)
{
    char store[160], log[160], environment[96], line[PROCESS_LINE_MAX];
    const char *argv[DAEMON_OPTIONS_MAX + 8] = {daemon->program, "--data", store, "--listen",
                                                daemon->address};
    snprintf(store, sizeof(store), "%s/store", daemon->dir);
    snprintf(log, sizeof(log), "%s/tercetd.log", daemon->dir);
    snprintf(environment, sizeof(environment), "TERCET_FAILPOINT=%s",
             failpoint != NULL ? failpoint : "");
    memcpy(&argv[5], daemon->options, sizeof(daemon->options));
    process_start(&daemon->process, argv, log, environment);
    return process_line(&daemon->process, "ready ", line, DAEMON_READY_MS);
}

void daemon_kill(struct daemon *daemon)
{
    process_end(&daemon->process, SIGKILL);
}

int daemon_stop(struct daemon *daemon)
{
    int status = process_end(&daemon->process, SIGTERM);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
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
    if (daemon->dir[0] != '\0')
        remove_folder(daemon->dir, 1);
    daemon->dir[0] = '\0';
}
