/* SPDX-License-Identifier: Apache-2.0
 *
 * The other side for tercetctl's tests, on crpc alone: begins transactions, runs plans, and is a
 * participant that answers as it was told. Prints a line for everything that a test may wait for.
 *
 *   ctl_peer begin ADDRESS PREFIX COUNT [KEY VALUE]   begins PREFIX-1 .. PREFIX-COUNT, undecided
 * for ten minutes, with this metadata ctl_peer enlist ADDRESS GID ACTION         adds branch 1,
 * which only a person could call ctl_peer run ADDRESS GID ACTION...         runs a plan and returns
 * when the transaction is durable ctl_peer serve ADDRESS SERVICE/NAME TRY CONFIRM CANCEL attaches;
 * each of the three is a list such as BROKEN,DONE: the n-th call of that kind is answered with the
 * n-th word, later ones with the last
 */
#include <crpc/crpc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/v1/tercet.pb-c.h>

#define TIMEOUT_MS 20000
#define DEADLINE_MS 600000
#define PLAN_MAX 8

static struct crpc_loop *loop;
static struct crpc_channel *channel;

static void die(const char *what)
{
    fprintf(stderr, "ctl_peer: %s\n", what);
    exit(1);
}

/* With the token of TERCET_TOKEN, when there is one. */
static struct crpc_call_options call_options(struct crpc_metadata *entry, int64_t timeout_ms)
{
    static char value[300];
    struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = timeout_ms};
    const char *token = getenv("TERCET_TOKEN");
    if (token == NULL)
        return options;
    snprintf(value, sizeof(value), "Bearer %s", token);
    *entry = (struct crpc_metadata){"authorization", {value, strlen(value)}};
    options.metadata = entry;
    options.metadata_count = 1;
    return options;
}

static void call(const char *method, const ProtobufCMessage *request)
{
    struct crpc_metadata entry;
    struct crpc_call_options options = call_options(&entry, TIMEOUT_MS);
    struct crpc_result result = {0};
    ProtobufCMessage *reply = NULL;
    int rc = crpc_unary(&reply, channel, &tercet__v1__coordinator__descriptor, method, request,
                        &options, &result);
    if (rc != 0)
        die(rc == CRPC_ESTATUS ? result.message : crpc_strerror(rc));
    crpc_result_clear(&result);
    crpc_message_free(reply);
}

static void begin(const char *prefix, const char *count, char **entry)
{
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    Tercet__V1__Metadata metadata = TERCET__V1__METADATA__INIT;
    Tercet__V1__Metadata *metadata_pointer = &metadata;
    char gid[65];
    options.deadline_ms = DEADLINE_MS;
    if (entry != NULL) {
        metadata.key = entry[0];
        metadata.value = entry[1];
        options.metadata = &metadata_pointer;
        options.n_metadata = 1;
    }
    request.options = &options;
    request.gid = gid;
    for (int i = 1; i <= atoi(count); i++) {
        snprintf(gid, sizeof(gid), "%s-%d", prefix, i);
        call("Begin", &request.base);
    }
}

static void enlist(char *gid, char *action)
{
    Tercet__V1__EnlistRequest request = TERCET__V1__ENLIST_REQUEST__INIT;
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT;
    branch.number = 1;
    branch.action = action;
    request.gid = gid;
    request.branch = &branch;
    call("Enlist", &request.base);
}

static void run(char *gid, char **actions, size_t count)
{
    Tercet__V1__RunRequest request = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__Branch branches[PLAN_MAX];
    Tercet__V1__Branch *pointers[PLAN_MAX];
    if (count > PLAN_MAX)
        die("too many branches");
    for (size_t i = 0; i < count; i++) {
        tercet__v1__branch__init(&branches[i]);
        branches[i].action = actions[i];
        pointers[i] = &branches[i];
    }
    request.gid = gid;
    request.branches = pointers;
    request.n_branches = count;
    request.wait = TERCET__V1__WAIT__WAIT_NOT;
    call("Run", &request.base);
}

/* -- Serving ----------------------------------------------------------------------------------- */

