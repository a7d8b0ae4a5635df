/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.h
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CALL_MS 10000
#define BRANCHES 8

struct world world;
struct party stock, money;

/* -- What happens in this process -------------------------------------------------------------- */

static pthread_mutex_t happening_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t happening_told = PTHREAD_COND_INITIALIZER;
static unsigned happening_count;

void happened(void)
{
    pthread_mutex_lock(&happening_lock);
    happening_count++;
    pthread_cond_broadcast(&happening_told);
    pthread_mutex_unlock(&happening_lock);
}

unsigned happenings(void)
{
    pthread_mutex_lock(&happening_lock);
    unsigned count = happening_count;
    pthread_mutex_unlock(&happening_lock);
    return count;
}

bool happening_wait(unsigned seen, int64_t until_ms)
{
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000L};
    int rc = 0;
    pthread_mutex_lock(&happening_lock);
    while (happening_count == seen && rc == 0)
        rc = pthread_cond_clockwait(&happening_told, &happening_lock, CLOCK_MONOTONIC, &until);
    pthread_mutex_unlock(&happening_lock);
    return rc == 0;
}

void on_told(const struct tercet_result *result, void *ctx)
{
    struct told *told = ctx;
    told->result = *result;
    atomic_fetch_add(&told->count, 1);
    happened();
}

void pause_shortly(void)
{
    const struct timespec pause = {.tv_nsec = 2 * 1000000};
    nanosleep(&pause, NULL);
}

/* -- The world --------------------------------------------------------------------------------- */

void world_open(const char *const *options)
{
    const char *all[DAEMON_OPTIONS_MAX + 1] = {"--quiet", "--retry-base", "10ms", "--retry-cap",
                                               "200ms"};
    size_t count = 5;
    for (; options != NULL && *options != NULL && count < DAEMON_OPTIONS_MAX; options++)
        all[count++] = *options;
    struct tercet_client_options client_options = {.size = sizeof(client_options),
                                                   .timeout_ms = WAIT_MS};
    cr_assert(daemon_prepare_in_memory(&world.daemon, TERCETD, all) &&
                  daemon_start(&world.daemon, NULL),
              "tercetd did not start: see %s/tercetd.log", world.daemon.dir);
    cr_assert_eq(tercet_client_open(&world.client, world.daemon.address, &client_options, NULL), 0);
    cr_assert_eq(crpc_loop_new(&world.loop, NULL), 0);
    cr_assert_eq(crpc_channel_new(&world.channel, world.loop, world.daemon.address, NULL), 0);
}

void world_close(void)
{
    crpc_channel_free(world.channel);
    crpc_loop_free(world.loop);
    tercet_client_close(world.client);
    if (world.daemon.process.pid != 0)
        cr_assert_eq(daemon_stop(&world.daemon), 0, "tercetd did not end well: see %s/tercetd.log",
                     world.daemon.dir);
    daemon_clean(&world.daemon);
}

void world_restart(void)
{
    cr_assert(daemon_start(&world.daemon, NULL), "tercetd did not start again: see %s/tercetd.log",
              world.daemon.dir);
}

void world_arm(const char *failpoint)
{
#ifndef TERCET_FAILPOINTS
    cr_skip_test("crash points are not built in");
#endif
    cr_assert_eq(daemon_stop(&world.daemon), 0);
    cr_assert(daemon_start(&world.daemon, failpoint));
}

static bool log_has(const char *line)
{
    char *log = daemon_log(&world.daemon);
    bool is_there = strstr(log, line) != NULL;
    free(log);
    return is_there;
}

void world_await_failpoint(const char *name)
{
    char line[96];
    snprintf(line, sizeof(line), "failpoint %s\n", name);
    WAIT_FOR(log_has(line));
}

enum crpc_code world_call(const ProtobufCServiceDescriptor *service, const char *method,
                          const ProtobufCMessage *request, ProtobufCMessage **reply)
{
    struct crpc_call_options options = {
        .size = sizeof(options), .timeout_ms = CALL_MS, .wait_for_ready = true};
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *message = NULL;
    int rc = crpc_unary(&message, world.channel, service, method, request, &options, &result);
    enum crpc_code code = rc == 0 ? CRPC_OK : result.code;
    cr_assert(rc == 0 || rc == CRPC_ESTATUS, "%s: %s", method, crpc_strerror(rc));
    crpc_result_clear(&result);
    if (reply != NULL)
        *reply = message;
    else
        crpc_message_free(message);
    return code;
}

