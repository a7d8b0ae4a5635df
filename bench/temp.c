/* SPDX-License-Identifier: Apache-2.0
 *
 * temp.h.
 */
#include "temp.h"

#include <errno.h>
#include <ftw.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define WALK_DESCRIPTORS 8

bool temp_is_memory(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

bool temp_make(char *path, size_t size, const char *parent)
{
    if (parent[0] == '\0')
        parent = access("/var/tmp", W_OK) == 0 && !temp_is_memory("/var/tmp") ? "/var/tmp" : ".";
    char template[4096];
    snprintf(template, sizeof(template), "%s/tercet-bench.XXXXXX", parent);
    if (mkdtemp(template) == NULL) {
        snprintf(path, size, "%s: %s; choose another with --dir", template, strerror(errno));
        return false;
    }
    char *full = realpath(template, NULL);
    bool fits = full != NULL && (size_t)snprintf(path, size, "%s", full) < size;
    if (!fits) {
        rmdir(template);
        snprintf(path, size, "the path is too long; choose another with --dir");
    }
    free(full);
    return fits;
}

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *walk)
{
    (void)stat;
    (void)kind;
    (void)walk;
    return remove(path);
}

void temp_remove(const char *path)
{
    if (nftw(path, remove_one, WALK_DESCRIPTORS, FTW_DEPTH | FTW_PHYS) != 0)
        fprintf(stderr, "tercet-bench: %s could not be removed: %s\n", path, strerror(errno));
}
