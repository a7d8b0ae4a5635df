/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory of the store, and all that there is after a death, to go on from more than once.
 */
#include "faults.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES_MAX 8
#define FILE_SIZE_MAX (8u << 20)

struct file {
    char name[32];
    uint8_t *bytes;
    size_t size;
};

static struct {
    struct world world;
    struct file files[FILES_MAX];
    size_t file_count;
} snapshot;

static void path_of(char *out, size_t size, const char *name)
{
    snprintf(out, size, "%s/%.64s", order->dir, name);
}

static bool remove_first(DIR *dir)
{
    char path[256];
    rewinddir(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.') {
            path_of(path, sizeof(path), entry->d_name);
            return unlink(path) == 0;
        }
    return false;
}

/* One at a time, from the beginning: a directory that changes while it is read may hide what is
 * left. */
void directory_clear(void)
{
    DIR *dir = opendir(order->dir);
    if (dir == NULL)
        abort();
    while (remove_first(dir))
        continue;
    closedir(dir);
}

static void load_file(struct file *file, const char *name)
{
    char path[256];
    struct stat stat_of;
    path_of(path, sizeof(path), name);
    int fd = open(path, O_RDONLY);
    snprintf(file->name, sizeof(file->name), "%.31s", name);
    if (fd < 0 || fstat(fd, &stat_of) != 0 || stat_of.st_size > (off_t)FILE_SIZE_MAX)
        abort();
    file->size = (size_t)stat_of.st_size;
    file->bytes = realloc(file->bytes, file->size + 1);
    if (file->bytes == NULL || read(fd, file->bytes, file->size) != (ssize_t)file->size)
        abort();
    close(fd);
}

void snapshot_take(void)
{
    snapshot.world = *world;
    snapshot.file_count = 0;
    DIR *dir = opendir(order->dir);
    if (dir == NULL)
        abort();
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (entry->d_name[0] != '.' && snapshot.file_count < FILES_MAX)
            load_file(&snapshot.files[snapshot.file_count++], entry->d_name);
    closedir(dir);
}

void snapshot_put_back(void)
{
    char path[256];
    directory_clear();
    *world = snapshot.world;
    for (size_t i = 0; i < snapshot.file_count; i++) {
        const struct file *file = &snapshot.files[i];
        path_of(path, sizeof(path), file->name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (fd < 0 || write(fd, file->bytes, file->size) != (ssize_t)file->size)
            abort();
        close(fd);
    }
}

void directory_make(void)
{
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(order->dir, sizeof(order->dir), "%s/tercet-faults-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : tmp);
    if (mkdtemp(order->dir) == NULL) {
        perror(order->dir);
        exit(2);
    }
}
