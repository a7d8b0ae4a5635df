/* SPDX-License-Identifier: Apache-2.0
 *
 * samples-supervisor: starts the processes of a sample, stops them with itself, and breaks them
 * when asked (samples.Supervisor). It reads what there is from a file: lines "process NAME PROGRAM
 * ARGUMENT...", "database NAME sqlite FILE", "database NAME server SCRIPT FOLDER".
 */
#include <crpc/crpc.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "options.h"
#include "samples.pb-c.h"

#define PARTS_MAX 24
#define WORDS_MAX 32
#define TICK_MS 50
#define STOP_MS_MAX 10000

/* A process, or a database that can be cut off. */
struct part {
    char line[2048]; /* its words lie in it */
    char *words[WORDS_MAX + 1];
    char *name;
    bool is_database;
    pid_t pid;      /* 0: it does not run */
    bool is_frozen; /* or the database is cut off */
    uint32_t starts;
    const char *pending; /* a verb to be done by the main thread; NULL: none */
    sqlite3 *lock;       /* holds the database's only write lock */
};

static const char *const verbs[] = {"start", "stop", "kill", "freeze", "thaw", "cut", "mend"};

static struct part parts[PARTS_MAX];
static size_t part_count;
static const char *log_folder, *listen_address, *file_name;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* over the parts' states */

/* -- What there is ----------------------------------------------------------------------------- */

static bool read_part(struct part *part)
{
    char *rest = NULL;
    size_t count = 0;
    char *kind = strtok_r(part->line, " \n", &rest);
    if (kind == NULL || (strcmp(kind, "process") != 0 && strcmp(kind, "database") != 0))
        return false;
    part->is_database = strcmp(kind, "database") == 0;
    part->name = strtok_r(NULL, " \n", &rest);
    for (char *word; count < WORDS_MAX && (word = strtok_r(NULL, " \n", &rest)) != NULL;)
        part->words[count++] = word;
    return part->name != NULL && count >= (part->is_database ? 2 : 1);
}

static int read_parts(void)
{
    FILE *file = fopen(file_name, "re");
    if (file == NULL)
        return -1;
    while (part_count < PARTS_MAX &&
           fgets(parts[part_count].line, sizeof(parts[0].line), file) != NULL)
        part_count += read_part(&parts[part_count]);
    fclose(file);
    return part_count > 0 ? 0 : -1;
}

/* -- Processes --------------------------------------------------------------------------------- */

static void unblock_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void run_child(const struct part *part, const char *log)
{
    unblock_signals();
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody outlives a supervisor that was killed */
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    execv(part->words[0], part->words);
    perror(part->words[0]);
    _exit(127);
}

static void start(struct part *part)
{
    char log[1024];
    if (part->pid != 0)
        return;
    snprintf(log, sizeof(log), "%s/%s.log", log_folder, part->name);
    pid_t pid = fork();
    if (pid == 0)
        run_child(part, log);
    part->pid = pid > 0 ? pid : 0;
    part->is_frozen = false;
    part->starts++;
}

static void send_signal(struct part *part, int number)
{
    if (part->pid == 0)
        return;
    kill(part->pid, number);
    if (number == SIGTERM)
        kill(part->pid, SIGCONT); /* who is frozen must wake up to end */
    part->is_frozen = number == SIGSTOP;
}

static void collect(void)
{
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        for (size_t i = 0; i < part_count; i++)
            if (parts[i].pid == pid) {
                parts[i].pid = 0;
                parts[i].is_frozen = false;
            }
}

/* -- Databases --------------------------------------------------------------------------------- */

static void run_script(const struct part *part, const char *option)
{
    pid_t pid = fork();
    if (pid == 0) {
        unblock_signals();
        execl(part->words[1], part->words[1], option, part->words[2], (char *)NULL);
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, NULL, 0);
}

/* Of a file: its lock is taken, so that nobody else can write, and given back. */
static bool cut_file(struct part *part)
{
    bool is_cut = false;
    if (sqlite3_open(part->words[1], &part->lock) == SQLITE_OK) {
        sqlite3_busy_timeout(part->lock, 2000);
        is_cut = sqlite3_exec(part->lock, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    }
    if (!is_cut) {
        sqlite3_close(part->lock);
        part->lock = NULL;
    }
    return is_cut;
}

static bool cut(struct part *part)
{
    if (strcmp(part->words[0], "sqlite") == 0)
        return cut_file(part);
    run_script(part, "--kill");
    return true;
}

static void mend(struct part *part)
{
    if (part->lock == NULL)
        run_script(part, "--start");
    sqlite3_close(part->lock);
    part->lock = NULL;
}

/* Takes seconds, so it is done without the lock; only the main thread changes what is cut. */
static void act_on_database(struct part *part, const char *verb)
{
    bool is_cut = part->is_frozen;
    if (!is_cut && strcmp(verb, "cut") == 0)
        is_cut = cut(part);
    else if (is_cut && strcmp(verb, "mend") == 0) {
        mend(part);
        is_cut = false;
    }
    pthread_mutex_lock(&lock);
    part->is_frozen = is_cut;
    pthread_mutex_unlock(&lock);
}

/* -- What is asked for ------------------------------------------------------------------------- */

static void act_on_process(struct part *part, const char *verb)
{
    if (strcmp(verb, "start") == 0)
        start(part);
    else if (strcmp(verb, "stop") == 0)
        send_signal(part, SIGTERM);
    else if (strcmp(verb, "kill") == 0)
        send_signal(part, SIGKILL);
    else if (strcmp(verb, "freeze") == 0)
        send_signal(part, SIGSTOP);
    else if (strcmp(verb, "thaw") == 0)
        send_signal(part, SIGCONT);
}

static void act_on_all(void)
{
    for (size_t i = 0; i < part_count; i++) {
        pthread_mutex_lock(&lock);
        const char *verb = parts[i].pending;
        parts[i].pending = NULL;
        if (verb != NULL && !parts[i].is_database)
            act_on_process(&parts[i], verb);
        pthread_mutex_unlock(&lock);
        if (verb != NULL && parts[i].is_database)
            act_on_database(&parts[i], verb);
    }
    pthread_mutex_lock(&lock);
    collect();
    pthread_mutex_unlock(&lock);
}

static char *state_of(const struct part *part)
{
    if (part->is_database)
        return part->is_frozen ? "cut" : "running";
    if (part->pid == 0)
        return "stopped";
    return part->is_frozen ? "frozen" : "running";
}

static void reply_states(struct crpc_call *call)
{
    Samples__Process states[PARTS_MAX], *list[PARTS_MAX];
    Samples__Processes reply = SAMPLES__PROCESSES__INIT;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < part_count; i++) {
        samples__process__init(&states[i]);
        states[i].name = parts[i].name;
        states[i].state = state_of(&parts[i]);
        states[i].restarts = parts[i].starts > 0 ? parts[i].starts - 1 : 0;
        list[i] = &states[i];
    }
    pthread_mutex_unlock(&lock);
    reply.n_processes = part_count;
    reply.processes = list;
    crpc_call_reply(call, &reply.base);
}

