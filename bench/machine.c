/* SPDX-License-Identifier: Apache-2.0
 *
 * machine.h.
 */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static void look_at_model(char *out, size_t size)
{
    static const char key[] = "model name";
    char line[256];
    snprintf(out, size, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, key, strlen(key)) != 0 || colon == NULL)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(out, size, "%s", colon + 2);
        break;
    }
    fclose(file);
}

void machine_look(struct machine *out)
{
    struct utsname name;
    struct tm utc;
    time_t now = time(NULL);
    *out = (struct machine){.cores = (int)sysconf(_SC_NPROCESSORS_ONLN)};
    look_at_model(out->model, sizeof(out->model));
    if (uname(&name) == 0)
        snprintf(out->kernel, sizeof(out->kernel), "%s %s %s", name.sysname, name.release,
                 name.machine);
    gmtime_r(&now, &utc);
    strftime(out->date, sizeof(out->date), "%Y-%m-%dT%H:%M:%SZ", &utc);
    out->memory_mib = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
    if (getloadavg(&out->load_average, 1) != 1)
        out->load_average = -1;
}
