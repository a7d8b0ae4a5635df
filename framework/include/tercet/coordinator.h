/* SPDX-License-Identifier: Apache-2.0
 *
 * The coordinator as a library: what tercetd is made of, inside any process.
 */
#ifndef TERCET_COORDINATOR_H
#define TERCET_COORDINATOR_H

#include <stdbool.h>
#include <tercet/metrics.h>
#include <tercet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tercet_coordinator;
struct tercet_store_driver; /* tercet/sys/store.h */

/* The store has failed or its outcome is unknown: nothing more is sent or acknowledged. A process
 * that runs a coordinator should exit; opening anew tells the truth. Called once, on the
 * coordinator's thread. */
typedef void (*tercet_failed_fn)(const char *text, void *ctx);

/* One line of the log, with what it is about. Views: they live until the callback returns. */
struct tercet_log_record {
    size_t size; /* as the library has it: it only grows */
    enum tercet_log_level level;
    const char *text;     /* what on_log would be given */
    const char *gid;      /* of the transaction it is about; NULL: of none, or of several */
    const char *trace_id; /* 32 hexadecimal digits; NULL: that one is not traced */
};

/* As tercet_log_fn. */
typedef void (*tercet_log_record_fn)(const struct tercet_log_record *record, void *ctx);

struct tercet_coordinator_options {
    size_t size;
    /* The store; needed. "lmdb:DIR", or just a directory: LMDB there. "memory:" or ":memory:":
     * nothing is kept, for tests. "etcd://HOST:PORT[,HOST:PORT]/PREFIX": keys in etcd, where
     * several coordinators may stand by for one (docs/cluster.md). Other names want a driver of
     * store_drivers */
    const char *data;
    const char *const *listen; /* addresses; default one, "127.0.0.1:7420" */
    size_t listen_count;
    /* PEM texts; with tls_ca clients must show a certificate */
    const char *tls_ca, *tls_cert, *tls_key;
    /* Lines "role token" or "role identity:NAME", and behind it, if anything, whose it is, for the
     * audit log ("operator TOKEN anna"; mutual TLS: NAME is one of the certificate's DNS
     * names, or "uri:..." or "email:..."; the common name does not count); # comments. Roles:
     * initiator, participant, reader (looks at everything), operator (and decides, settles,
     * retries, pauses), admin (and what concerns the coordinator itself), all. "participant:NAME"
     * serves the services of that name alone, "initiator:NAME" begins transactions under that name,
     * and sees and decides those alone; NAME may have * for any characters. Several lines may have
     * the same token or identity. NULL: everybody may do everything, which is permitted on loopback
     * and unix sockets only. */
    const char *access;
    int64_t retention_ms;    /* resolved transactions are kept so long; default 7 days */
    uint64_t store_size_max; /* bytes, at least 1 MiB; default 64 GiB */
    uint32_t open_max;       /* unresolved transactions; default 1,000,000 */
    /* timeout of one call of a hook, unless initiator or participant ask for another; default
     * 10,000 */
    uint32_t call_timeout_ms;
    /* defaults 100; 60,000; 16; 600,000 */
    uint32_t retry_base_ms, retry_cap_ms, park_after_failures, park_after_ms;
    tercet_log_fn on_log;
    void *log_ctx;
    tercet_failed_fn on_failed;
    void *failed_ctx;
    /* How participants that listen are called (Register): PEM texts, copied. call_tls_ca signs
     * their certificates, "" means the system's roots; cert and key are shown to them. NULL:
     * plaintext, as targets at unix sockets always are. */
    const char *call_tls_ca, *call_tls_cert, *call_tls_key;
    /* Drivers of stores that are not built in (tercet/sys/store.h), ended by NULL; NULL: none. Each
     * is chosen by its scheme in `data`, before one of ours of the same scheme. The array is read
     * while opening only; what the drivers are made of outlives the coordinator. */
    const struct tercet_store_driver *const *store_drivers;
    /* Makes a new store in a directory that has held one whose data are gone; else that is refused:
     * what was decided would be forgotten. */
    bool store_begins_anew;
    /* Connections; what is over a limit is closed at once and the log says so. Each takes two file
     * descriptors of the process; 32 are left to the rest of it. UINT32_MAX: no limit */
    uint32_t connections_max;          /* default: as many as there are descriptors */
    uint32_t connections_per_peer_max; /* at once, an address (IPv6: a /64); default 1024 */
    uint32_t connection_rate_per_peer; /* new ones a second, an address; default 500 */
    uint32_t first_request_ms;         /* one without a first call is cut; default 60,000 */
    uint32_t connection_idle_ms;       /* one without calls is ended gently; default 300,000 */
    uint32_t connection_age_max_ms;    /* one this old is ended gently; default never */
    uint32_t rpc_threads;              /* that take and send messages; default 2, at most 256 */
    /* Which targets participants may register: each matches one of these, with or without its
     * scheme; * stands for any characters. None: any, but sockets and loopback addresses only by
     * those who connect from this machine. The array and its strings outlive the coordinator. */
    const char *const *allow_targets;
    size_t allow_target_count;
    /* Where Admin.Backup makes its directories; it must be there, and the string outlives the
     * coordinator. NULL: backups are refused */
    const char *backup_dir;
    /* Bytes of memory that the process should stay within, at least 32 MiB. Queues get parts of it
     * (unread answers a quarter, requests an eighth, payloads an eighth), and open_max gets a
     * default that fits. 0: 192 MiB of unread answers, 128 MiB of requests, 64 MiB of
     * payloads */
    uint64_t memory_max;
    /* Which lines on_log gets: a level for all parts of the log ("info"), or for one of them
     * ("store=debug"; transactions, participants, store, connections), several with commas. Parts
     * that are not named log from "info" on. NULL: all lines. An admin may change it at run time
     * (Admin.SetLogLevels) */
    const char *log_levels;
    /* sessions, watchers, instances of one address (IPv6: a /64); default 4096 */
    uint32_t streams_per_peer_max;
    /* with `access`: health checks (grpc.health.v1) need one of its roles, too; by default they
     * need none, as load balancers and orchestrators send no token */
    bool is_health_guarded;
    /* The path of a program that reads the store for Admin.Check and after Admin.Backup, so that a
     * damaged page which ends its reader ends that and not this process: tercetd, or one that calls
     * tercet_coordinator_inspect when it is started with "--data NAME --check PARTS" and perhaps
     * "--store-size BYTES" (the last two are this function's, the names are this coordinator's).
     * The string outlives the coordinator. NULL: a thread of this process does */
    const char *check_program;
    /* "unix:/path": a socket for the program's own use, which takes plaintext where the others take
     * TLS. Put it where nobody else gets: a directory of mode 0700. Access rules hold there, too;
     * tercet_coordinator_address does not tell it. The string outlives the coordinator */
    const char *own_socket;
    /* Where spans of transactions are sent (docs/tracing.md), by OTLP over gRPC:
     * "http://host:4317", or "https://...". NULL: none are made. */
    const char *otlp;
    /* for https: PEM of who signs the collector's certificate; NULL: the system's roots */
    const char *otlp_ca;
    /* lines "name: value" that are sent with each export, such as a token; # comments; at most 16
     */
    const char *otlp_headers;
    /* Which share of the transactions is traced whose initiators do not say (by the flag "sampled"
     * of their traceparent): above 0, at most 1. 0: all of them; negative: none */
    double trace_sample;
    /* in place of on_log, with its ctx */
    tercet_log_record_fn on_log_record;
    /* While another process owns a store that several may name (etcd): asked several times a second
     * whether to wait on, with a text that says for whom; in the thread that opens. false: opening
     * ends with TERCET_LOCKED. NULL: it waits on */
    bool (*waits_on)(const char *text, void *ctx);
    void *waits_ctx;
    /* A random text of at least 32 characters, known to this program alone. A call that brings it
     * in the metadata "tercet-own-secret" may say in "tercet-identities", with spaces between,
     * which names its caller has shown in a certificate, for a door of the program's own that asks
     * for certificates: they count like those of the connection. NULL: no call may. The string
     * outlives the coordinator */
    const char *own_secret;
};