Tercet__V1__Transaction *world_ask(const char *method, const ProtobufCMessage *request,
                                   enum crpc_code *code)
{
    ProtobufCMessage *reply = NULL;
    *code = world_call(&tercet__v1__coordinator__descriptor, method, request, &reply);
    return (Tercet__V1__Transaction *)reply;
}

Tercet__V1__Transaction *world_show(const char *gid)
{
    Tercet__V1__GetRequest request = TERCET__V1__GET_REQUEST__INIT;
    enum crpc_code code;
    request.gid = (char *)(uintptr_t)gid;
    return world_ask("Get", &request.base, &code);
}

Tercet__V1__Statistics world_statistics(void)
{
    Tercet__V1__StatisticsRequest request = TERCET__V1__STATISTICS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    cr_assert_eq(world_call(&tercet__v1__admin__descriptor, "GetStatistics", &request.base, &reply),
                 CRPC_OK);
    Tercet__V1__Statistics statistics = *(Tercet__V1__Statistics *)reply;
    crpc_message_free(reply);
    return statistics;
}

Tercet__V1__ParticipantStatus world_participant(const char *service)
{
    Tercet__V1__ListParticipantsRequest request = TERCET__V1__LIST_PARTICIPANTS_REQUEST__INIT;
    Tercet__V1__ParticipantStatus found = TERCET__V1__PARTICIPANT_STATUS__INIT;
    ProtobufCMessage *reply = NULL;
    cr_assert_eq(
        world_call(&tercet__v1__admin__descriptor, "ListParticipants", &request.base, &reply),
        CRPC_OK);
    const Tercet__V1__ListParticipantsResponse *list =
        (const Tercet__V1__ListParticipantsResponse *)reply;
    for (size_t i = 0; i < list->n_participants; i++)
        if (strcmp(list->participants[i]->service, service) == 0)
            found = *list->participants[i];
    crpc_message_free(reply);
    return found;
}

enum tercet_state world_state(const char *gid)
{
    struct tercet_result result;
    return tercet_get(world.client, gid, &result) == 0 ? result.state : (enum tercet_state)0;
}

struct tercet_result world_wait_state(const char *gid, enum tercet_state state)
{
    struct tercet_result result;
    bool is_end = state == TERCET_CONFIRMED || state == TERCET_CANCELLED;
    cr_assert_eq(tercet_await(world.client, gid,
                              is_end ? TERCET_WAIT_RESOLVED : TERCET_WAIT_DECIDED, WAIT_MS,
                              &result),
                 0, "%s: %s", gid, result.text);
    cr_assert_eq(result.state, state, "%s is %s", gid, tercet_state_name(result.state));
    return result;
}

bool world_is_parked(const char *gid)
{
    struct tercet_result result;
    cr_assert_eq(tercet_get(world.client, gid, &result), 0, "%s", result.text);
    return result.parked;
}

/* -- Hooks ------------------------------------------------------------------------------------- */

static void wait_while_held(struct party *party)
{
    pthread_mutex_lock(&party->lock);
    while (atomic_load(&party->is_held))
        pthread_cond_wait(&party->changed, &party->lock);
    pthread_mutex_unlock(&party->lock);
}

void party_release(struct party *party)
{
    pthread_mutex_lock(&party->lock);
    atomic_store(&party->is_held, false);
    pthread_cond_broadcast(&party->changed);
    pthread_mutex_unlock(&party->lock);
}

static bool take_again(struct party *party, enum tercet_kind kind)
{
    if (atomic_load(&party->again[kind]) <= 0)
        return false;
    atomic_fetch_sub(&party->again[kind], 1);
    return true;
}

