/* SPDX-License-Identifier: Apache-2.0
 *
 * Checking a store: what is whole is found whole, each damage is told; and random damage of the
 * file of an LMDB store never makes a wrong answer of it, whatever LMDB makes of it.
 */
#include "scrub.h"

#include "record.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(scrub, .timeout = 300);

#define RESOLVED 300
#define LIVE 20
#define DAMAGES 250 /* drawn ones */

struct told {
    size_t count;
    char last[TERCET_STORE_TEXT_MAX];
};

static void keep(const char *text, void *ctx)
{
    struct told *told = ctx;
    told->count++;
    snprintf(told->last, sizeof(told->last), "%s", text);
}

static bool go_on(void *ctx)
{
    (void)ctx;
    return true;
}

static bool stop(void *ctx)
{
    (void)ctx;
    return false;
}

static struct scrub scrub_of(struct store *store, struct told *told)
{
    *told = (struct told){0};
    return (struct scrub){.store = store, .on_damage = keep, .goes_on = go_on, .ctx = told};
}

/* -- A store with something in it -------------------------------------------------------------- */

static uint64_t epoch;

static struct store *open_at(const char *name)
{
    struct tercet_store_options options = {.size = sizeof(options), .size_max = 64u << 20};
    struct tercet_store_lease lease;
    struct store *store = NULL;
    char text[TERCET_STORE_TEXT_MAX];
    cr_assert_eq(store_open(&store, name, NULL, &options, text), 0, "%s", text);
    cr_assert_eq(store_acquire(store, 0, &lease), 0);
    epoch = lease.epoch;
    return store;
}

static void write_one(struct store *store, const struct tercet_store_op *op)
{
    cr_assert_eq(store_commit(store, 0, epoch, op, 1), 0);
}

static void put(struct store *store, uint64_t number, uint32_t part, struct crpc_bytes record)
{
    const struct tercet_store_op op = {.kind = TERCET_STORE_PUT,
                                       .number = number,
                                       .part = part,
                                       .value = record.data,
                                       .size = record.size};
    write_one(store, &op);
}

static void name_gid(char gid[TERCET_STORE_GID_MAX + 1], unsigned i)
{
    snprintf(gid, TERCET_STORE_GID_MAX, "gid-%05u", i * 7);
}

static void resolve(struct store *store, struct arena *arena, unsigned i)
{
    Tercet__Store__V1__State state = TERCET__STORE__V1__STATE__INIT;
    Tercet__Store__V1__Resolved resolved = TERCET__STORE__V1__RESOLVED__INIT;
    char gid[TERCET_STORE_GID_MAX + 1];
    name_gid(gid, i);
    state.gid = gid;
    state.state = TXN_CONFIRMED;
    resolved.state = &state;
    resolved.resolved_ms = i;
    struct crpc_bytes record = record_encode(arena, RECORD_RESOLVED, &resolved.base);
    const struct tercet_store_op op = {.kind = TERCET_STORE_RESOLVE,
                                       .number = i,
                                       .time_ms = i < RESOLVED / 2 ? 1000 : 200000000,
                                       .gid = gid,
                                       .value = record.data,
                                       .size = record.size};
    write_one(store, &op);
}

/* With one branch. */
static void begin(struct store *store, struct arena *arena, uint64_t number)
{
    Tercet__Store__V1__State state = TERCET__STORE__V1__STATE__INIT;
    Tercet__Store__V1__BranchState status = TERCET__STORE__V1__BRANCH_STATE__INIT;
    Tercet__Store__V1__BranchState *statuses[] = {&status};
    Tercet__Store__V1__Branch branch = TERCET__STORE__V1__BRANCH__INIT;
    state.gid = (char *)"live";
    state.state = TXN_TRYING;
    state.branches = statuses;
    state.n_branches = 1;
    status.number = 1;
    branch.action = (char *)"a/b";
    put(store, number, 0, record_encode(arena, RECORD_STATE, &state.base));
    put(store, number, 1, record_encode(arena, RECORD_BRANCH, &branch.base));
}