/* Opens the store, wakes what it holds, serves. On an error `text` (may be NULL, TERCET_TEXT_MAX
 * bytes) says what is wrong and what to do. Errors: TERCET_LOCKED, TERCET_FORMAT, TERCET_STORE,
 * TERCET_ADDRESS, TERCET_TLS, TERCET_INVALID. */
int tercet_coordinator_open(struct tercet_coordinator **out,
                            const struct tercet_coordinator_options *options, char *text);

/* Takes new access rules in place of those it was opened with, for all calls that begin from now
 * on; streams that are open stay. TERCET_INVALID with `text` (may be NULL): the old ones stay. So
 * for a coordinator that was opened without rules. Any thread. */
int tercet_coordinator_set_access(struct tercet_coordinator *coordinator, const char *access,
                                  char *text);

/* New PEM texts in place of tls_ca, tls_cert and tls_key, for connections that begin from now on;
 * those that are there stay. TERCET_TLS with `text` (may be NULL): they cannot be used, and the old
 * ones stay; so for a coordinator that was opened without TLS, and where tls_ca would come or go.
 * Any thread. */
int tercet_coordinator_set_tls(struct tercet_coordinator *coordinator, const char *tls_ca,
                               const char *tls_cert, const char *tls_key, char *text);

/* Levels in place of log_levels, from now on; what it does not name stays. TERCET_INVALID with
 * `text` (may be NULL): nothing is changed. Any thread. */
