/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd_fault.h. All of it but fault_watch runs in a signal handler: it allocates nothing, and
 * takes no lock.
 */
#include "tercetd_fault.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define EXIT_STORE_FAILED 70
#define LAST_WORD_MS 1000 /* for a standard error that nobody reads */
#define FILE_NAME "/data.mdb"
#define FAULT_TEXT_SIZE (PATH_MAX + 256)

/* One line of /proc/self/maps: from-to, four letters, offset, device, inode, path. */
struct mapping {
    uintptr_t from, to, offset;
    const char *path;
};

static uintptr_t take_hex(const char **text)
{
    uintptr_t value = 0;
    for (;; (*text)++) {
        char digit = **text;
        if (digit >= '0' && digit <= '9')
            value = value << 4 | (uintptr_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            value = value << 4 | (uintptr_t)(digit - 'a' + 10);
        else
            return value;
    }
}

static void parse(const char *line, struct mapping *out)
{
    out->from = take_hex(&line);
    line += *line == '-';
    out->to = take_hex(&line);
    line += strcspn(line + 1, " ") + 2; /* past the letters */
    out->offset = take_hex(&line);
    out->path = strchr(line, '/');
}

static bool holds(const struct mapping *mapping, uintptr_t address)
{
    return address >= mapping->from && address < mapping->to && mapping->path != NULL;
}

static bool is_store(const char *path)
{
    size_t size = strlen(path);
    return size >= strlen(FILE_NAME) && strcmp(path + size - strlen(FILE_NAME), FILE_NAME) == 0;
}

static bool is_lmdb(const char *path)
{
    return strstr(path, "/liblmdb") != NULL;
}

/* Reads one line, without its end; false: there are no more. What is too long is cut. */
static bool read_line(int fd, char *line, size_t size)
{
    size_t used = 0;
    for (char byte; read(fd, &byte, 1) == 1;) {
        if (byte == '\n') {
            line[used] = '\0';
            return true;
        }
        if (used < size - 1)
            line[used++] = byte;
    }
    return false;
}

/* Which file is mapped at this address. */
static bool find_mapping(uintptr_t address, char *line, size_t size, struct mapping *out)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    bool is_found = false;
    while (fd >= 0 && !is_found && read_line(fd, line, size)) {
        parse(line, out);
        is_found = holds(out, address);
    }
    if (fd >= 0)
        close(fd);
    return is_found;
}

/* The instruction that did it; 0: not known on this machine. */
static uintptr_t instruction_of(const void *context)
{
#if defined(__x86_64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
    (void)context;
    return 0;
#endif
}

static char *put(char *at, const char *text)
{
    size_t size = strlen(text);
    memcpy(at, text, size + 1);
    return at + size;
}

static char *put_number(char *at, uintptr_t number)
{
    char digits[24] = {0}, *first = digits + sizeof(digits) - 1;
    do
        *--first = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    return put(at, first);
}

static void say(const char *text, const char *end)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, LAST_WORD_MS) == 1)
        (void)!write(STDERR_FILENO, text, (size_t)(end - text));
}

static const char what_to_do[] = "restore it from a backup; tercetd --check all says what else is "
                                 "damaged\n";

static void say_page(const struct mapping *mapping, uintptr_t address)
{
    char text[FAULT_TEXT_SIZE];
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    char *end = put(text, mapping->path);
    end = put(end, " is damaged, or its disk cannot be read: there is nothing to read at page ");
    end = put_number(end, (address - mapping->from + mapping->offset) / page_size);
    end = put(end, ": ");
    say(text, put(end, what_to_do));
}

static void say_lmdb(void)
{
    char text[FAULT_TEXT_SIZE];
    char *end = put(text, "the store's data.mdb is damaged: LMDB came upon a page that makes no "
                          "sense: ");
    say(text, put(end, what_to_do));
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    char line[PATH_MAX + 128];
    struct mapping mapping;
    uintptr_t address = (uintptr_t)info->si_addr;
    if (find_mapping(address, line, sizeof(line), &mapping) && is_store(mapping.path)) {
        say_page(&mapping, address);
        _exit(EXIT_STORE_FAILED);
    }
    if (find_mapping(instruction_of(context), line, sizeof(line), &mapping) &&
        is_lmdb(mapping.path)) {
        say_lmdb();
        _exit(EXIT_STORE_FAILED);
    }
    signal(number, SIG_DFL); /* it comes again when this returns */
}

void fault_watch(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
}