static int obey(struct party *party, enum tercet_kind kind)
{
    atomic_fetch_add(&party->entered[kind], 1);
    happened();
    wait_while_held(party);
    if (take_again(party, kind))
        return TERCET_AGAIN;
    if (kind == TERCET_TRY && atomic_load(&party->refuses))
        return TERCET_REFUSED;
    atomic_fetch_add(&party->done[kind], 1);
    happened();
    return 0;
}

static void keep_call(struct party *party, const struct tercet_call *call)
{
    pthread_mutex_lock(&party->lock);
    snprintf(party->payload, sizeof(party->payload), "%.*s", (int)call->payload.size,
             (const char *)call->payload.data);
    snprintf(party->gid, sizeof(party->gid), "%s", call->gid);
    party->metadata[0] = '\0';
    for (size_t i = 0; i < call->metadata_count; i++) {
        size_t used = strlen(party->metadata);
        snprintf(party->metadata + used, sizeof(party->metadata) - used, "%s=%s;",
                 call->metadata[i].key, call->metadata[i].value);
    }
    pthread_mutex_unlock(&party->lock);
    atomic_store(&party->attempt[call->kind], (int)call->attempt);
    atomic_store(&party->source, call->source);
}

static int on_call(const struct tercet_call *call, void *ctx)
{
    struct party *party = ctx;
    char reply[80];
    keep_call(party, call);
    int code = obey(party, call->kind);
    if (code == TERCET_REFUSED)
        return tercet_refuse(call, "sold out");
    if (code == TERCET_AGAIN)
        return tercet_again(call, "the disk said no");
    if (code != 0 || call->kind != TERCET_TRY)
        return code;
    int size = snprintf(reply, sizeof(reply), "re:%.*s", (int)call->payload.size,
                        (const char *)call->payload.data);
    return tercet_reply_bytes(call, (struct tercet_bytes){reply, (size_t)size});
}

/* A try with the largest reply there may be. */
static int on_big(const struct tercet_call *call, void *ctx)
{
    static const char reply[TERCET_REPLY_MAX];
    int code = obey(ctx, call->kind);
    if (code != 0 || call->kind != TERCET_TRY)
        return code;
    return tercet_reply_bytes(call, (struct tercet_bytes){reply, sizeof(reply)});
}

int party_own_hook(struct tercet_barrier_call *call, tercet_db db, void *party)
{
    (void)db;
    return obey(party, call->kind);
}

/* -- Parties ----------------------------------------------------------------------------------- */

static void open_participant(struct party *party, const char *listen)
{
    static const struct tercet_action actions[] = {
        {.name = "do", .on_try = on_call, .on_confirm = on_call, .on_cancel = on_call},
        {.name = "other", .on_try = on_call, .on_confirm = on_call, .on_cancel = on_call},
        {.name = "big", .on_try = on_big, .on_confirm = on_call, .on_cancel = on_call},
        {.name = "nothing"},
    };
    struct tercet_participant_options options = {
        .size = sizeof(options), .barrier = party->barrier, .ctx = party, .listen = listen};
    char text[TERCET_TEXT_MAX] = "";
    int rc = tercet_participant_open(&party->participant, world.daemon.address, party->name,
                                     actions, 4, &options, text);
    cr_assert_eq(rc, 0, "%s", text);
    cr_assert_eq(tercet_participant_wait(party->participant, WAIT_MS, text), 0, "%s: %s",
                 party->name, text);
}

void party_init(struct party *party, const char *name)
{
    memset(party, 0, sizeof(*party));
    party->name = name;
    pthread_mutex_init(&party->lock, NULL);
    pthread_cond_init(&party->changed, NULL);
    cr_assert_eq(tercet_barrier_memory_open(&party->barrier, NULL), 0);
}

void party_open(struct party *party, const char *name)
{
    party_init(party, name);
    party_come(party);
}

void party_come(struct party *party)
{
    open_participant(party, NULL);
}

void party_join(struct party *party, const struct party *first)
{
    party_init(party, first->name);
    tercet_barrier_close(party->barrier);
    party->barrier = first->barrier;
    party->is_guest = true;
    party_come(party);
}

void party_listen(struct party *party)
{
    open_participant(party, "127.0.0.1:0");
}

