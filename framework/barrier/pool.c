/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.h.
 */
#include "pool.h"

#include <assert.h>
#include <clock.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define BUSY_TIMEOUT_MS_DEFAULT 5000
#define COLLECT_ROWS_MAX_DEFAULT 256
#define CONNECTIONS_DEFAULT 4
#define CONNECTIONS_MAX 256
#define CONNECT_TIMEOUT_MS_DEFAULT 5000
#define STORE_INTERVAL_MS_DEFAULT 100
#define UNDONE_ONE 65536u
#define CALM_LEAST 64u
#define CALM_MOST 65536u
#define STORE_ROWS_MAX 16384 /* deleted in one transaction: locks are held as long */

/* -- Open and close ---------------------------------------------------------------------------- */

static void set_default(uint32_t *value, uint32_t instead)
{
    if (*value == 0)
        *value = instead;
}

int tercet_barrier_options_complete(struct tercet_barrier_options *out,
                                    const struct tercet_barrier_options *given)
{
    struct tercet_barrier_options options = {.size = sizeof(options)};
    if (given != NULL && given->size < sizeof(given->size))
        return TERCET_INVALID;
    if (given != NULL)
        memcpy(&options, given, given->size < sizeof(options) ? given->size : sizeof(options));
    if (options.connections_max > CONNECTIONS_MAX)
        return TERCET_INVALID;
    set_default(&options.busy_timeout_ms, BUSY_TIMEOUT_MS_DEFAULT);
    set_default(&options.collect_rows_max, COLLECT_ROWS_MAX_DEFAULT);
    set_default(&options.connections_max, CONNECTIONS_DEFAULT);
    set_default(&options.connect_timeout_ms, CONNECT_TIMEOUT_MS_DEFAULT);
    *out = options;
    return 0;
}