/* Takes the next word of a list, but leaves the last. */
static Tercet__V1__Outcome next_outcome(char **list)
{
    char word[32] = "";
    size_t size = strcspn(*list, ",");
    snprintf(word, sizeof(word), "%.*s", (int)size, *list);
    if ((*list)[size] == ',')
        *list += size + 1;
    const ProtobufCEnumValue *value =
        protobuf_c_enum_descriptor_get_value_by_name(&tercet__v1__outcome__descriptor, word);
    if (value == NULL)
        die("an outcome is DONE, REFUSAL, AGAIN or BROKEN");
    return (Tercet__V1__Outcome)value->value;
}

static void answer(struct crpc_stream *stream, const Tercet__V1__Call *call, char **lists)
{
    Tercet__V1__AttachRequest message = TERCET__V1__ATTACH_REQUEST__INIT;
    Tercet__V1__CallResult result = TERCET__V1__CALL_RESULT__INIT;
    Tercet__V1__CallResult *results[] = {&result};
    if (call->kind < TERCET__V1__KIND__TRY || call->kind > TERCET__V1__KIND__CANCEL)
        die("a call of no kind");
    result.id = call->id;
    result.outcome = next_outcome(&lists[call->kind - TERCET__V1__KIND__TRY]);
    if (result.outcome != TERCET__V1__OUTCOME__DONE)
        result.reason = "red \x1b[31m \xe4\xb8\xad alarm"; /* what no terminal should see */
    message.results = results;
    message.n_results = 1;
    if (crpc_stream_write(stream, &message.base) != 0)
        die("the stream has ended");
}

static void say_hello(struct crpc_stream *stream, char *action)
{
    Tercet__V1__AttachRequest message = TERCET__V1__ATTACH_REQUEST__INIT;
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    char *slash = strchr(action, '/');
    char *name = slash + 1;
    if (slash == NULL)
        die("an action is SERVICE/NAME");
    *slash = '\0';
    hello.service = action;
    hello.actions = &name;
    hello.n_actions = 1;
    hello.instance = "peer:1";
    hello.window = 7;
    message.hello = &hello;
    if (crpc_stream_write(stream, &message.base) != 0)
        die("the stream has ended");
}

static void serve(char *action, char **lists)
{
    struct crpc_metadata entry;
    struct crpc_call_options options = call_options(&entry, 0);
    struct crpc_stream *stream;
    ProtobufCMessage *message = NULL;
    if (crpc_stream_open(&stream, channel, &tercet__v1__participants__descriptor, "Attach",
                         &options) != 0)
        die("cannot open the stream");
    say_hello(stream, action);
    while (crpc_stream_read(&message, stream) == 0) {
        const Tercet__V1__AttachResponse *response = (const Tercet__V1__AttachResponse *)message;
        if (response->accepted != NULL)
            puts("attached");
        for (size_t i = 0; i < response->n_calls; i++) {
            printf("%d %s %u\n", (int)response->calls[i]->kind, response->calls[i]->gid,
                   response->calls[i]->branch);
            answer(stream, response->calls[i], lists);
        }
        fflush(stdout);
        crpc_message_free(message);
    }
    crpc_stream_finish(stream, NULL);
}

int main(int argc, char **argv)
{
    const char *command = argc > 3 ? argv[1] : "";
    if (argc > 3 &&
        (crpc_loop_new(&loop, NULL) != 0 || crpc_channel_new(&channel, loop, argv[2], NULL) != 0))
        die("cannot make a channel");
    if (strcmp(command, "begin") == 0 && (argc == 5 || argc == 7))
        begin(argv[3], argv[4], argc == 7 ? &argv[5] : NULL);
    else if (strcmp(command, "enlist") == 0 && argc == 5)
        enlist(argv[3], argv[4]);
    else if (strcmp(command, "run") == 0 && argc >= 5)
        run(argv[3], &argv[4], (size_t)argc - 4);
    else if (strcmp(command, "serve") == 0 && argc == 7)
        serve(argv[3], &argv[4]);
    else
        die("see the head of ctl_peer.c");
    crpc_channel_free(channel);
    crpc_loop_free(loop);
    return 0;
}
