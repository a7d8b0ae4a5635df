/* SPDX-License-Identifier: Apache-2.0
 *
 * accounts.h: one table.
 */
#include "accounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/tercet.h>

#include "db.h"

#define TRIES 5 /* two that register at once may want the same number */

struct accounts {
    const struct db_driver *driver;
    struct tercet_barrier *barrier;
};

static const char tables[] =
    "CREATE TABLE IF NOT EXISTS person (name VARCHAR(64) PRIMARY KEY, id BIGINT NOT NULL UNIQUE,"
    " hash VARCHAR(400) NOT NULL, role BIGINT NOT NULL)";

/* What is looked for and found. */
struct person {
    struct accounts *accounts;
    const char *wanted; /* a name; NULL: by id */
    char name[WEB_NAME_MAX + 1], hash[WEB_HASH_SIZE];
    int64_t id, role;
    bool is_taken;
};

static int take_person(const struct db_row *row, void *ctx)
{
    struct person *person = ctx;
    if (row->is_head)
        return 0;
    snprintf(person->name, sizeof(person->name), "%s", row->values[0].text);
    snprintf(person->hash, sizeof(person->hash), "%s", row->values[1].text);
    person->id = row->values[2].number;
    person->role = row->values[3].number;
    return 0;
}

static int find(tercet_db handle, void *ctx)
{
    struct person *person = ctx;
    struct db db = {.driver = person->accounts->driver, .handle = handle};
    const int64_t id = person->id;
    person->id = 0;
    int rows = person->wanted != NULL
                   ? db_each(&db, take_person, person,
                             "SELECT name, hash, id, role FROM person WHERE name = ?1",
                             db_text(person->wanted))
                   : db_each(&db, take_person, person,
                             "SELECT name, hash, id, role FROM person WHERE id = ?1", db_int(id));
    return rows < 0 ? TERCET_STORE : 0;
}

static int add(tercet_db handle, void *ctx)
{
    struct person *person = ctx;
    struct db db = {.driver = person->accounts->driver, .handle = handle};
    int64_t count = 0;
    if (db_read(&db, &count, 1, "SELECT count(*) FROM person WHERE name = ?1",
                db_text(person->wanted)) != 1)
        return TERCET_STORE;
    person->is_taken = count > 0;
    if (person->is_taken)
        return 0;
    if (db_read_values(&db, &person->id, 1, "SELECT coalesce(max(id), 100) + 1 FROM person", NULL,
                       0) != 1)
        return TERCET_STORE;
    int changed =
        db_change(&db, "INSERT INTO person VALUES (?1, ?2, ?3, ?4)", db_text(person->wanted),
                  db_int(person->id), db_text(person->hash), db_int(person->role));
    return changed == 1 ? 0 : TERCET_STORE;
}

static int add_person(struct person *person)
{
    int rc = TERCET_STORE;
    for (int i = 0; rc != 0 && i < TRIES; i++)
        rc = tercet_barrier_local(person->accounts->barrier, add, person);
    return rc;
}

int accounts_open(struct accounts **out, const char *url, char *text)
{
    const struct tercet_barrier_options options = {.size = sizeof(options), .setup_sql = tables};
    struct accounts *accounts = calloc(1, sizeof(*accounts));
    if (accounts == NULL)
        return -1;
    accounts->driver = db_driver_of(url);
    int rc = tercet_barrier_open(&accounts->barrier, url, &options, text);
    if (rc == 0 && accounts->driver == NULL) {
        snprintf(text, TERCET_TEXT_MAX, "accounts want SQL: SQLite, PostgreSQL, MariaDB or MySQL");
        rc = -1;
    }
    if (rc == 0)
        *out = accounts;
    else
        accounts_close(accounts);
    return rc == 0 ? 0 : -1;
}

void accounts_close(struct accounts *accounts)
{
    if (accounts == NULL)
        return;
    tercet_barrier_close(accounts->barrier);
    free(accounts);
}

int accounts_seed(struct accounts *accounts, const char *name, const char *password, int64_t role)
{
    struct person person = {.accounts = accounts, .wanted = name, .role = role};
    if (tercet_barrier_local(accounts->barrier, find, &person) != 0)
        return -1;
    if (person.id != 0)
        return 0;
    person.role = role;
    return web_password_hash(person.hash, password) == 0 && add_person(&person) == 0 ? 0 : -1;
}

void accounts_name(struct accounts *accounts, int64_t user, char name[WEB_NAME_MAX + 1])
{
    struct person person = {.accounts = accounts, .id = user};
    tercet_barrier_local(accounts->barrier, find, &person);
    snprintf(name, WEB_NAME_MAX + 1, "%s", person.name);
}

/* -- Handlers ---------------------------------------------------------------------------------- */

static void tell(struct web_request *request, const char *name)
{
    cJSON *answer = cJSON_CreateObject();
    cJSON_AddNumberToObject(answer, "user", (double)web_user(request));
    cJSON_AddStringToObject(answer, "name", name);
    cJSON_AddNumberToObject(answer, "role", (double)web_role(request));
    cJSON_AddStringToObject(answer, "csrf", web_csrf(request));
    web_reply(request, 200, answer);
}

/* A name that people can tell apart: letters, digits, . _ - @, and any letter beyond ASCII. */
static bool is_name(const char *name)
{
    for (; name != NULL && *name != '\0'; name++)
        if ((*name & 0x80) == 0 && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789._-@",
                                          *name) == NULL)
            return false;
    return name != NULL;
}

void accounts_serve_register(struct web_request *request, struct accounts *accounts, int64_t role)
{
    struct person person = {.accounts = accounts, .role = role};
    const char *password = web_field(request, "password", WEB_PASSWORD_MAX);
    person.wanted = web_field(request, "name", WEB_NAME_MAX);
    if (!is_name(person.wanted))
        web_fail(request, 400, "a name is 1 to %d letters, digits or . _ - @", WEB_NAME_MAX);
    else if (password == NULL || strlen(password) < WEB_PASSWORD_MIN)
        web_fail(request, 400, "a password has %d to %d characters", WEB_PASSWORD_MIN,
                 WEB_PASSWORD_MAX);
    else if (web_password_hash(person.hash, password) != 0 || add_person(&person) != 0)
        web_fail(request, 503, "accounts cannot be written just now: try again");
    else if (person.is_taken)
        web_fail(request, 409, "this name is taken: choose another, or sign in");
    else {
        web_sign_in(request, person.id, role);
        tell(request, person.wanted);
    }
}

void accounts_serve_sign_in(struct web_request *request, struct accounts *accounts)
{
    struct person person = {.accounts = accounts};
    const char *password = web_field(request, "password", WEB_PASSWORD_MAX);
    person.wanted = web_field(request, "name", WEB_NAME_MAX);
    if (person.wanted == NULL || password == NULL)
        web_fail(request, 400, "a name and a password are wanted");
    else if (tercet_barrier_local(accounts->barrier, find, &person) != 0)
        web_fail(request, 503, "accounts cannot be read just now: try again");
    else if (!web_password_matches(password, person.hash)) /* of whom is not said */
        web_fail(request, 401, "name or password is wrong");
    else {
        web_sign_in(request, person.id, person.role);
        tell(request, person.name);
    }
}

void accounts_serve_me(struct web_request *request, struct accounts *accounts)
{
    char name[WEB_NAME_MAX + 1] = "";
    if (web_user(request) != 0)
        accounts_name(accounts, web_user(request), name);
    tell(request, name);
}

void accounts_serve_sign_out(struct web_request *request)
{
    web_sign_out(request);
    web_reply(request, 200, cJSON_CreateObject());
}
