/* SPDX-License-Identifier: Apache-2.0
 *
 * Sessions: random, bounded in number and age.
 */
#include <criterion/criterion.h>
#include <session.h>
#include <stdio.h>
#include <string.h>

static int64_t now_ms = 1000;

int64_t __wrap_clock_monotonic_ms(void);
int64_t __wrap_clock_monotonic_ms(void)
{
    return now_ms;
}

static struct session made(const char *token)
{
    struct session session = {.name = "Ada"};
    snprintf(session.token, sizeof(session.token), "%s", token);
    return session;
}

Test(session, stands_for_its_token)
{
    struct sessions *sessions = sessions_new();
    struct session session = made("secret"), found;
    char id[SESSION_ID_SIZE], other[SESSION_ID_SIZE];
    cr_assert(sessions_begin(sessions, &session, id));
    cr_assert(sessions_begin(sessions, &session, other));
    cr_assert_str_neq(id, other);
    cr_assert(sessions_find(sessions, id, &found));
    cr_assert_str_eq(found.token, "secret");
    cr_assert_str_eq(found.name, "Ada");
    sessions_end(sessions, id);
    cr_assert_not(sessions_find(sessions, id, &found));
    cr_assert(sessions_find(sessions, other, &found));
    sessions_free(sessions);
}

Test(session, nothing_else_is_one)
{
    struct sessions *sessions = sessions_new();
    struct session found;
    cr_assert_not(sessions_find(sessions, "", &found), "an empty place is no session");
    cr_assert_not(sessions_find(sessions, "0", &found));
    char zeros[SESSION_ID_SIZE] = "";
    memset(zeros, '0', sizeof(zeros) - 1);
    cr_assert_not(sessions_find(sessions, zeros, &found));
    sessions_free(sessions);
}

Test(session, ends_by_age_and_by_idleness)
{
    struct sessions *sessions = sessions_new();
    struct session session = made("secret"), found;
    char used[SESSION_ID_SIZE], idle[SESSION_ID_SIZE];
    cr_assert(sessions_begin(sessions, &session, used));
    cr_assert(sessions_begin(sessions, &session, idle));
    const int64_t begun_ms = now_ms;
    for (now_ms += SESSION_IDLE_MS_MAX; now_ms - begun_ms < SESSION_AGE_MS_MAX;
         now_ms += SESSION_IDLE_MS_MAX / 2)
        cr_assert(sessions_find(sessions, used, &found), "%lld", (long long)now_ms);
    cr_assert_not(sessions_find(sessions, idle, &found), "idle");
    now_ms = begun_ms + SESSION_AGE_MS_MAX + 1;
    cr_assert_not(sessions_find(sessions, used, &found), "old");
    sessions_free(sessions);
}

Test(session, past_the_bound_the_one_unused_for_longest_ends)
{
    struct sessions *sessions = sessions_new();
    struct session session = made("secret"), found;
    char ids[SESSIONS_MAX][SESSION_ID_SIZE], last[SESSION_ID_SIZE];
    for (int i = 0; i < SESSIONS_MAX; i++, now_ms++)
        cr_assert(sessions_begin(sessions, &session, ids[i]));
    cr_assert(sessions_find(sessions, ids[0], &found));
    now_ms++;
    cr_assert(sessions_begin(sessions, &session, last));
    cr_assert(sessions_find(sessions, ids[0], &found));
    cr_assert_not(sessions_find(sessions, ids[1], &found));
    cr_assert(sessions_find(sessions, last, &found));
    sessions_free(sessions);
}
