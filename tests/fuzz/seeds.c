/* SPDX-License-Identifier: Apache-2.0
 *
 * The first inputs of every target: seeds FOLDER writes FOLDER/<target>/seed-<n>. What a fuzzer
 * finds from there and is worth keeping lies beside them in corpus/.
 */
#include "fuzz.h"

#include <protobuf-c/protobuf-c.h>
#include <sys/stat.h>
#include <tercet/store/v1/store.pb-c.h>
#include <tercet/v1/tercet.pb-c.h>

#define SEED_MAX 4096

struct seed {
    uint8_t data[SEED_MAX];
    size_t size;
};

static const char *folder;

static void put(struct seed *seed, uint8_t byte)
{
    MUST(seed->size < SEED_MAX);
    seed->data[seed->size++] = byte;
}

static void put_bytes(struct seed *seed, const void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        put(seed, ((const uint8_t *)data)[i]);
}

static void write_seed(const char *target, unsigned number, const struct seed *seed)
{
    char path[4096];
    MUST((size_t)snprintf(path, sizeof(path), "%s/%s", folder, target) < sizeof(path));
    mkdir(path, 0777);
    MUST((size_t)snprintf(path, sizeof(path), "%s/%s/seed-%02u", folder, target, number) <
         sizeof(path));
    FILE *file = fopen(path, "wb");
    MUST(file != NULL && fwrite(seed->data, 1, seed->size, file) == seed->size &&
         fclose(file) == 0);
}

static void write_text(const char *target, unsigned number, uint8_t choice, const char *text)
{
    struct seed seed = {.size = 0};
    put(&seed, choice);
    put_bytes(&seed, text, strlen(text));
    write_seed(target, number, &seed);
}

/* -- Messages of every type, every field set --------------------------------------------------- */

static void put_message(struct seed *seed, const ProtobufCMessageDescriptor *type);

static void put_value(struct seed *seed, const ProtobufCFieldDescriptor *field)
{
    static const char text[] = "a/b-1";
    struct seed inner = {.size = 0};
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        put_message(&inner, field->descriptor);
    else
        put_bytes(&inner, text, sizeof(text) - 1);
    /* one byte of length will do: the tail is left out, and the message is damaged */
    if (inner.size > 127)
        inner.size = 127;
    put(seed, (uint8_t)inner.size);
    put_bytes(seed, inner.data, inner.size);
}

static void put_message(struct seed *seed, const ProtobufCMessageDescriptor *type)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool has_length = field->type == PROTOBUF_C_TYPE_MESSAGE ||
                          field->type == PROTOBUF_C_TYPE_STRING ||
                          field->type == PROTOBUF_C_TYPE_BYTES;
        uint32_t tag = field->id << 3 | (has_length ? 2 : 0);
        if (tag >= 128)
            put(seed, (uint8_t)(tag | 0x80));
        put(seed, (uint8_t)(tag >= 128 ? tag >> 7 : tag));
        if (has_length)
            put_value(seed, field);
        else
            put(seed, (uint8_t)(i + 1));
    }
}

static void write_wire(void)
{
    static const ProtobufCServiceDescriptor *const services[] = {
        &tercet__v1__coordinator__descriptor, &tercet__v1__participants__descriptor,
        &tercet__v1__participant__descriptor, &tercet__v1__admin__descriptor};
    uint8_t choice = 0;
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        for (unsigned j = 0; j < services[i]->n_methods; j++)
            for (unsigned side = 0; side < 2; side++, choice++) {
                struct seed seed = {.size = 0};
                const ProtobufCMethodDescriptor *method = &services[i]->methods[j];
                put(&seed, choice);
                put_message(&seed, side == 0 ? method->input : method->output);
                write_seed("fuzz_wire", choice, &seed);
            }
}

/* -- Records ----------------------------------------------------------------------------------- */

