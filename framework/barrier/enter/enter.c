/* SPDX-License-Identifier: Apache-2.0
 *
 * enter.h: the code of docs/sql.md, in C.
 */
#include "enter.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/sys/barrier.h>

#include "../location.h"

#define SQL_MAX 640

/* One call on its way. */
struct way {
    const struct enter_sql *sql;
    void *conn;
    char *text;
    struct enter_result result;
    uint64_t number, mark;
};

static void drop_result(struct way *way)
{
    free(way->result.second);
    way->result = (struct enter_result){.changed = 0};
}

/* The format is one of the table's. */
static int run(struct way *way, const char *format, ...)
{
    char sql[SQL_MAX];
    va_list arguments;
    drop_result(way);
    va_start(arguments, format);
    vsnprintf(sql, sizeof(sql), format, arguments);
    va_end(arguments);
    return way->sql->run(way->conn, sql, &way->result, way->text);
}

int enter_keep(struct enter_result *result, const char *first, const char *second)
{
    result->has_row = true;
    snprintf(result->first, sizeof(result->first), "%s", first != NULL ? first : "");
    result->second = second != NULL ? strdup(second) : NULL;
    return second == NULL || result->second != NULL ? 0 : TERCET_NOMEM;
}

static int missing(struct way *way)
{
    barrier_text(way->text, "tercet_barrier_mark has no row: run barrier-*.sql in this database");
    return TERCET_STORE;
}

/* -- Numbers and marks ------------------------------------------------------------------------- */

static int read_mark(struct way *way)
{
    int rc = run(way, way->sql->mark);
    if (rc == 0 && !way->result.has_row)
        rc = missing(way);
    if (rc == 0)
        way->mark = strtoull(way->result.first, NULL, 10);
    return rc;
}

static int read_known(struct way *way, const char *sql, char source[48])
{
    int rc = run(way, sql);
    if (rc == 0 && (!way->result.has_row || way->result.second == NULL))
        rc = missing(way);
    if (rc != 0)
        return rc;
    memcpy(source, way->result.first, 48);
    way->mark = strtoull(way->result.second, NULL, 10);
    return 0;
}

/* Numbers of another coordinator's store say nothing here. */
static int take_number(struct way *way, const struct tercet_barrier_call *call)
{
    char source[48] = "", own[24];
    int rc = read_known(way, way->sql->known, source);
    snprintf(own, sizeof(own), "%016" PRIx64, call->source);
    if (rc == 0 && source[0] == '\0' && call->source != 0) {
        rc = run(way, way->sql->adopt, own);
        if (rc == 0)
            rc = read_known(way, way->sql->adopted, source);
    }
    bool is_own = call->source == 0 || source[0] == '\0' || strcmp(source, own) == 0;
    way->number = is_own ? call->number : 0;
    return rc;
}

static bool has_ended(const struct way *way)
{
    return way->number > 0 && way->number <= way->mark;
}

/* -- Rows -------------------------------------------------------------------------------------- */

static int insert(struct way *way, const struct tercet_barrier_call *call,
                  enum tercet_barrier_state state, bool *is_new)
{
    int rc = run(way, way->sql->insert, call->gid, call->branch, way->number, (int)state);
    *is_new = rc == 0 && way->result.changed == 1;
    return rc;
}

static int move(struct way *way, const struct tercet_barrier_call *call,
                enum tercet_barrier_state to, bool *moved)
{
    int rc = run(way, way->sql->move, (int)to, call->gid, call->branch);
    *moved = rc == 0 && way->result.changed == 1;
    return rc;
}