void party_leave(struct party *party)
{
    tercet_participant_close(party->participant);
    party->participant = NULL;
}

void party_close(struct party *party)
{
    party_release(party);
    party_leave(party);
    if (!party->is_guest)
        tercet_barrier_close(party->barrier);
    pthread_cond_destroy(&party->changed);
    pthread_mutex_destroy(&party->lock);
}

/* -- Most tests' two --------------------------------------------------------------------------- */

void open_stock(const char *const *options)
{
    world_open(options);
    party_open(&stock, "stock");
}

void open_all(const char *const *options)
{
    open_stock(options);
    party_open(&money, "money");
}

void close_all(void)
{
    party_close(&stock);
    if (money.name != NULL)
        party_close(&money);
    money.name = NULL;
    world_close();
}

void kill_and_restart(void)
{
    daemon_kill(&world.daemon);
    world_restart();
}

/* -- Puppets ----------------------------------------------------------------------------------- */

void puppet_attach(struct puppet *puppet, const char *service, uint32_t window)
{
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    hello.service = (char *)(uintptr_t)service;
    hello.window = window;
    puppet_hello(puppet, &hello);
}

void puppet_hello(struct puppet *puppet, Tercet__V1__Hello *hello)
{
    struct crpc_call_options options = {.size = sizeof(options), .wait_for_ready = true};
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    char *actions[] = {"do"};
    hello->actions = actions;
    hello->n_actions = 1;
    request.hello = hello;
    cr_assert_eq(crpc_stream_open(&puppet->stream, world.channel,
                                  &tercet__v1__participants__descriptor, "Attach", &options),
                 0);
    cr_assert_eq(crpc_stream_write(puppet->stream, &request.base), 0);
    Tercet__V1__AttachResponse *accepted = NULL;
    cr_assert_eq(crpc_stream_read((ProtobufCMessage **)&accepted, puppet->stream), 0);
    cr_assert_not_null(accepted->accepted);
    cr_assert_eq(accepted->n_calls, 0, "attach a puppet before there are calls for it");
    crpc_message_free(&accepted->base);
}

Tercet__V1__AttachResponse *puppet_calls(struct puppet *puppet)
{
    ProtobufCMessage *message = NULL;
    cr_assert_eq(crpc_stream_read(&message, puppet->stream), 0, "the stream has ended");
    return (Tercet__V1__AttachResponse *)message;
}

void puppet_answer(struct puppet *puppet, uint64_t call_id, Tercet__V1__Outcome outcome)
{
    Tercet__V1__AttachRequest request = TERCET__V1__ATTACH_REQUEST__INIT;
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT, *results = &result;
    result.id = call_id;
    result.outcome = outcome;
    request.results = &results;
    request.n_results = 1;
    cr_assert_eq(crpc_stream_write(puppet->stream, &request.base), 0);
}

void puppet_die(struct puppet *puppet)
{
    crpc_stream_cancel(puppet->stream);
    crpc_stream_finish(puppet->stream, NULL);
}

/* -- Plans ------------------------------------------------------------------------------------- */

struct tercet_branch branch_of(const char *name)
{
    static char actions[64][TERCET_ACTION_MAX + 1];
    static atomic_uint used;
    char *action = actions[atomic_fetch_add(&used, 1) % 64];
    snprintf(action, TERCET_ACTION_MAX + 1, "%.60s/do", name);
    return (struct tercet_branch){.action = action, .payload = {"data", 4}};
}

struct tercet_begin_options options_of(const char *gid, uint32_t deadline_ms)
{
    return (struct tercet_begin_options){
        .size = sizeof(struct tercet_begin_options), .gid = gid, .deadline_ms = deadline_ms};
}

int run_at(const char *gid, enum tercet_wait wait, struct tercet_result *result,
           const char *const *names)
{
    struct tercet_begin_options options = options_of(gid, 0);
    struct tercet_branch branches[BRANCHES];
    size_t count = 0;
    options.wait = wait;
    for (; names[count] != NULL && count < BRANCHES; count++)
        branches[count] = branch_of(names[count]);
    return tercet_run(world.client, branches, count, &options, result);
}
