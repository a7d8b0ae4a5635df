/* SPDX-License-Identifier: Apache-2.0
 *
 * Patterns with stars.
 */
#include "pattern.h"

#include <criterion/criterion.h>

Test(pattern, stars_stand_for_anything)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything", true},
        {"a", "a", true},
        {"a", "ab", false},
        {"ab", "a", false},
        {"a*", "a", true},
        {"a*", "abc", true},
        {"a*", "ba", false},
        {"*a", "ba", true},
        {"*a", "ab", false},
        {"a*c", "abbc", true},
        {"a*c", "abcb", false},
        {"a*c", "acbc", true},
        {"a**c", "ac", true},
        {"*ab*", "xaabx", true},
        {"*ab*", "ba", false},
        {"a*b*c", "aXbXbXc", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(pattern_matches(cases[i].pattern, cases[i].text), cases[i].matches, "%s of %s",
                     cases[i].pattern, cases[i].text);
}
