/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fuzz targets share. A target is LLVMFuzzerTestOneInput: libFuzzer calls it with inputs
 * it makes, replay.c with those of a corpus; seeds.c makes the first ones. Bytes past an input's
 * end are zero.
 */
#ifndef TERCET_FUZZ_H
#define TERCET_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input is. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);         \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* What is left of an input. */
struct input {
    const uint8_t *at;
    size_t size;
};

static inline uint8_t take(struct input *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->at++;
}

static inline uint32_t take_below(struct input *input, uint32_t limit)
{
    return take(input) % limit;
}

/* What is left as a string of its own, malloc'ed, so that a sanitizer sees a look past its end. */
static inline char *take_text(struct input *input)
{
    char *text = malloc(input->size + 1);
    MUST(text != NULL);
    memcpy(text, input->at, input->size);
    text[input->size] = '\0';
    input->at += input->size;
    input->size = 0;
    return text;
}

#endif