int tercet_coordinator_set_log_levels(struct tercet_coordinator *coordinator, const char *levels,
                                      char *text);

/* Reads a store whole, or parts of it ("all", "unresolved", "resolved", "others", "index"), and
 * writes to the file descriptor `fd` a line for each damage, and for each piece what it is about to
 * read. Of the options data, store_size_max and store_drivers count. Another process may hold the
 * store, and use it; nothing is changed. Returns 0: all is whole, or 1: something is damaged, or
 * cannot be read. LMDB trusts its pages, so one that is damaged may end the process (status 70, or
 * a signal): the last line says what was read. For a program of its own, see check_program. */
int tercet_coordinator_inspect(const struct tercet_coordinator_options *options, const char *parts,
                               int fd);

/* Hands each series of what is measured to the callback (tercet/metrics.h), as it is now; when the
 * coordinator's thread is held up for a second, as it was when it was asked last:
 * tercet_snapshot_age_seconds says how old that is. TERCET_UNAVAILABLE: there is nothing yet.
 * Blocks that long at most; any thread, before close. */
int tercet_coordinator_metrics(struct tercet_coordinator *coordinator, tercet_metric_fn each,
                               void *ctx);

/* What a probe or a watchdog asks. */
struct tercet_coordinator_health {
    size_t size;
    /* For how long the coordinator's thread has been at one thing, or has not woken up when it was
     * to; 0: it waits for work. More than some seconds: it is stuck, or its disk is. */
    int64_t held_up_ms;
    bool has_failed;   /* the store has: nothing is acknowledged before a restart */
    bool is_accepting; /* new transactions are taken; as it was when the thread was last at work */
};

/* Fills the struct, whose size is set. Asks nothing of the coordinator's thread, takes no lock and
 * never blocks. Any thread, before close. */
void tercet_coordinator_health(struct tercet_coordinator *coordinator,
                               struct tercet_coordinator_health *out);

/* The i-th address it listens at, such as "127.0.0.1:41234"; a name may stand for several. NULL
 * past the last. Lives as long as the coordinator. */
const char *tercet_coordinator_address(const struct tercet_coordinator *coordinator, size_t i);

/* Refuses new transactions, answers what was asked before (an Await: UNAVAILABLE), for up to
 * grace_ms, ends streams and connections, writes what is lazily pending, closes the store, frees.
 */
void tercet_coordinator_close(struct tercet_coordinator *coordinator, uint32_t grace_ms);

#ifdef __cplusplus
}
#endif
#endif