static void on_look(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    (void)request;
    (void)ctx;
    reply_states(call);
}

static void on_act(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    const Samples__Task *task = (const Samples__Task *)request;
    const char *verb = NULL;
    bool is_found = false;
    (void)ctx;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verbs[i], task->verb) == 0)
            verb = verbs[i];
    pthread_mutex_lock(&lock);
    for (size_t i = 0; verb != NULL && i < part_count; i++)
        if (strcmp(parts[i].name, task->name) == 0) {
            parts[i].pending = verb;
            is_found = true;
        }
    pthread_mutex_unlock(&lock);
    if (is_found)
        reply_states(call);
    else
        crpc_call_fail(call, CRPC_FAILED_PRECONDITION, "there is nothing like this to be done");
}

static const struct crpc_handler handlers[] = {
    {"Look", CRPC_UNARY, on_look, NULL},
    {"Act", CRPC_UNARY, on_act, NULL},
};

/* -- Running ----------------------------------------------------------------------------------- */

static bool is_any_running(void)
{
    for (size_t i = 0; i < part_count; i++)
        if (parts[i].pid != 0)
            return true;
    return false;
}

/* Those that were started last are asked first; who does not end in time is killed. */
static void stop_all(const sigset_t *signals)
{
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000};
    for (size_t i = 0; i < part_count; i++)
        if (parts[i].is_database)
            act_on_database(&parts[i], "mend");
    for (size_t i = part_count; i-- > 0;)
        send_signal(&parts[i], SIGTERM);
    for (int waited_ms = 0; is_any_running() && waited_ms < STOP_MS_MAX; waited_ms += TICK_MS) {
        sigtimedwait(signals, NULL, &tick);
        collect();
    }
    for (size_t i = 0; i < part_count; i++)
        send_signal(&parts[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}

static int serve(struct crpc_loop **loop, struct crpc_server **server)
{
    int rc = crpc_loop_new(loop, NULL);
    if (rc == 0)
        rc = crpc_server_new(server, *loop, NULL);
    if (rc == 0)
        rc = crpc_server_add_service(*server, &samples__supervisor__descriptor, handlers, 2, NULL);
    if (rc == 0)
        rc = crpc_server_listen(*server, listen_address, NULL, NULL);
    if (rc == 0)
        rc = crpc_server_start(*server);
    if (rc != 0)
        fprintf(stderr, "samples-supervisor: %s: %s\n", listen_address, crpc_strerror(rc));
    return rc;
}

static void run(const sigset_t *signals)
{
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000};
    int number;
    for (size_t i = 0; i < part_count; i++)
        if (!parts[i].is_database)
            parts[i].pending = "start";
    do {
        act_on_all();
        number = sigtimedwait(signals, NULL, &tick);
    } while (number != SIGTERM && number != SIGINT);
}

int main(int argc, char **argv)
{
    const struct option_entry entries[] = {
        {"file", OPTION_TEXT, &file_name, "what there is to start"},
        {"logs", OPTION_TEXT, &log_folder, "the folder for what the processes print"},
        {"listen", OPTION_TEXT, &listen_address, "be asked at this address, such as unix:/path"},
    };
    struct options options = {
        .program = "samples-supervisor",
        .summary = "Starts the processes of a sample, and breaks them when asked.\n"};
    struct crpc_loop *loop = NULL;
    struct crpc_server *server = NULL;
    sigset_t signals;
    options_add(&options, entries, sizeof(entries) / sizeof(entries[0]));
    options_parse(&options, argc, argv);
    if (file_name == NULL || log_folder == NULL || listen_address == NULL || read_parts() != 0)
        options_fail(&options, "file", "and --logs and --listen are needed");
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM); /* who started this was killed: stop in order */
    int rc = serve(&loop, &server);
    if (rc == 0)
        run(&signals);
    stop_all(&signals);
    crpc_server_free(server);
    crpc_loop_free(loop);
    return rc == 0 ? 0 : 1;
}
