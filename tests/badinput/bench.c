/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h: the daemon with its client, and the transactions that must not be lost.
 */
#include "bench.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench bench;

static uint8_t zeros[70000];

/* -- Requests ---------------------------------------------------------------------------------- */

ProtobufCMessage *ask(struct bench *b, const ProtobufCServiceDescriptor *service,
                      const char *method, const ProtobufCMessage *request,
                      struct crpc_result *result)
{
    char header[128];
    snprintf(header, sizeof(header), "Bearer %s", b->token != NULL ? b->token : "");
    const struct crpc_metadata token = {"authorization", {header, strlen(header)}};
    const struct crpc_call_options options = {.size = sizeof(options),
                                              .timeout_ms = WAIT_MS,
                                              .wait_for_ready = true,
                                              .metadata = &token,
                                              .metadata_count = b->token != NULL};
    ProtobufCMessage *reply = NULL;
    int rc = crpc_unary(&reply, b->channel, service, method, request, &options, result);
    cr_assert(rc == 0 || rc == CRPC_ESTATUS, "%s: %s", method, crpc_strerror(rc));
    return reply;
}

bool fails(struct bench *b, const ProtobufCServiceDescriptor *service, const char *method,
           const ProtobufCMessage *request, enum crpc_code code, const char *words)
{
    struct crpc_result result = {.code = CRPC_OK};
    crpc_message_free(ask(b, service, method, request, &result));
    bool is_expected = result.code == code && strstr(result.message, words) != NULL;
    if (!is_expected)
        fprintf(stderr, "%s: %s \"%s\", not %s with \"%s\"\n", method,
                crpc_code_name((int)result.code), result.message, crpc_code_name((int)code), words);
    crpc_result_clear(&result);
    return is_expected;
}

bool is_in(struct bench *b, const char *method, const ProtobufCMessage *request,
           Tercet__V1__State state)
{
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *reply = ask(b, COORDINATOR, method, request, &result);
    bool is_expected = reply != NULL && ((const Tercet__V1__Transaction *)reply)->state == state;
    if (!is_expected)
        fprintf(stderr, "%s: %s \"%s\", state %d and not %d\n", method,
                crpc_code_name((int)result.code), result.message,
                reply != NULL ? (int)((const Tercet__V1__Transaction *)reply)->state : -1,
                (int)state);
    crpc_message_free(reply);
    crpc_result_clear(&result);
    return is_expected;
}

Tercet__V1__BeginRequest begin_of(const char *gid)
{
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    request.gid = (char *)gid;
    return request;
}

Tercet__V1__GetRequest get_of(const char *gid)
{
    Tercet__V1__GetRequest request = TERCET__V1__GET_REQUEST__INIT;
    request.gid = (char *)gid;
    return request;
}

Tercet__V1__ConfirmRequest confirm_of(const char *gid)
{
    Tercet__V1__ConfirmRequest request = TERCET__V1__CONFIRM_REQUEST__INIT;
    request.gid = (char *)gid;
    return request;
}

Tercet__V1__CancelRequest cancel_of(const char *gid, const char *reason)
{
    Tercet__V1__CancelRequest request = TERCET__V1__CANCEL_REQUEST__INIT;
    request.gid = (char *)gid;
    request.reason = (char *)reason;
    return request;
}

Tercet__V1__Branch branch_of(uint32_t number, const char *action, size_t payload_size)
{
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT;
    cr_assert_leq(payload_size, sizeof(zeros));
    branch.number = number;
    branch.action = (char *)action;
    branch.payload = (ProtobufCBinaryData){payload_size, zeros};
    return branch;
}

Tercet__V1__EnlistRequest enlist_of(const char *gid, Tercet__V1__Branch *branch)
{
    Tercet__V1__EnlistRequest request = TERCET__V1__ENLIST_REQUEST__INIT;
    request.gid = (char *)gid;
    request.branch = branch;
    return request;
}

Tercet__V1__TryRequest try_of(const char *gid, Tercet__V1__Branch *branch)
{
    Tercet__V1__TryRequest request = TERCET__V1__TRY_REQUEST__INIT;
    request.gid = (char *)gid;
    request.branch = branch;
    return request;
}

bool begins(struct bench *b, const char *gid)
{
    Tercet__V1__BeginRequest request = begin_of(gid);
    return is_in(b, "Begin", &request.base, TERCET__V1__STATE__TRYING);
}

/* -- What must survive ------------------------------------------------------------------------- */

void bench_make_kept(struct bench *b)
{
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__BeginRequest open = begin_of("kept-open");
    Tercet__V1__Branch branch = branch_of(9, "somebody/something", 3000);
    Tercet__V1__EnlistRequest enlist = enlist_of("kept-open", &branch);
    Tercet__V1__CancelRequest cancel = cancel_of("kept-over", "it is over");
    options.deadline_ms = 24 * 3600 * 1000;
    open.options = &options;
    cr_assert(is_in(b, "Begin", &open.base, TERCET__V1__STATE__TRYING));
    cr_assert(is_in(b, "Enlist", &enlist.base, TERCET__V1__STATE__TRYING));
    cr_assert(begins(b, "kept-over"));
    cancel.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    cr_assert(is_in(b, "Cancel", &cancel.base, TERCET__V1__STATE__CANCELLED));
}

