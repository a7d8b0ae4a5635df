/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers that a seed repeats.
 */
#ifndef TERCET_TORTURE_DRAW_H
#define TERCET_TORTURE_DRAW_H

#include <stdint.h>

/* 0 to limit - 1, by SplitMix64 (Steele, Lea and Flood 2014). */
static inline uint64_t draw(uint64_t *state, uint64_t limit)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % limit;
}

#endif