static void fill_branches(Tercet__Store__V1__BranchState *states, uint32_t count,
                          uint32_t try_state, uint32_t end_state)
{
    for (uint32_t i = 0; i < count; i++) {
        tercet__store__v1__branch_state__init(&states[i]);
        states[i].number = i + 1;
        states[i].try_state = try_state;
        states[i].end_state = end_state;
        states[i].attempts = 3 + i;
        states[i].try_until_ms = 1700000010000;
        states[i].flags = i == 0 && end_state == 1 ? 1 : 0;
        states[i].reply.data = (uint8_t *)(uintptr_t) "reply";
        states[i].reply.len = 5;
    }
}

static struct seed state_body(uint32_t state, uint32_t cause, uint32_t try_state,
                              uint32_t end_state, uint32_t flags)
{
    struct seed seed = {.size = 0};
    Tercet__Store__V1__State message = TERCET__STORE__V1__STATE__INIT;
    Tercet__Store__V1__Metadata metadata = TERCET__STORE__V1__METADATA__INIT;
    Tercet__Store__V1__Metadata *metadatas[] = {&metadata};
    Tercet__Store__V1__BranchState states[3];
    Tercet__Store__V1__BranchState *branches[] = {&states[0], &states[1], &states[2]};
    fill_branches(states, 3, try_state, end_state);
    metadata.key = (char *)(uintptr_t) "k";
    metadata.value = (char *)(uintptr_t) "v";
    message.gid = (char *)(uintptr_t) "g";
    message.state = state;
    message.cause = cause;
    message.flags = flags;
    message.created_ms = 1700000000000;
    message.deadline_ms = 1700000060000;
    message.retry_base_ms = message.retry_cap_ms = 100;
    message.park_attempts = 16;
    message.park_after_ms = 600000;
    message.branches = branches;
    message.n_branches = 3;
    message.metadata = metadatas;
    message.n_metadata = 1;
    MUST(protobuf_c_message_get_packed_size(&message.base) <= SEED_MAX);
    seed.size = protobuf_c_message_pack(&message.base, seed.data);
    return seed;
}

static void write_state(unsigned number, uint32_t state, uint32_t cause, uint32_t try_state,
                        uint32_t end_state, uint32_t flags)
{
    struct seed seed = {.size = 0};
    struct seed body = state_body(state, cause, try_state, end_state, flags);
    put(&seed, 0);
    put_bytes(&seed, body.data, body.size);
    write_seed("fuzz_record", number, &seed);
}

static void write_records(void)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &tercet__store__v1__state__descriptor, &tercet__store__v1__branch__descriptor,
        &tercet__store__v1__resolved__descriptor, &tercet__store__v1__participant__descriptor};
    for (unsigned i = 0; i < 4; i++) {
        struct seed seed = {.size = 0};
        put(&seed, (uint8_t)i);
        put_message(&seed, types[i]);
        write_seed("fuzz_record", i, &seed);
    }
    write_state(4, 1, 0, 2, 0, 0);
    write_state(5, 1, 0, 2, 0, 1 | 2);
    write_state(6, 2, 1, 4, 1, 0);
    write_state(7, 3, 5, 6, 2, 4);
    write_state(8, 4, 2, 4, 3, 2);
    write_text("fuzz_record", 9, 128, "\001S\0\0\0\0\0\0\0\0\0\0");
}

/* -- Text and operations ----------------------------------------------------------------------- */