static void fill(struct store *store)
{
    struct arena arena = {0};
    for (unsigned i = 1; i <= RESOLVED; i++)
        resolve(store, &arena, i);
    for (uint64_t i = 1; i <= LIVE; i++)
        begin(store, &arena, RESOLVED + i);
    arena_free(&arena);
}

/* -- Damage that is aimed ---------------------------------------------------------------------- */

static void expect_damage(struct store *store, uint64_t count, const char *words)
{
    struct told told;
    struct scrub scrub = scrub_of(store, &told);
    cr_assert_eq(scrub_run(&scrub), 0);
    cr_expect_eq(scrub.counts.damages, count, "%lu: %s", (unsigned long)scrub.counts.damages,
                 told.last);
    cr_expect_not_null(strstr(told.last, words), "%s", told.last);
}

Test(scrub, a_whole_store_is_found_whole)
{
    struct told told;
    struct store *store = open_at("memory:");
    fill(store);
    struct scrub scrub = scrub_of(store, &told);
    cr_assert_eq(scrub_run(&scrub), 0);
    cr_assert_eq(told.count, 0, "%s", told.last);
    cr_assert_eq(scrub.counts.live, LIVE);
    cr_assert_eq(scrub.counts.branches, LIVE);
    cr_assert_eq(scrub.counts.resolved, RESOLVED);
    scrub.goes_on = stop;
    cr_assert_eq(scrub_run(&scrub), 1);
    store_close(store);
}

Test(scrub, each_damage_is_told)
{
    static const struct crpc_bytes rubbish = {"no record at all", 16};
    struct store *store = open_at("memory:");
    fill(store);
    struct tercet_store_op op = {.kind = TERCET_STORE_META_PUT,
                                 .name = "participant/a",
                                 .value = rubbish.data,
                                 .size = rubbish.size};
    write_one(store, &op);
    expect_damage(store, 1, "\"participant/a\" is damaged");
    op = (struct tercet_store_op){.kind = TERCET_STORE_META_DELETE, .name = "participant/a"};
    write_one(store, &op);
    put(store, RESOLVED + 5, 1, rubbish);
    expect_damage(store, 1, "branch 1 of transaction number 305 is damaged");
    op = (struct tercet_store_op){.kind = TERCET_STORE_DELETE, .number = RESOLVED + 5, .part = 1};
    write_one(store, &op);
    expect_damage(store, 1, "has 1 branches by its state, and records of 0");
    put(store, RESOLVED + 5, 0, rubbish);
    expect_damage(store, 1, "the state of transaction number 305 is damaged");
    op.part = 0;
    write_one(store, &op);
    expect_damage(store, 0, "");
    op = (struct tercet_store_op){.kind = TERCET_STORE_RESOLVE,
                                  .number = 1000,
                                  .time_ms = 1000,
                                  .gid = "rubbish",
                                  .value = rubbish.data,
                                  .size = rubbish.size};
    write_one(store, &op);
    expect_damage(store, 1, "resolved transaction number 1000 is damaged");
    store_close(store);
}

/* -- Damage that is drawn ---------------------------------------------------------------------- */

enum verdict { RIGHT = 0, REFUSED = 10, WRONG = 20, NOT_KNOWN = 21 };

static enum verdict judge(struct store *store, unsigned i)
{
    char gid[TERCET_STORE_GID_MAX + 1];
    struct store_value value;
    uint64_t number = 0;
    name_gid(gid, i);
    int rc = store_find_wait(store, 0, gid, &number, &value);
    if (rc != 0)
        return rc == TERCET_STORE_NOT_FOUND ? NOT_KNOWN : REFUSED;
    Tercet__Store__V1__Resolved *record =
        (Tercet__Store__V1__Resolved *)record_decode(RECORD_RESOLVED, value.data, value.size);
    store_value_free(&value);
    if (record == NULL)
        return REFUSED;
    /* a record of another gid is refused by whoever asked (find.c): it is whole, not wrong */
    bool is_its_own = strcmp(record->state->gid, gid) == 0;
    bool is_right = is_its_own && record->resolved_ms == (int64_t)i;
    crpc_message_free(&record->base);
    return is_right ? RIGHT : is_its_own ? WRONG : REFUSED;
}

