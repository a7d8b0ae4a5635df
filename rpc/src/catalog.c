/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded descriptor sets.
 */
#include "catalog.h"

#include <stdlib.h>
#include <string.h>

/* Descriptor sets are ours, and larger than the decoder's default for foreign bytes may allow. */
#define SET_MEMORY_MAX (256 * 1024 * 1024)

static int file_add(struct catalog *catalog, ProtobufCBinaryData data)
{
    ProtobufCMessage *message;
    struct crpc_bytes bytes = {data.data, data.len};
    int rc =
        crpc_message_decode(&message, &crpc__descriptor__file__descriptor, bytes, SET_MEMORY_MAX);
    if (rc != 0)
        return rc;
    Crpc__Descriptor__File *file = (Crpc__Descriptor__File *)message;
    if (catalog_file_named(catalog, file->name) != NULL) {
        crpc_message_free(message);
        return 0;
    }
    struct catalog_file *files = realloc(catalog->files, (catalog->count + 1) * sizeof(*files));
    if (files == NULL) {
        crpc_message_free(message);
        return CRPC_ENOMEM;
    }
    catalog->files = files;
    files[catalog->count++] = (struct catalog_file){bytes, file};
    return 0;
}

int catalog_add(struct catalog *catalog, struct crpc_bytes bytes)
{
    ProtobufCMessage *message;
    Crpc__Descriptor__FileSet **sets =
        realloc(catalog->sets, (catalog->set_count + 1) * sizeof(*sets));
    if (sets == NULL)
        return CRPC_ENOMEM;
    catalog->sets = sets;
    int rc = crpc_message_decode(&message, &crpc__descriptor__file_set__descriptor, bytes,
                                 SET_MEMORY_MAX);
    if (rc != 0)
        return rc;
    Crpc__Descriptor__FileSet *set = (Crpc__Descriptor__FileSet *)message;
    sets[catalog->set_count++] = set;
    for (size_t i = 0; i < set->n_file && rc == 0; i++)
        rc = file_add(catalog, set->file[i]);
    return rc;
}

void catalog_clear(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++)
        crpc_message_free(&catalog->files[i].file->base);
    for (size_t i = 0; i < catalog->set_count; i++)
        crpc_message_free(&catalog->sets[i]->base);
    free(catalog->files);
    free(catalog->sets);
    memset(catalog, 0, sizeof(*catalog));
}

const struct catalog_file *catalog_file_named(const struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (strcmp(catalog->files[i].file->name, name) == 0)
            return &catalog->files[i];
    return NULL;
}

/* What is left of a dotted name after its first part, or NULL when it does not begin with it. "" is
 * all of it. */
static const char *name_rest(const char *name, const char *part)
{
    size_t size = strlen(part);
    if (strncmp(name, part, size) != 0)
        return NULL;
    if (name[size] == '\0')
        return name + size;
    return name[size] == '.' && name[size + 1] != '\0' ? name + size + 1 : NULL;
}

static bool enums_define(Crpc__Descriptor__Enum **enums, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(enums[i]->name, name) == 0)
            return true;
    return false;
}

/* Recursion as deep as messages are nested in the .proto, which the decoder has bounded. */
static bool messages_define(Crpc__Descriptor__Message **messages, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        const char *rest = name_rest(name, messages[i]->name);
        if (rest == NULL)
            continue;
        if (rest[0] == '\0' ||
            messages_define(messages[i]->nested_type, messages[i]->n_nested_type, rest) ||
            enums_define(messages[i]->enum_type, messages[i]->n_enum_type, rest))
            return true;
    }
    return false;
}

static const Crpc__Descriptor__Method *method_find(const Crpc__Descriptor__Service *service,
                                                   const char *name)
{
    for (size_t i = 0; i < service->n_method; i++)
        if (strcmp(service->method[i]->name, name) == 0)
            return service->method[i];
    return NULL;
}

static bool services_define(const Crpc__Descriptor__File *file, const char *name)
{
    for (size_t i = 0; i < file->n_service; i++) {
        const char *rest = name_rest(name, file->service[i]->name);
        if (rest != NULL && (rest[0] == '\0' || method_find(file->service[i], rest) != NULL))
            return true;
    }
    return false;
}

/* The name within the file's package, NULL when it lies in another. */
static const char *name_in_package(const Crpc__Descriptor__File *file, const char *name)
{
    return file->package[0] == '\0' ? name : name_rest(name, file->package);
}

const struct catalog_file *catalog_file_defining(const struct catalog *catalog, const char *symbol)
{
    for (size_t i = 0; i < catalog->count; i++) {
        const Crpc__Descriptor__File *file = catalog->files[i].file;
        const char *name = name_in_package(file, symbol);
        if (name == NULL || name[0] == '\0')
            continue;
        if (messages_define(file->message_type, file->n_message_type, name) ||
            enums_define(file->enum_type, file->n_enum_type, name) || services_define(file, name))
            return &catalog->files[i];
    }
    return NULL;
}

static const Crpc__Descriptor__Method *method_in_catalog(const struct catalog *catalog,
                                                         const char *service, const char *method)
{
    for (size_t i = 0; i < catalog->count; i++) {
        const Crpc__Descriptor__File *file = catalog->files[i].file;
        const char *name = name_in_package(file, service);
        for (size_t k = 0; name != NULL && k < file->n_service; k++)
            if (strcmp(file->service[k]->name, name) == 0)
                return method_find(file->service[k], method);
    }
    return NULL;
}

bool catalog_kind(enum crpc_kind *out, const struct catalog *catalog, const char *service,
                  const char *method)
{
    const Crpc__Descriptor__Method *found = method_in_catalog(catalog, service, method);
    if (found == NULL)
        return false;
    if (found->client_streaming)
        *out = found->server_streaming ? CRPC_BIDIRECTIONAL : CRPC_CLIENT_STREAMING;
    else
        *out = found->server_streaming ? CRPC_SERVER_STREAMING : CRPC_UNARY;
    return true;
}
