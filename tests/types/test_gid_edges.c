/* SPDX-License-Identifier: Apache-2.0
 *
 * Transaction ids when the clock stands still and randomness comes in drops. The linker puts these
 * functions in the place of the system's, for the test's program and the library in it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <tercet/types.h>
#include <time.h>

static struct {
    bool is_frozen;
    struct timespec now;
} wall;

static struct {
    bool is_scripted;
    uint8_t byte;
    int interruptions;
    size_t drop; /* bytes a call, at most */
    int calls;
} chance;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
ssize_t __real_getrandom(void *data, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags);

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (!wall.is_frozen)
        return __real_clock_gettime(clock, now);
    *now = wall.now;
    return 0;
}

ssize_t __wrap_getrandom(void *data, size_t size, unsigned flags)
{
    if (!chance.is_scripted)
        return __real_getrandom(data, size, flags);
    chance.calls++;
    if (chance.interruptions > 0) {
        chance.interruptions--;
        errno = EINTR;
        return -1;
    }
    size = size < chance.drop ? size : chance.drop;
    memset(data, chance.byte, size);
    return (ssize_t)size;
}

static void freeze(void)
{
    __real_clock_gettime(CLOCK_REALTIME, &wall.now);
    wall.now.tv_sec += 60; /* past what was made before */
    wall.is_frozen = true;
    chance.is_scripted = true;
}

static void check_text(const char *random_part)
{
    struct tercet_gid gid;
    tercet_gid_make(&gid);
    cr_assert_str_eq(gid.text + 10, random_part);
}

Test(gid_edges, randomness_in_drops_is_gathered)
{
    freeze();
    chance.byte = 0xff;
    chance.drop = 3;
    chance.interruptions = 2;
    check_text("ZZZZZZZZZZZZZZZZ");
    cr_assert_eq(chance.calls, 2 + 4);
}

Test(gid_edges, while_the_clock_stands_the_random_part_goes_on_by_random_steps)
{
    freeze();
    chance.byte = 0;
    chance.drop = 10;
    check_text("0000000000000000");
    check_text("0000000000000001");
    wall.now.tv_sec -= 3600;
    chance.byte = 0xff; /* 2^56 on */
    check_text("0000200000000001");
    cr_assert_eq(chance.calls, 3);
    chance.byte = 0;
    wall.now.tv_sec += 3601;
    check_text("0000000000000000");
}

/* All bits are set: the next gid is one of the next millisecond, though the clock does not say
 * so. */
Test(gid_edges, past_the_last_random_part_comes_the_next_millisecond)
{
    struct tercet_gid last, next;
    freeze();
    chance.byte = 0xff;
    chance.drop = 10;
    tercet_gid_make(&last);
    chance.byte = 0x11;
    tercet_gid_make(&next);
    cr_assert_gt(strcmp(next.text, last.text), 0);
    cr_assert_str_neq(next.text + 10, last.text + 10);
    wall.now.tv_nsec = (wall.now.tv_nsec + 1000000) % 1000000000;
    wall.now.tv_sec += wall.now.tv_nsec < 1000000;
    struct tercet_gid after;
    tercet_gid_make(&after);
    cr_assert_eq(strncmp(after.text, next.text, 10), 0, "the millisecond was the clock's next one");
    cr_assert_gt(strcmp(after.text, next.text), 0);
}