/* In a child, since LMDB may end the process over a page that it cannot make sense of. */
static enum verdict look_at_all(const char *directory)
{
    struct tercet_store_options options = {.size = sizeof(options), .size_max = 64u << 20};
    struct store *store = NULL;
    struct told told;
    char text[TERCET_STORE_TEXT_MAX];
    enum verdict worst = RIGHT;
    if (store_open(&store, directory, NULL, &options, text) != 0)
        return REFUSED;
    for (unsigned i = 1; i <= RESOLVED; i++) {
        enum verdict verdict = judge(store, i);
        worst = verdict > worst ? verdict : worst;
    }
    struct scrub scrub = scrub_of(store, &told);
    (void)scrub_run(&scrub);
    if (worst == REFUSED && told.count == 0)
        worst = WRONG; /* the check has overlooked it */
    store_close(store);
    return worst;
}

static int run_child(const char *directory)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        /* what LMDB does to a damaged page is not for a sanitizer to report */
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        signal(SIGABRT, SIG_DFL);
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(null, STDERR_FILENO);
        alarm(60);
        _exit(look_at_all(directory));
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return status;
}

static uint64_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void damage_file(const char *path, const uint8_t *bytes, size_t size, uint64_t *state)
{
    uint8_t *copy = malloc(size);
    memcpy(copy, bytes, size);
    size_t at = (size_t)(draw(state) * 4096 + draw(state) % 4096) % size;
    switch (draw(state) % 5) {
    case 0: /* a page is lost */
        memset(copy + at / 4096 * 4096, 0, size - at / 4096 * 4096 < 4096 ? 0 : 4096);
        break;
    case 1: /* a piece of another one stands there */
        memcpy(copy + at / 512 * 512, bytes + (size_t)draw(state) % (size / 512) * 512, 512);
        break;
    case 2: /* a whole other one, perhaps one that stood there once */
        memcpy(copy + at / 4096 * 4096, bytes + (size_t)draw(state) % (size / 4096) * 4096, 4096);
        break;
    default:
        copy[at] ^= (uint8_t)(1u << draw(state) % 8);
    }
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    cr_assert_eq(write(fd, copy, size), (ssize_t)size);
    close(fd);
    free(copy);
}

static uint8_t *read_file(const char *path, size_t *size)
{
    struct stat file;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(fstat(fd, &file), 0);
    *size = (size_t)file.st_size / 512 * 512;
    uint8_t *bytes = malloc(*size);
    cr_assert_eq(read(fd, bytes, *size), (ssize_t)*size);
    close(fd);
    return bytes;
}

static void remove_directory(const char *directory)
{
    char path[512];
    DIR *entries = opendir(directory);
    for (const struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        unlink(path);
    }
    closedir(entries);
    rmdir(directory);
}

/* TERCET_SEED draws other ones. */
Test(scrub, drawn_damage_makes_no_wrong_answer)
{
    char directory[] = "/tmp/tercet-scrub-XXXXXX", path[64];
    const char *seed = getenv("TERCET_SEED");
    uint64_t state = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    unsigned right = 0, refused = 0, ended = 0;
    size_t size = 0;
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/data.mdb", directory);
    struct store *store = open_at(directory);
    fill(store);
    store_close(store);
    uint8_t *bytes = read_file(path, &size);
    cr_assert_eq(run_child(directory), RIGHT);
    for (int i = 0; i < DAMAGES; i++) {
        uint64_t drawn = state;
        damage_file(path, bytes, size, &state);
        int status = run_child(directory);
        int verdict = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
        cr_expect(verdict != WRONG && verdict != NOT_KNOWN, "TERCET_SEED=%lu: %s",
                  (unsigned long)drawn, verdict == WRONG ? "a wrong answer" : "not known");
        right += verdict == RIGHT;
        refused += verdict == REFUSED;
        ended += verdict == -1 || verdict == 70;
    }
    fprintf(stderr, "%d damages: %u without effect, %u refused, %u ended by LMDB\n", DAMAGES, right,
            refused, ended);
    cr_expect_eq(right + refused + ended, DAMAGES);
    cr_expect_gt(refused, 20);
    free(bytes);
    remove_directory(directory);
}
