/* SPDX-License-Identifier: Apache-2.0
 *
 * loglevel.h
 */
#include "loglevel.h"

#include <string.h>

#define TEXT_SIZE_MAX 200

static const char *const part_names[LOG_PARTS] = {"transactions", "participants", "store",
                                                  "connections"};
static const char *const level_names[] = {"error", "warning", "info", "debug"};
#define LEVELS (sizeof(level_names) / sizeof(level_names[0]))

void loglevel_init(struct loglevel *loglevel)
{
    for (int i = 0; i < LOG_PARTS; i++)
        atomic_init(&loglevel->levels[i], TERCET_LOG_DEBUG);
}

static int find_name(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

/* "level" or "part=level". */
static const char *take_word(int levels[LOG_PARTS], char *word)
{
    char *sign = strchr(word, '=');
    if (sign != NULL)
        *sign = '\0';
    int level = find_name(level_names, LEVELS, sign != NULL ? sign + 1 : word);
    int part = sign != NULL ? find_name(part_names, LOG_PARTS, word) : -1;
    if (level < 0)
        return "error, warning, info or debug is wanted";
    if (sign != NULL && part < 0)
        return "a part of the log is transactions, participants, store or connections";
    for (int i = 0; i < LOG_PARTS; i++)
        if (part < 0 || i == part)
            levels[i] = level;
    return NULL;
}

int loglevel_set(struct loglevel *loglevel, const char *text, struct refusal *no)
{
    char copy[TEXT_SIZE_MAX + 1], *rest = copy, *word;
    int levels[LOG_PARTS];
    const char *wrong = NULL;
    if (strlen(text) > TEXT_SIZE_MAX)
        return refusal_set(no, TERCET_INVALID, "levels of the log are told in at most 200 bytes");
    strcpy(copy, text);
    for (int i = 0; i < LOG_PARTS; i++)
        levels[i] = atomic_load(&loglevel->levels[i]);
    while (wrong == NULL && (word = strsep(&rest, ",")) != NULL)
        wrong = take_word(levels, word);
    if (wrong != NULL)
        return refusal_set(no, TERCET_INVALID, "%s", wrong);
    for (int i = 0; i < LOG_PARTS; i++)
        atomic_store(&loglevel->levels[i], levels[i]);
    return 0;
}

bool loglevel_lets(const struct loglevel *loglevel, enum log_part part, enum tercet_log_level level)
{
    return (int)level <= atomic_load(&loglevel->levels[part]);
}

const char *loglevel_part_name(enum log_part part)
{
    return part_names[part];
}

const char *loglevel_name(const struct loglevel *loglevel, enum log_part part)
{
    return level_names[atomic_load(&loglevel->levels[part])];
}
