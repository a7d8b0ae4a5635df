/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet/sys/store_conformance.h, and bench.h.
 */
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKET_MS 1000
#define SIZE_MAX_BYTES (256u << 20) /* enough for all cases, and no more than any machine has */

void bench_fail(struct bench *bench, const char *format, ...)
{
    va_list args;
    if (bench->failure[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(bench->failure, sizeof(bench->failure), format, args);
    va_end(args);
}

void bench_acquire(struct bench *bench)
{
    int rc = store_acquire(bench->store, 0, &bench->lease);
    if (rc != 0)
        bench_fail(bench, "acquire: %s", tercet_store_strerror(rc));
}

static void open_store(struct bench *bench)
{
    const struct tercet_store_options options = {
        .size = sizeof(options), .size_max = SIZE_MAX_BYTES, .bucket_ms = BUCKET_MS};
    char text[TERCET_STORE_TEXT_MAX] = "no text";
    int rc = store_open_with(&bench->store, bench->suite->driver, bench->name, &options, text);
    if (rc != 0)
        bench_fail(bench, "open %s: %s (%s)", bench->name, tercet_store_strerror(rc), text);
    else
        bench_acquire(bench);
}

void bench_reopen(struct bench *bench)
{
    if (!bench->suite->is_lasting) {
        bench_acquire(bench);
        return;
    }
    store_close(bench->store);
    bench->store = NULL;
    open_store(bench);
}

/* -- Contents ---------------------------------------------------------------------------------- */

const char *bench_live(struct bench *bench)
{
    return bench->store != NULL ? contents_live(bench->store, bench->text) : "not open";
}

const char *bench_resolved(struct bench *bench, size_t limit)
{
    return bench->store != NULL ? contents_resolved(bench->store, limit, bench->text) : "not open";
}

const char *bench_meta(struct bench *bench)
{
    return bench->store != NULL ? contents_meta(bench->store, bench->text) : "not open";
}

const char *bench_find(struct bench *bench, const char *gid)
{
    return bench->store != NULL ? contents_find(bench->store, gid, 0, bench->text) : "not open";
}

const char *bench_find_number(struct bench *bench, uint64_t number)
{
    return bench->store != NULL ? contents_find(bench->store, NULL, number, bench->text)
                                : "not open";
}

/* -- Running ----------------------------------------------------------------------------------- */

static const struct bench_case *case_at(size_t i)
{
    size_t n = 0;
    for (const struct bench_case *one = read_cases; one->name != NULL; one++)
        if (n++ == i)
            return one;
    for (const struct bench_case *one = write_cases; one->name != NULL; one++)
        if (n++ == i)
            return one;
    return NULL;
}

const char *tercet_store_conformance_case(size_t i)
{
    const struct bench_case *one = case_at(i);
    return one != NULL ? one->name : NULL;
}

static void run_case(struct bench *bench, const struct bench_case *one)
{
    const struct tercet_store_conformance *suite = bench->suite;
    memset(bench, 0, sizeof(*bench));
    bench->suite = suite;
    if (suite->make(bench->name, sizeof(bench->name), suite->ctx) != 0) {
        bench_fail(bench, "no store could be made for the case");
        return;
    }
    open_store(bench);
    if (bench->failure[0] == '\0')
        one->run(bench);
    store_close(bench->store);
    if (suite->remove != NULL)
        suite->remove(bench->name, suite->ctx);
}

int tercet_store_conformance_run(const struct tercet_store_conformance *suite, const char *only)
{
    struct bench *bench = malloc(sizeof(*bench));
    int failed = 0;
    if (bench == NULL)
        abort();
    bench->suite = suite;
    for (size_t i = 0; case_at(i) != NULL; i++) {
        const struct bench_case *one = case_at(i);
        if ((only != NULL && strcmp(only, one->name) != 0) ||
            (one->needs_failure && suite->fail_next == NULL))
            continue;
        run_case(bench, one);
        failed += bench->failure[0] != '\0';
        suite->report(one->name, bench->failure[0] != '\0' ? bench->failure : NULL, suite->ctx);
    }
    free(bench);
    return failed;
}
