/* SPDX-License-Identifier: Apache-2.0
 *
 * effects.h
 */
#include "effects.h"

#include "process.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_NO_PROBE 2

typedef int64_t numbers[EFFECTS_NUMBERS_MAX];

/* -- Looking ----------------------------------------------------------------------------------- */

/* All whole numbers in the text, in their order. */
static size_t parse(const char *text, numbers out)
{
    size_t count = 0;
    while (*text != '\0' && count < EFFECTS_NUMBERS_MAX) {
        const bool is_negative = *text == '-' && isdigit((unsigned char)text[1]);
        if (!is_negative && !isdigit((unsigned char)*text)) {
            text++;
            continue;
        }
        char *end = NULL;
        out[count++] = strtoll(text, &end, 10);
        text = end;
    }
    return count;
}

static void look(struct effects *effects, numbers out)
{
    char text[4096];
    int status = process_output(effects->command, text, sizeof(text));
    size_t count = status == 0 ? parse(text, out) : 0;
    if (status != 0)
        fprintf(stderr, "tercet-conformance: the probe ended with status %d\n", status);
    else if (count == 0)
        fprintf(stderr, "tercet-conformance: the probe prints no number\n");
    else if (effects->count != 0 && count != effects->count)
        fprintf(stderr, "tercet-conformance: the probe has printed %zu numbers, and now %zu\n",
                effects->count, count);
    else
        effects->count = count;
    if (status != 0 || count != effects->count)
        exit(EXIT_NO_PROBE);
}

static void print_numbers(char *out, size_t size, const int64_t *of, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count && length < size; i++)
        length += (size_t)snprintf(out + length, size - length, "%s%lld", i > 0 ? ", " : "",
                                   (long long)of[i]);
}

/* -- Judging ----------------------------------------------------------------------------------- */

/* The numbers as they are right, with so many pairs of try and cancel more than wanted. */
static void right_numbers(const struct effects *effects, long pairs, numbers out)
{
    for (size_t i = 0; i < effects->count; i++) {
        out[i] = effects->base[i] +
                 pairs * (effects->change[TERCET_TRY][i] + effects->change[TERCET_CANCEL][i]);
        for (int kind = TERCET_TRY; kind <= TERCET_CANCEL; kind++)
            out[i] += effects->wanted[kind] * effects->change[kind][i];
    }
}

static bool is_same(const struct effects *effects, const int64_t *a, const int64_t *b)
{
    return memcmp(a, b, effects->count * sizeof(*a)) == 0;
}

static void say_wrong(struct effects *effects, const int64_t *right, const int64_t *now)
{
    char wanted[300] = "", came[300] = "";
    print_numbers(wanted, sizeof(wanted), right, effects->count);
    print_numbers(came, sizeof(came), now, effects->count);
    snprintf(effects->wrong, sizeof(effects->wrong),
             "the probe shows %s; right is %s (effects so far: %ld tries, %ld confirms, %ld "
             "cancels)",
             came, wanted, effects->wanted[TERCET_TRY], effects->wanted[TERCET_CONFIRM],
             effects->wanted[TERCET_CANCEL]);
}

bool effects_hold_with_pairs(struct effects *effects, long count)
{
    numbers now = {0}, right = {0}, plain = {0};
    effects->wrong[0] = '\0';
    if (effects->command == NULL)
        return true;
    look(effects, now);
    right_numbers(effects, 0, plain);
    for (long pairs = 0; pairs <= count; pairs++) {
        right_numbers(effects, pairs, right);
        if (is_same(effects, right, now))
            return true;
    }
    say_wrong(effects, plain, now);
    return false;
}

bool effects_hold(struct effects *effects)
{
    return effects_hold_with_pairs(effects, 0);
}

void effects_begin(struct effects *effects)
{
    memset(effects->wanted, 0, sizeof(effects->wanted));
    effects->wrong[0] = '\0';
    if (effects->command != NULL)
        look(effects, effects->base);
}

/* -- Learning ---------------------------------------------------------------------------------- */

/* What one of this kind changes, from the numbers as they were right without it. A confirm may
 * change nothing that shows; what a try takes and a cancel gives back must. */
static bool learn(struct effects *effects, enum tercet_kind kind)
{
    numbers now = {0}, before = {0};
    bool is_seen = kind == TERCET_CONFIRM;
    right_numbers(effects, 0, before);
    look(effects, now);
    for (size_t i = 0; i < effects->count; i++) {
        effects->change[kind][i] = now[i] - before[i];
        is_seen = is_seen || now[i] != before[i];
    }
    effects->is_learned[kind] = true;
    if (!is_seen)
        snprintf(effects->wrong, sizeof(effects->wrong),
                 "the probe shows no change by a %s that was done: either it has no effect, or the "
                 "probe is to print more",
                 tercet_kind_name(kind));
    return is_seen;
}

bool effects_add(struct effects *effects, enum tercet_kind kind)
{
    bool is_right = true;
    effects->wrong[0] = '\0';
    if (effects->command != NULL && !effects->is_learned[kind])
        is_right = learn(effects, kind);
    effects->wanted[kind]++;
    return is_right && effects_hold(effects);
}