/* Takes the table as it is now, or as it was before it grew. */
static int copy_driver(struct tercet_barrier_driver *out,
                       const struct tercet_barrier_driver *driver)
{
    static const size_t sizes[] = {offsetof(struct tercet_barrier_driver, connect),
                                   offsetof(struct tercet_barrier_driver, keep),
                                   offsetof(struct tercet_barrier_driver, expect),
                                   offsetof(struct tercet_barrier_driver, foresee),
                                   sizeof(struct tercet_barrier_driver)};
    for (size_t i = 0; driver != NULL && i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (driver->size == sizes[i]) {
            memcpy(out, driver, driver->size);
            return 0;
        }
    return TERCET_INVALID;
}

int tercet_barrier_new(struct tercet_barrier **out, const struct tercet_barrier_driver *driver,
                       void *state, const struct tercet_barrier_options *options)
{
    struct tercet_barrier_options complete;
    struct tercet_barrier_driver copy = {.size = 0};
    if (out == NULL || copy_driver(&copy, driver) != 0 ||
        tercet_barrier_options_complete(&complete, options) != 0)
        return TERCET_INVALID;
    uint32_t connections_max = copy.connect != NULL ? complete.connections_max : 1;
    struct tercet_barrier *barrier =
        calloc(1, sizeof(*barrier) + connections_max * sizeof(*barrier->connections));
    if (barrier == NULL)
        return TERCET_NOMEM;
    pthread_mutex_init(&barrier->lock, NULL);
    pthread_cond_init(&barrier->freed, NULL);
    barrier->driver = copy;
    barrier->connections = (struct barrier_connection *)(barrier + 1);
    barrier->connections[0].state = state;
    barrier->connection_count = 1;
    barrier->connections_max = barrier->busy_max = connections_max;
    barrier->calm_wanted = CALM_LEAST;
    barrier->collect_rows_max = complete.collect_rows_max;
    barrier->store_interval_ms = STORE_INTERVAL_MS_DEFAULT;
    barrier->on_log = complete.on_log;
    barrier->log_ctx = complete.log_ctx;
    *out = barrier;
    return 0;
}

void tercet_barrier_close(struct tercet_barrier *barrier)
{
    if (barrier == NULL)
        return;
    for (uint32_t i = 0; i < barrier->connection_count; i++)
        barrier->driver.close(barrier->connections[i].state);
    pthread_cond_destroy(&barrier->freed);
    pthread_mutex_destroy(&barrier->lock);
    free(barrier);
}

uint32_t tercet_barrier_connections(const struct tercet_barrier *barrier)
{
    return barrier->connections_max;
}

/* 128 random bits, as hexadecimal digits. */
static int make_identity(char identity[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    uint64_t random[2];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return TERCET_INTERNAL;
    snprintf(identity, TERCET_BARRIER_IDENTITY_MAX + 1, "%016" PRIx64 "%016" PRIx64, random[0],
             random[1]);
    return 0;
}

int tercet_barrier_identity(struct tercet_barrier *barrier,
                            char identity[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    char proposed[TERCET_BARRIER_IDENTITY_MAX + 1] = "", kept[sizeof(proposed)] = "";
    if (barrier->driver.keep == NULL) {
        identity[0] = '\0';
        return 0;
    }
    int rc = make_identity(proposed);
    void *state = barrier_take(barrier);
    if (rc == 0)
        rc = barrier->driver.keep(state, TERCET_BARRIER_FACT_IDENTITY, proposed, kept);
    if (rc != 0)
        barrier_log(barrier, state, TERCET_LOG_ERROR, "the database's identity", rc);
    barrier_give(barrier, state, rc != 0);
    if (rc == 0)
        memcpy(identity, kept, sizeof(kept));
    return rc == 0 ? 0 : TERCET_STORE;
}

void barrier_log(struct tercet_barrier *barrier, void *state, enum tercet_log_level level,
                 const char *what, int error)
{
    char line[2 * TERCET_TEXT_MAX];
    const char *text = barrier->driver.error_text != NULL ? barrier->driver.error_text(state) : "";
    if (barrier->on_log == NULL)
        return;
    snprintf(line, sizeof(line), "barrier: %s: %s%s%s", what, tercet_strerror(error),
             text[0] != '\0' ? ": " : "", text);
    barrier->on_log(level, line, barrier->log_ctx);
}

/* -- Connections ------------------------------------------------------------------------------- */

static void check_caller(const struct tercet_barrier *barrier)
{
    for (uint32_t i = 0; i < barrier->connection_count; i++) {
        const struct barrier_connection *connection = &barrier->connections[i];
        assert(!(connection->is_busy && pthread_equal(connection->user, pthread_self())) &&
               "a hook must not call its own barrier");
    }
}

static void slow_down(struct tercet_barrier *barrier)
{
    pthread_mutex_lock(&barrier->lock);
    barrier->busy_max = barrier->busy_max > 1 ? barrier->busy_max / 2 : 1;
    barrier->calm_count = 0;
    if (barrier->calm_wanted < CALM_MOST)
        barrier->calm_wanted *= 2;
    pthread_mutex_unlock(&barrier->lock);
}

enum tercet_barrier_failure barrier_failure(struct tercet_barrier *barrier, void *state,
                                            size_t count)
{
    if (barrier->driver.failure == NULL)
        return TERCET_BARRIER_LOST;
    enum tercet_barrier_failure failure = barrier->driver.failure(state);
    if (failure != TERCET_BARRIER_DEADLOCK)
        return failure;
    if (count > 1)
        slow_down(barrier);
    return TERCET_BARRIER_CONFLICT;
}

/* With the lock held: one more batch went by. */
static void count_calm(struct tercet_barrier *barrier)
{
    if (++barrier->calm_count < barrier->calm_wanted)
        return;
    barrier->calm_count = 0;
    if (barrier->busy_max == barrier->connections_max) {
        barrier->calm_wanted = CALM_LEAST;
        return;
    }
    barrier->busy_max++;
    pthread_cond_signal(&barrier->freed);
}

/* One that works before one that does not, which would be free all the time. */
static struct barrier_connection *find_free(struct tercet_barrier *barrier)
{
    struct barrier_connection *failed = NULL;
    if (barrier->busy_count >= barrier->busy_max)
        return NULL;
    for (uint32_t i = 0; i < barrier->connection_count; i++) {
        struct barrier_connection *connection =
            &barrier->connections[(barrier->next + i) % barrier->connection_count];
        if (!connection->is_busy && !connection->has_failed)
            return connection;
        if (failed == NULL && !connection->is_busy)
            failed = connection;
    }
    if (failed != NULL)
        barrier->next = (uint32_t)(failed - barrier->connections + 1);
    return failed;
}

/* Opens one more in the last place; the lock is given up meanwhile. NULL when there can be none:
 * those that are there go on. */
static struct barrier_connection *add_connection(struct tercet_barrier *barrier)
{
    void *state = NULL;
    pthread_mutex_unlock(&barrier->lock);
    int rc = barrier->driver.connect(barrier->connections[0].state, &state);
    pthread_mutex_lock(&barrier->lock);
    if (rc != 0)
        return NULL;
    if (barrier->connection_count == barrier->connections_max) { /* others were faster */
        barrier->driver.close(state);
        return NULL;
    }
    struct barrier_connection *connection = &barrier->connections[barrier->connection_count++];
    *connection = (struct barrier_connection){.state = state};
    return connection;
}

void *barrier_take(struct tercet_barrier *barrier)
{
    bool may_add = true;
    pthread_mutex_lock(&barrier->lock);
    check_caller(barrier);
    struct barrier_connection *connection = find_free(barrier);
    while (connection == NULL) {
        if (may_add && barrier->connection_count < barrier->connections_max &&
            barrier->busy_count < barrier->busy_max) {
            connection = add_connection(barrier);
            may_add = connection != NULL;
        } else {
            pthread_cond_wait(&barrier->freed, &barrier->lock);
        }
        if (connection == NULL)
            connection = find_free(barrier);
    }
    connection->is_busy = true;
    barrier->busy_count++;
    connection->user = pthread_self();
    void *state = connection->state;
    pthread_mutex_unlock(&barrier->lock);
    return state;
}

void barrier_give(struct tercet_barrier *barrier, const void *state, bool has_failed)
{
    bool is_found = false;
    pthread_mutex_lock(&barrier->lock);
    for (uint32_t i = 0; i < barrier->connection_count; i++) {
        struct barrier_connection *connection = &barrier->connections[i];
        if (connection->state != state)
            continue;
        assert(connection->is_busy);
        connection->is_busy = false;
        connection->has_failed = has_failed;
        is_found = true;
    }
    assert(is_found);
    (void)is_found;
    barrier->busy_count--;
    count_calm(barrier);
    pthread_cond_signal(&barrier->freed);
    pthread_mutex_unlock(&barrier->lock);
}

/* -- The mark, where it is stored apart -------------------------------------------------------- */

bool barrier_stores_apart(const struct tercet_barrier *barrier)
{
    return barrier->driver.mark_store != NULL;
}

uint64_t barrier_mark(struct tercet_barrier *barrier)
{
    pthread_mutex_lock(&barrier->lock);
    uint64_t mark = barrier->mark_stored;
    pthread_mutex_unlock(&barrier->lock);
    return mark;
}

void barrier_mark_learn(struct tercet_barrier *barrier, uint64_t stored, uint64_t seen)
{
    pthread_mutex_lock(&barrier->lock);
    if (stored > barrier->mark_stored)
        barrier->mark_stored = stored;
    if (seen > barrier->mark_seen)
        barrier->mark_seen = seen;
    pthread_mutex_unlock(&barrier->lock);
}

/* Whether the caller is to store the mark now, and up to which, and how many rows may go: as many
 * as if each batch had deleted its own. */
static bool begin_store(struct tercet_barrier *barrier, uint64_t *mark, uint32_t *rows_max)
{
    pthread_mutex_lock(&barrier->lock);
    if (barrier->mark_seen > 0 && barrier->unstored_count < STORE_ROWS_MAX)
        barrier->unstored_count++;
    bool is_due = barrier->mark_seen > 0 && !barrier->is_storing &&
                  barrier->store_due_ms <= clock_monotonic_ms();
    if (is_due) {
        uint64_t rows = (uint64_t)barrier->unstored_count * barrier->collect_rows_max;
        barrier->is_storing = true;
        barrier->unstored_count = 0;
        *rows_max = rows < STORE_ROWS_MAX ? (uint32_t)rows : STORE_ROWS_MAX;
        *mark =
            barrier->mark_seen > barrier->mark_stored ? barrier->mark_seen : barrier->mark_stored;
    }
    pthread_mutex_unlock(&barrier->lock);
    return is_due;
}

void barrier_mark_store(struct tercet_barrier *barrier, void *state)
{
    uint64_t mark = 0;
    uint32_t rows_max = 0;
    if (!barrier_stores_apart(barrier) || !begin_store(barrier, &mark, &rows_max))
        return;
    int rc = barrier->driver.mark_store(state, mark, rows_max);
    if (rc != 0)
        barrier_log(barrier, state, TERCET_LOG_WARNING,
                    "the mark was not stored, it will be tried again", rc);
    pthread_mutex_lock(&barrier->lock);
    barrier->is_storing = false;
    barrier->store_due_ms = clock_monotonic_ms() + barrier->store_interval_ms;
    pthread_mutex_unlock(&barrier->lock);
    if (rc == 0)
        barrier_mark_learn(barrier, mark, 0);
}

/* -- How much is undone -------------------------------------------------------------------------
 */

/* A batch that is given up costs about as much as it would have; so one in four may be. */
bool barrier_may_foresee(struct tercet_barrier *barrier, size_t count)
{
    pthread_mutex_lock(&barrier->lock);
    uint64_t share = barrier->undone_share;
    pthread_mutex_unlock(&barrier->lock);
    return share * count <= UNDONE_ONE / 4;
}

/* The last sixteen batches count most. */
void barrier_note_undone(struct tercet_barrier *barrier, size_t undone, size_t count)
{
    uint32_t now = (uint32_t)(UNDONE_ONE * undone / count);
    pthread_mutex_lock(&barrier->lock);
    barrier->undone_share = (15 * barrier->undone_share + now) / 16;
    pthread_mutex_unlock(&barrier->lock);
}

/* -- Whose numbers and marks ------------------------------------------------------------------- */

/* 0: the database could not be asked, and the batch goes on without knowing its source. */
static uint64_t ask_source(struct tercet_barrier *barrier, void *state, uint64_t proposed)
{
    char text[TERCET_BARRIER_IDENTITY_MAX + 1], kept[sizeof(text)] = "";
    snprintf(text, sizeof(text), "%016" PRIx64, proposed);
    if (barrier->driver.keep(state, TERCET_BARRIER_FACT_SOURCE, text, kept) != 0)
        return 0;
    return strtoull(kept, NULL, 16);
}

uint64_t barrier_source(struct tercet_barrier *barrier, void *state, uint64_t proposed)
{
    pthread_mutex_lock(&barrier->lock);
    uint64_t source = barrier->source;
    pthread_mutex_unlock(&barrier->lock);
    if (source != 0 || proposed == 0)
        return source;
    source = barrier->driver.keep != NULL ? ask_source(barrier, state, proposed) : proposed;
    pthread_mutex_lock(&barrier->lock);
    barrier->source = source;
    pthread_mutex_unlock(&barrier->lock);
    return source;
}

void barrier_warn_once(struct tercet_barrier *barrier, bool *is_said, const char *format,
                       uint64_t a, uint64_t b)
{
    char line[2 * TERCET_TEXT_MAX];
    pthread_mutex_lock(&barrier->lock);
    bool is_news = !*is_said;
    *is_said = true;
    pthread_mutex_unlock(&barrier->lock);
    if (!is_news || barrier->on_log == NULL)
        return;
    snprintf(line, sizeof(line), format, a, b);
    barrier->on_log(TERCET_LOG_ERROR, line, barrier->log_ctx);
}
