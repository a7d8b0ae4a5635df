/* SPDX-License-Identifier: Apache-2.0
 *
 * A target without a fuzzer, for any compiler: runs it on every file named, and on every file of
 * every folder named. An input that fails aborts; its name is the last that was printed.
 */
#include "fuzz.h"

#include <dirent.h>
#include <sys/stat.h>

static size_t input_count;

static void run_file(const char *path)
{
    struct stat status;
    FILE *file = fopen(path, "rb");
    MUST(file != NULL && fstat(fileno(file), &status) == 0 && status.st_size >= 0);
    size_t size = (size_t)status.st_size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    MUST(data != NULL && fread(data, 1, size, file) == size);
    fclose(file);
    printf("%s\n", path);
    fflush(stdout);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    input_count++;
}

static void run_folder(const char *path)
{
    DIR *folder = opendir(path);
    MUST(folder != NULL);
    for (struct dirent *item; (item = readdir(folder)) != NULL;) {
        char name[4096];
        if (item->d_name[0] == '.')
            continue;
        MUST((size_t)snprintf(name, sizeof(name), "%s/%s", path, item->d_name) < sizeof(name));
        run_file(name);
    }
    closedir(folder);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat status;
        MUST(stat(argv[i], &status) == 0);
        if (S_ISDIR(status.st_mode))
            run_folder(argv[i]);
        else
            run_file(argv[i]);
    }
    printf("%zu inputs\n", input_count);
    return input_count > 0 ? 0 : 1;
}