static void write_texts(void)
{
    static const struct {
        uint8_t choice;
        const char *text;
    } texts[] = {
        {0, "unix:///run/tercet.sock"},
        {0, "dns:///localhost:7711"},
        {0, "ipv6:[::1]:80"},
        {0, "127.0.0.1:65536"},
        {1, "# who may what\nadmin 0123456789abcdef\nall identity:shop.example\r\n"},
        {1, "initiator short\n"},
        {1, "initiator 0123456789abcdef more\n"},
        {1, "nobody 0123456789abcdef\n"},
        {2, "order:1.a_b-c"},
        {2, ""},
        {3, "inventory/reserve"},
        {3, "a//b"},
        {4, "gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x8c\x8d"},
        {4, "\xed\xa0\x80"},
        {5, "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {5, "grpc-x=1"},
    };
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        write_text("fuzz_text", i, texts[i].choice, texts[i].text);
}

static void write_operations(void)
{
    static const struct {
        const char *target;
        uint8_t data[32];
        size_t size;
    } runs[] = {
        /* Two routed tries, done, confirm, cancel, a crash, one end done, the other not. */
        {"fuzz_core",
         {0, 99, 4, 60, 16, 1, 20, 16, 2, 20, 3, 1, 3, 2, 1, 0, 2, 0, 14, 6 + 64, 1, 7 + 64, 2, 13},
         24},
        /* Decides itself, in order, one refused. */
        {"fuzz_core", {3, 9, 1, 6, 16, 1, 200, 16, 2, 200, 3, 1, 4, 2, 8, 1, 14, 12, 50, 13}, 20},
        /* A crash while two tries are called, and the turn after. */
        {"fuzz_core", {0, 99, 4, 60, 16, 1, 20, 16, 2, 20, 14, 12, 50, 13}, 14},
        /* Own calls, force, settled by hand. */
        {"fuzz_core", {8, 9, 1, 1, 0, 1, 1, 0, 2, 1, 33, 0, 8, 1, 10, 1, 15, 14}, 18},
        /* try, confirm, confirm, try; then the mark. */
        {"fuzz_barrier", {3, 3, 0, 0, 0, 9, 6, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 3, 0, 0, 244, 0}, 22},
        /* cancel, try, try of another branch that refuses, a call that is not valid. */
        {"fuzz_barrier", {0, 3, 12, 0, 0, 0, 0, 0, 0, 7, 1, 4, 0, 7, 2, 252, 0, 0}, 18},
    };
    for (unsigned i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        struct seed seed = {.size = 0};
        put_bytes(&seed, runs[i].data, runs[i].size);
        write_seed(runs[i].target, i, &seed);
    }
}

/* A store with a State seed's transaction and its branches (there should be three); then answers,
 * time, a restart. */
static void write_store(unsigned number, uint8_t branch_count, uint32_t state, uint32_t cause,
                        uint32_t try_state, uint32_t end_state)
{
    static const uint8_t branch[] = "\012\003a/x\022\001p\030\144";
    struct seed seed = {.size = 0};
    put(&seed, 255);
    put(&seed, branch_count);
    put(&seed, 0);
    struct seed body = state_body(state, cause, try_state, end_state, 0);
    put(&seed, (uint8_t)body.size);
    put_bytes(&seed, body.data, body.size);
    for (uint8_t i = 1; i <= branch_count; i++) {
        put(&seed, i);
        put(&seed, sizeof(branch) - 1);
        put_bytes(&seed, branch, sizeof(branch) - 1);
    }
    static const uint8_t rest[] = {5, 6,           3,   1,  0, 3, 1, 0, 3, 1,
                                   0, 11 + 13 * 5, 255, 38, 5, 6, 3, 1, 0};
    put_bytes(&seed, rest, sizeof(rest));
    write_seed("fuzz_coordinator", number, &seed);
}

static void put_request(struct seed *seed, uint8_t choice, const ProtobufCMessageDescriptor *type)
{
    struct seed body = {.size = 0};
    put_message(&body, type);
    const uint8_t head[] = {1, choice, (uint8_t)body.size};
    MUST(body.size < 200);
    put_bytes(seed, head, sizeof(head));
    put_bytes(seed, body.data, body.size);
}

/* Every unary request with every field set, in the order of enum method, Await last; then plans
 * with actions good and bad. */
static void write_requests(unsigned number)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &tercet__v1__begin_request__descriptor,
        &tercet__v1__enlist_request__descriptor,
        &tercet__v1__try_request__descriptor,
        &tercet__v1__confirm_request__descriptor,
        &tercet__v1__cancel_request__descriptor,
        &tercet__v1__run_request__descriptor,
        &tercet__v1__get_request__descriptor,
        &tercet__v1__watch_request__descriptor,
        &tercet__v1__register_request__descriptor,
        &tercet__v1__list_request__descriptor,
        &tercet__v1__list_participants_request__descriptor,
        &tercet__v1__retry_request__descriptor,
        &tercet__v1__settle_request__descriptor,
        &tercet__v1__decide_request__descriptor,
        &tercet__v1__pause_request__descriptor,
        &tercet__v1__statistics_request__descriptor};
    static const char *const actions[] = {"", "a", "a//", "/x", "a/x"};
    struct seed seed = {.size = 0};
    put(&seed, 0);
    for (uint8_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        put_request(&seed, i, types[i]);
    put_request(&seed, 240, &tercet__v1__await_request__descriptor);
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        uint8_t size = (uint8_t)strlen(actions[i]);
        /* Run: branches: action */
        const uint8_t plan[] = {1, 5, size + 4, 3 << 3 | 2, size + 2, 2 << 3 | 2, size};
        put_bytes(&seed, plan, sizeof(plan));
        put_bytes(&seed, actions[i], size);
    }
    write_seed("fuzz_coordinator", number, &seed);
}

