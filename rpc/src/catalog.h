/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded descriptor sets: their files by name, what each defines, and which methods stream.
 */
#ifndef CRPC_CATALOG_H
#define CRPC_CATALOG_H

#include "crpc/descriptor.pb-c.h"

#include <crpc/crpc.h>

struct catalog_file {
    struct crpc_bytes bytes; /* the serialised FileDescriptorProto */
    Crpc__Descriptor__File *file;
};

struct catalog {
    struct catalog_file *files;
    size_t count;
    Crpc__Descriptor__FileSet **sets; /* own the bytes of the files */
    size_t set_count;
};

/* Adds the files of a set; those known by name already are skipped. Errors: CRPC_EDECODE,
 * CRPC_ENOMEM. */
int catalog_add(struct catalog *catalog, struct crpc_bytes set);
void catalog_clear(struct catalog *catalog);

/* NULL when there is none. A symbol is the full name of a message, enum, service or method. */
const struct catalog_file *catalog_file_named(const struct catalog *catalog, const char *name);
const struct catalog_file *catalog_file_defining(const struct catalog *catalog, const char *symbol);

/* Finds the kind of a method; false when no set knows it. */
bool catalog_kind(enum crpc_kind *out, const struct catalog *catalog, const char *service,
                  const char *method);

#endif