static int digit_of(char c)
{
    return c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

/* A saved reply becomes the call's. */
static int take_reply(struct tercet_barrier_call *call, const char *hex)
{
    size_t size = hex != NULL ? strlen(hex) / 2 : 0;
    char *reply = size > 0 ? malloc(size) : NULL;
    if (size > 0 && reply == NULL)
        return TERCET_NOMEM;
    for (size_t i = 0; i < size; i++)
        reply[i] = (char)(digit_of(hex[2 * i]) << 4 | digit_of(hex[2 * i + 1]));
    call->reply = reply;
    call->reply_size = size;
    return 0;
}

/* -- Answers from what is there ---------------------------------------------------------------- */

static void answer_no_row(const struct way *way, struct tercet_barrier_call *call)
{
    if (call->kind == TERCET_TRY)
        call->result = has_ended(way) ? TERCET_REFUSED : TERCET_AGAIN;
    else if (has_ended(way))
        call->result = 0;
    else
        call->result = call->kind == TERCET_CONFIRM ? TERCET_BROKEN : TERCET_AGAIN;
    call->broken = call->result == TERCET_BROKEN ? TERCET_BROKEN_NO_TRY : 0;
}

static int answer_row(struct way *way, struct tercet_barrier_call *call,
                      enum tercet_barrier_state wanted)
{
    enum tercet_barrier_state state = (enum tercet_barrier_state)atoi(way->result.first);
    if (call->kind == TERCET_TRY && state != TERCET_BARRIER_CANCELLED)
        return take_reply(call, way->result.second);
    if (call->kind == TERCET_TRY)
        call->result = TERCET_REFUSED;
    else
        call->result = state == wanted ? 0 : TERCET_BROKEN;
    if (call->result == TERCET_BROKEN)
        call->broken =
            state == TERCET_BARRIER_CANCELLED ? TERCET_BROKEN_CANCELLED : TERCET_BROKEN_CONFIRMED;
    return 0;
}

static int answer(struct way *way, struct tercet_barrier_call *call,
                  enum tercet_barrier_state wanted)
{
    int rc = run(way, way->sql->row, call->gid, call->branch);
    if (rc != 0 || way->result.has_row)
        return rc == 0 ? answer_row(way, call, wanted) : rc;
    rc = read_mark(way); /* who deleted the row has raised it */
    if (rc == 0)
        answer_no_row(way, call);
    return rc;
}

/* -- Entering ---------------------------------------------------------------------------------- */

static int enter_try(struct way *way, struct tercet_barrier_call *call)
{
    bool is_new = false;
    if (has_ended(way)) {
        call->result = TERCET_REFUSED;
        return 0;
    }
    int rc = insert(way, call, TERCET_BARRIER_TRIED, &is_new);
    if (rc != 0 || !is_new)
        return rc == 0 ? answer(way, call, TERCET_BARRIER_TRIED) : rc;
    rc = read_mark(way);
    if (rc == 0 && has_ended(way))
        call->result = TERCET_REFUSED;
    return rc == 0 && call->result == 0 ? TERCET_ENTER_WORK : rc;
}

static int enter_end(struct way *way, struct tercet_barrier_call *call)
{
    enum tercet_barrier_state wanted =
        call->kind == TERCET_CONFIRM ? TERCET_BARRIER_CONFIRMED : TERCET_BARRIER_CANCELLED;
    bool is_new = false, moved = false;
    int rc = 0;
    if (call->kind == TERCET_CANCEL && !has_ended(way))
        rc = insert(way, call, wanted, &is_new);
    if (rc != 0 || is_new)
        return rc;
    rc = move(way, call, wanted, &moved);
    if (rc != 0 || moved)
        return rc == 0 ? TERCET_ENTER_WORK : rc;
    return answer(way, call, wanted);
}

static bool is_valid(const struct tercet_barrier_call *call)
{
    struct tercet_gid gid;
    return call != NULL && call->gid != NULL && tercet_gid_set(&gid, call->gid) == 0 &&
           call->branch >= 1 && call->branch <= TERCET_BRANCHES_MAX && call->number <= INT64_MAX &&
           call->kind >= TERCET_TRY && call->kind <= TERCET_CANCEL;
}

int enter_barrier(const struct enter_sql *sql, void *conn, struct tercet_barrier_call *call,
                  char *text)
{
    struct way way = {.sql = sql, .conn = conn, .text = text};
    if (conn == NULL || !is_valid(call)) {
        barrier_text(text, "no connection, or a call whose gid, branch, number or kind is none");
        return TERCET_INVALID;
    }
    call->result = call->broken = 0;
    call->reply = call->reason = NULL;
    call->reply_size = 0;
    int rc = take_number(&way, call);
    if (rc == 0)
        rc = call->kind == TERCET_TRY ? enter_try(&way, call) : enter_end(&way, call);
    drop_result(&way);
    return rc;
}

/* -- Leaving ----------------------------------------------------------------------------------- */

static char *hex_of(struct tercet_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *data = bytes.data;
    char *hex = malloc(2 * bytes.size + 1);
    for (size_t i = 0; hex != NULL && i < bytes.size; i++) {
        hex[2 * i] = digits[data[i] >> 4];
        hex[2 * i + 1] = digits[data[i] & 15];
    }
    if (hex != NULL)
        hex[2 * bytes.size] = '\0';
    return hex;
}

static int save_reply(struct way *way, const struct tercet_barrier_call *call, const char *hex)
{
    size_t size = strlen(hex) + SQL_MAX;
    char *sql = malloc(size);
    if (sql == NULL)
        return TERCET_NOMEM;
    snprintf(sql, size, way->sql->reply, hex, call->gid, call->branch);
    int rc = way->sql->run(way->conn, sql, &way->result, way->text);
    free(sql);
    return rc;
}

int leave_barrier(const struct enter_sql *sql, void *conn, struct tercet_barrier_call *call,
                  struct tercet_bytes reply, char *text)
{
    struct way way = {.sql = sql, .conn = conn, .text = text};
    if (conn == NULL || !is_valid(call) || reply.size > TERCET_REPLY_MAX ||
        (reply.data == NULL && reply.size > 0)) {
        barrier_text(text, "no connection, no call, or a reply of more than %d bytes",
                     TERCET_REPLY_MAX);
        return TERCET_INVALID;
    }
    if (call->kind != TERCET_TRY || reply.size == 0)
        return 0;
    char *hex = hex_of(reply);
    int rc = hex != NULL ? save_reply(&way, call, hex) : TERCET_NOMEM;
    if (rc == 0)
        rc = take_reply(call, hex);
    free(hex);
    drop_result(&way);
    return rc;
}