/* A part of fuzz_crpc and its bodies, each behind its length. */
static void write_crpc(unsigned number, uint8_t part, const char *const *bodies, size_t count)
{
    struct seed seed = {.size = 0};
    put(&seed, part);
    for (size_t i = 0; i < count; i++) {
        put(&seed, (uint8_t)strlen(bodies[i]));
        put_bytes(&seed, bodies[i], strlen(bodies[i]));
    }
    write_seed("fuzz_crpc", number, &seed);
}

static void write_crpc_parts(void)
{
    /* ServerReflectionRequest: a file, symbols, the list, extensions; nothing that is asked for. */
    static const char *const questions[] = {"\x1a\x16"
                                            "tercet/v1/tercet.proto",
                                            "\x22\x10"
                                            "tercet.v1.Branch",
                                            "\x22\x1c"
                                            "tercet.v1.Coordinator.Begin1",
                                            "\x22\x03"
                                            "a.b",
                                            "\x3a\x01*",
                                            "\x32\x10"
                                            "tercet.v1.Branch",
                                            "\x2a\x02\x10\x01",
                                            "\x0a\x01h"};
    static const char *const metadata[] = {"traceparent", "00-1",        "x-bin",
                                           "\x01\xff",    "traceparent", ""};
    static const char *const keys[] = {"k",     "v", "grpc-x", "v",        ":path", "/",
                                       "Upper", "v", "x-bin",  "\x01\xff", "k",     "\n"};
    write_crpc(0, 0, questions, sizeof(questions) / sizeof(questions[0]));
    write_text("fuzz_crpc", 1, 1, "\x01\x0a\x15tercet.v1.Coordinator");
    write_text("fuzz_crpc", 2, 1, "\x02\x0a\x02no");
    write_text("fuzz_crpc", 3, 1, "\x83");
    write_crpc(4, 2, metadata, sizeof(metadata) / sizeof(metadata[0]));
    write_crpc(5, 3, keys, sizeof(keys) / sizeof(keys[0]));
}

/* Long runs of anything, the same at every call. */
static void write_random(const char *target, unsigned number, size_t size)
{
    struct seed seed = {.size = 0};
    uint64_t random = number;
    for (size_t i = 0; i < size; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        put(&seed, (uint8_t)(random >> 56));
    }
    write_seed(target, number, &seed);
}

int main(int argc, char **argv)
{
    MUST(argc == 2);
    folder = argv[1];
    write_wire();
    write_records();
    write_texts();
    write_operations();
    for (unsigned i = 0; i < 10; i++) {
        write_random("fuzz_core", 10 + i, 600);
        write_random("fuzz_barrier", 10 + i, 300);
        write_random("fuzz_coordinator", 10 + i, 600);
    }
    write_store(0, 3, 1, 0, 2, 0);
    write_store(1, 3, 2, 1, 4, 1);
    write_store(2, 3, 3, 5, 6, 2);
    write_store(3, 3, 4, 2, 4, 3);
    write_store(4, 2, 1, 0, 2, 0);
    write_store(5, 0, 2, 1, 4, 1);
    write_requests(6);
    write_crpc_parts();
    return 0;
}
