/* SPDX-License-Identifier: Apache-2.0
 *
 * Named crash points, for the fault-injection tests. FAILPOINT("commit.before") kills the process
 * there (SIGKILL, as a power cut would) when the environment says TERCET_FAILPOINT=commit.before,
 * or commit.before:3 for its third passing, or commit.before:3:200 to let the other threads go on
 * for 200 ms first: what leaves although it must wait has the time to. A line "failpoint NAME" on
 * standard error says that it was reached. A program may watch every passing itself. The points
 * enlist themselves in a linker section, so they can be listed. Without TERCET_FAILPOINTS they do
 * not exist.
 */
#ifndef TERCET_FAILPOINT_H
#define TERCET_FAILPOINT_H

#include <stdbool.h>
#include <stddef.h>

#ifdef TERCET_FAILPOINTS
struct failpoint {
    const char *name;
};
void failpoint_pass(const struct failpoint *point);
/* From now on `watch` is called at every passing, on the thread that passes, in place of what the
 * environment says. */
void failpoint_watch(void (*watch)(const char *name));
#define FAILPOINT(text)                                                                            \
    do {                                                                                           \
        static const struct failpoint failpoint_here = {text};                                     \
        static const struct failpoint *const failpoint_entry                                       \
            __attribute__((section("tercet_failpoints"), used)) = &failpoint_here;                 \
        failpoint_pass(failpoint_entry);                                                           \
    } while (0)
#else
#define FAILPOINT(text) ((void)0)
#endif

/* A statement with a point before it and one after it. */
#define FAILPOINT_AROUND(text, statement)                                                          \
    do {                                                                                           \
        FAILPOINT(text ".before");                                                                 \
        statement;                                                                                 \
        FAILPOINT(text ".after");                                                                  \
    } while (0)

/* The i-th point linked into this program, NULL past the last; always NULL when they are not built
 * in. */
const char *failpoint_name(size_t i);

#endif