void bench_check_kept(struct bench *b)
{
    Tercet__V1__GetRequest get = get_of("kept-open");
    ProtobufCMessage *reply = ask(b, COORDINATOR, "Get", &get.base, NULL);
    cr_assert_not_null(reply, "kept-open is lost");
    const Tercet__V1__Transaction *open = (const Tercet__V1__Transaction *)reply;
    cr_assert_eq(open->state, TERCET__V1__STATE__TRYING);
    cr_assert_eq(open->n_branches, 1);
    cr_assert_eq(open->branches[0]->number, 9);
    cr_assert_str_eq(open->branches[0]->action, "somebody/something");
    crpc_message_free(reply);
    get = get_of("kept-over");
    reply = ask(b, COORDINATOR, "Get", &get.base, NULL);
    cr_assert_not_null(reply, "kept-over is lost");
    const Tercet__V1__Transaction *over = (const Tercet__V1__Transaction *)reply;
    cr_assert_eq(over->state, TERCET__V1__STATE__CANCELLED);
    cr_assert_str_eq(over->reason, "it is over");
    crpc_message_free(reply);
}

void bench_check_serving(struct bench *b)
{
    struct crpc_result result = {.code = CRPC_OK};
    Tercet__V1__BeginRequest begin = begin_of("");
    ProtobufCMessage *begun = ask(b, COORDINATOR, "Begin", &begin.base, &result);
    cr_assert_not_null(begun, "it does not serve any more: %s", result.message);
    crpc_result_clear(&result);
    Tercet__V1__ConfirmRequest confirm = confirm_of(((const Tercet__V1__Transaction *)begun)->gid);
    confirm.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    cr_assert(is_in(b, "Confirm", &confirm.base, TERCET__V1__STATE__CONFIRMED));
    crpc_message_free(begun);
}

/* -- The daemon -------------------------------------------------------------------------------- */

void bench_prepare(void)
{
    cr_assert(daemon_prepare_in_memory(&bench.daemon, TERCETD, NULL));
}

void bench_launch(const char *const *options)
{
    cr_assert_eq(bench.daemon.process.pid, 0);
    daemon_options(&bench.daemon, options);
    if (daemon_start(&bench.daemon, NULL))
        return;
    char *log = daemon_log(&bench.daemon);
    cr_assert(false, "tercetd is not ready: %s", log);
}

int bench_end(int signal)
{
    cr_assert_gt(bench.daemon.process.pid, 0);
    return process_code(process_end(&bench.daemon.process, signal));
}

int bench_wait(void)
{
    int status = 0;
    cr_assert(process_wait(&bench.daemon.process, WAIT_MS, &status), "tercetd does not end");
    return process_code(status);
}

int bench_run(char text[DAEMON_TEXT_MAX], const char *const *options)
{
    const char *argv[DAEMON_OPTIONS_MAX + 2] = {TERCETD};
    for (size_t i = 0; options[i] != NULL; i++) {
        cr_assert_lt(i, (size_t)DAEMON_OPTIONS_MAX);
        argv[i + 1] = options[i];
    }
    return daemon_run_alone(argv, text);
}

int bench_try(char text[DAEMON_TEXT_MAX], const char *const *options)
{
    daemon_options(&bench.daemon, options);
    return daemon_run(&bench.daemon, text);
}

void bench_write_file(const char *name, const char *content)
{
    FILE *file = fopen(daemon_path(&bench.daemon, name), "we");
    cr_assert_not_null(file);
    fputs(content, file);
    cr_assert_eq(fclose(file), 0);
}

/* -- Opening and closing ----------------------------------------------------------------------- */

void bench_connect(struct bench *b)
{
    crpc_channel_free(b->channel);
    cr_assert_eq(crpc_channel_new(&b->channel, b->loop, b->daemon.address, NULL), 0);
}

void bench_start(struct bench *b, const char *const *options)
{
    memset(b, 0, sizeof(*b));
    bench_prepare();
    bench_launch(options);
    cr_assert_eq(crpc_loop_new(&b->loop, NULL), 0);
    bench_connect(b);
}

void bench_open(struct bench *b, const char *const *options)
{
    bench_start(b, options);
    bench_make_kept(b);
}

void bench_stop(struct bench *b)
{
    crpc_channel_free(b->channel);
    crpc_loop_free(b->loop);
    daemon_clean(&b->daemon);
}

void bench_clear(void)
{
    daemon_clean(&bench.daemon);
}

void bench_close(struct bench *b)
{
    bench_check_serving(b);
    bench_check_kept(b);
    bench_end(SIGKILL);
    bench_launch(NULL);
    bench_connect(b);
    bench_check_kept(b);
    bench_check_serving(b);
    cr_assert_eq(bench_end(SIGTERM), 0);
    bench_stop(b);
}
