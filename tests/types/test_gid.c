/* SPDX-License-Identifier: Apache-2.0
 *
 * Transaction ids: their form, their order, their uniqueness over threads and forks.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <tercet/types.h>
#include <time.h>
#include <unistd.h>

#define GID_SIZE 26
#define ALPHABET "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#define THREADS 4
#define GIDS_PER_THREAD 20000
#define FORKS 50

static uint64_t time_of(const struct tercet_gid *gid)
{
    uint64_t value = 0;
    for (size_t i = 0; i < 10; i++)
        value = value << 5 | (uint64_t)(strchr(ALPHABET, gid->text[i]) - ALPHABET);
    return value;
}

static uint64_t clock_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct tercet_gid *)a)->text, ((const struct tercet_gid *)b)->text);
}

Test(gid, made_ones_are_valid_and_carry_the_time)
{
    struct tercet_gid gid, copy;
    uint64_t before = clock_ms();
    tercet_gid_make(&gid);
    uint64_t after = clock_ms();
    cr_assert_eq(strlen(gid.text), GID_SIZE);
    cr_assert_eq(strspn(gid.text, ALPHABET), GID_SIZE);
    cr_assert_eq(tercet_gid_set(&copy, gid.text), 0);
    cr_assert_str_eq(copy.text, gid.text);
    cr_assert(before <= time_of(&gid) && time_of(&gid) <= after);
}

Test(gid, each_is_greater_than_the_one_before)
{
    struct tercet_gid before, after;
    bool have_shared_a_millisecond = false;
    tercet_gid_make(&before);
    for (int i = 0; i < 20000; i++) {
        tercet_gid_make(&after);
        cr_assert_lt(strcmp(before.text, after.text), 0, "%s then %s", before.text, after.text);
        have_shared_a_millisecond |= time_of(&before) == time_of(&after);
        before = after;
    }
    cr_assert(have_shared_a_millisecond);
}

Test(gid, the_random_part_is_drawn_anew_each_millisecond)
{
    struct tercet_gid a, b;
    tercet_gid_make(&a);
    do
        tercet_gid_make(&b);
    while (time_of(&a) == time_of(&b));
    /* 70 of the 80 bits: the low ones may have been counted up. */
    cr_assert_neq(memcmp(a.text + 10, b.text + 10, 14), 0);
}

static void *make_many(void *ctx)
{
    struct tercet_gid *gids = ctx;
    for (int i = 0; i < GIDS_PER_THREAD; i++)
        tercet_gid_make(&gids[i]);
    return NULL;
}

Test(gid, threads_never_make_the_same)
{
    struct tercet_gid *gids = calloc(THREADS * GIDS_PER_THREAD, sizeof(*gids));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, make_many, gids + i * GIDS_PER_THREAD), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    qsort(gids, THREADS * GIDS_PER_THREAD, sizeof(*gids), compare);
    for (int i = 1; i < THREADS * GIDS_PER_THREAD; i++)
        cr_assert_neq(compare(&gids[i - 1], &gids[i]), 0);
    free(gids);
}

/* Where branches are counted: _exit would lose the child's counts. */
void __gcov_dump(void) __attribute__((weak));

static void leave(int status)
{
    if (__gcov_dump != NULL)
        __gcov_dump();
    _exit(status);
}

/* Waits for a new millisecond and forks: a child that counted on would make the parent's next
 * gid. */
static void make_in_both(struct tercet_gid *of_parent, struct tercet_gid *of_child)
{
    int pipe_fds[2], status = 0;
    struct tercet_gid gid = {.text = ""};
    cr_assert_eq(pipe(pipe_fds), 0);
    for (uint64_t now = clock_ms(); clock_ms() == now;)
        continue;
    tercet_gid_make(&gid);
    pid_t child = fork();
    tercet_gid_make(&gid);
    if (child == 0)
        leave(write(pipe_fds[1], &gid, sizeof(gid)) == sizeof(gid) ? 0 : 1);
    *of_parent = gid;
    cr_assert_gt(child, 0);
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(read(pipe_fds[0], of_child, sizeof(*of_child)), sizeof(*of_child));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

Test(gid, a_forked_child_makes_others_than_its_parent, .timeout = 30)
{
    struct tercet_gid of_parent, of_child;
    for (int i = 0; i < FORKS; i++) {
        make_in_both(&of_parent, &of_child);
        cr_assert_str_neq(of_parent.text, of_child.text);
    }
}

Test(gid, set_takes_the_allowed_characters_only)
{
    struct tercet_gid gid;
    cr_assert_eq(tercet_gid_set(&gid, "Order-2024:07._z"), 0);
    cr_assert_str_eq(gid.text, "Order-2024:07._z");
    for (int c = -128; c < 128; c++) {
        char text[3] = {'a', (char)c, '\0'};
        bool is_allowed = c > 0 && strchr(ALPHABET "abcdefghijklmnopqrstuvwxyzILOU._:-", c) != NULL;
        if (c != 0)
            cr_assert_eq(tercet_gid_set(&gid, text), is_allowed ? 0 : TERCET_INVALID,
                         "character %d", c);
    }
}

Test(gid, set_keeps_to_the_limit_and_leaves_the_output_on_failure)
{
    struct tercet_gid gid = {.text = "before"};
    char text[TERCET_GID_MAX + 2];
    memset(text, 'x', sizeof(text));
    text[TERCET_GID_MAX + 1] = '\0';
    cr_assert_eq(tercet_gid_set(&gid, text), TERCET_INVALID);
    cr_assert_eq(tercet_gid_set(&gid, ""), TERCET_INVALID);
    cr_assert_eq(tercet_gid_set(&gid, NULL), TERCET_INVALID);
    cr_assert_eq(tercet_gid_set(&gid, "a b"), TERCET_INVALID);
    cr_assert_str_eq(gid.text, "before");
    text[TERCET_GID_MAX] = '\0';
    cr_assert_eq(tercet_gid_set(&gid, text), 0);
    cr_assert_eq(strlen(gid.text), TERCET_GID_MAX);
}
