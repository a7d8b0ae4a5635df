/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics that there are: here, and nowhere else, a metric is declared. Who measures keeps
 * plain numbers and histograms of his own, and makes samples of them when somebody asks; what the
 * hot path pays is an addition.
 *
 * Names are Prometheus': tercet_, what it is, the unit last. A histogram's values are whole numbers
 * of a scale, which says how many of them make one unit.
 */
#ifndef TERCET_METRICS_INTERNAL_H
#define TERCET_METRICS_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tercet/metrics.h>

/* id, name, type, unit, scale of a histogram, labels, help */
#define METRICS(X)                                                                                 \
    X(BUILD, "tercet_build", INFO, "", NONE, "version,grpc",                                       \
      "The program, and the gRPC core that it runs with.")                                         \
    X(START_TIME, "tercet_start_time_seconds", GAUGE, "seconds", NONE, "",                         \
      "When the coordinator was opened, since 1970.")                                              \
    X(SNAPSHOT_AGE, "tercet_snapshot_age_seconds", GAUGE, "seconds", NONE, "",                     \
      "How old these figures are: 0, unless the coordinator's thread is held up.")                 \
    X(ACCEPTING, "tercet_accepting", GAUGE, "", NONE, "",                                          \
      "1 while new transactions are taken, 0 while they are refused.")                             \
    X(STORE_FAILED, "tercet_store_failed", GAUGE, "", NONE, "",                                    \
      "1 once a commit has failed: nothing more is acknowledged before a restart.")                \
    X(BEGUN, "tercet_transactions_begun", COUNTER, "", NONE, "", "Transactions begun.")            \
    X(DECIDED, "tercet_transactions_decided", COUNTER, "", NONE, "outcome,cause",                  \
      "Transactions decided, by outcome and by what decided.")                                     \
    X(RESOLVED, "tercet_transactions_resolved", COUNTER, "", NONE, "outcome",                      \
      "Transactions of which every branch has ended.")                                             \
    X(OPEN, "tercet_transactions_open", GAUGE, "", NONE, "state",                                  \
      "Unresolved transactions, by state.")                                                        \
    X(OPEN_LIMIT, "tercet_transactions_open_limit", GAUGE, "", NONE, "",                           \
      "Unresolved transactions that may be, before new ones are refused.")                         \
    X(OLDEST, "tercet_transaction_oldest_age_seconds", GAUGE, "seconds", NONE, "",                 \
      "Age of the oldest unresolved transaction; 0: there is none.")                               \
    X(DECISION, "tercet_transaction_decision_duration_seconds", HISTOGRAM, "seconds",              \
      MILLISECONDS, "outcome", "From a transaction's begin to its decision.")                      \
    X(RESOLUTION, "tercet_transaction_resolution_duration_seconds", HISTOGRAM, "seconds",          \
      MILLISECONDS, "outcome", "From a transaction's begin to the end of its last branch.")        \
    X(PARKED, "tercet_branches_parked", GAUGE, "", NONE, "", "Branches that need a person.")       \
    X(PARKINGS, "tercet_branch_parkings", COUNTER, "", NONE, "",                                   \
      "Branches that have been parked.")                                                           \
    X(TURN_EVENTS, "tercet_turn_events", HISTOGRAM, "events", COUNTS, "",                          \
      "Events that waited for the coordinator's thread when it came to them.")                     \
    X(ANSWERS_OWED, "tercet_answers_owed", GAUGE, "", NONE, "",                                    \
      "Requests that have no answer yet.")                                                         \
    X(COMMITS, "tercet_commits", COUNTER, "", NONE, "",                                            \
      "Forced writes of the store, one for a batch.")                                              \
    X(COMMIT_DURATION, "tercet_commit_duration_seconds", HISTOGRAM, "seconds", MICROSECONDS, "",   \
      "How long a forced write takes.")                                                            \
    X(COMMIT_BATCH, "tercet_commit_batch_records", HISTOGRAM, "records", COUNTS, "",               \
      "Records that are written with one commit.")                                                 \
    X(SERVICE_CALLS, "tercet_service_calls", COUNTER, "", NONE, "service,kind",                    \
      "Calls of hooks that were sent.")                                                            \
    X(SERVICE_RESULTS, "tercet_service_results", COUNTER, "", NONE, "service,kind,outcome",        \
      "What has become of calls whose outcome still counts; lost: no answer came in time.")        \
    X(SERVICE_DURATION, "tercet_service_call_duration_seconds", HISTOGRAM, "seconds",              \
      MILLISECONDS, "service", "How long an answered call has taken.")                             \
    X(SERVICE_RUNNING, "tercet_service_calls_running", GAUGE, "", NONE, "service",                 \
      "Calls under way.")                                                                          \
    X(SERVICE_WAITING, "tercet_service_calls_waiting", GAUGE, "", NONE, "service",                 \
      "Calls that wait for somebody to take them.")                                                \
    X(SERVICE_OLDEST, "tercet_service_oldest_call_age_seconds", GAUGE, "seconds", NONE, "service", \
      "Age of the oldest call under way or waiting; 0: there is none.")                            \
    X(SERVICE_INSTANCES, "tercet_service_instances", GAUGE, "", NONE, "service",                   \
      "Instances that are attached, and registered targets.")                                      \
    X(SERVICE_BREAKER, "tercet_service_breaker_open", GAUGE, "", NONE, "service",                  \
      "Breakers that are open, of its instances and of each target: one probe goes out at a "      \
      "time.")                                                                                     \
    X(SERVICE_PAUSED, "tercet_service_paused", GAUGE, "", NONE, "service",                         \
      "1 while an operator has paused it.")                                                        \
    X(STORE_USED, "tercet_store_used_bytes", GAUGE, "bytes", NONE, "",                             \
      "What of the store is in use.")                                                              \
    X(STORE_LIMIT, "tercet_store_limit_bytes", GAUGE, "bytes", NONE, "",                           \
      "The most that the store may hold; new work is refused from 80 % on.")                       \
    X(STORE_ROOM, "tercet_store_room_bytes", GAUGE, "bytes", NONE, "",                             \
      "What new work may still take, of the store or of the disk, whichever is less.")             \
    X(STORE_FILE, "tercet_store_file_bytes", GAUGE, "bytes", NONE, "",                             \
      "The store's file; it grows, and never shrinks.")                                            \
    X(STORE_HELD, "tercet_store_held_bytes", GAUGE, "bytes", NONE, "",                             \
      "Freed, and kept from being used again by another process that reads the store.")            \
    X(STORE_READERS, "tercet_store_readers", GAUGE, "", NONE, "",                                  \
      "Places for readers of the store that have been taken, this process's included.")            \
    X(STORE_RECORDS, "tercet_store_resolved_records", GAUGE, "records", NONE, "",                  \
      "Resolved transactions that are kept.")                                                      \
    X(DISK_FREE, "tercet_disk_free_bytes", GAUGE, "bytes", NONE, "", "Free on the store's disk.")  \
    X(MEMORY_USED, "tercet_memory_used_bytes", GAUGE, "bytes", NONE, "budget",                     \
      "What waits in memory, by what it is.")                                                      \
    X(MEMORY_LIMIT, "tercet_memory_limit_bytes", GAUGE, "bytes", NONE, "budget",                   \
      "How much of it may wait.")                                                                  \
    X(CONNECTIONS, "tercet_connections", GAUGE, "", NONE, "",                                      \
      "Connections of clients and participants.")                                                  \
    X(CONNECTIONS_REFUSED, "tercet_connections_refused", COUNTER, "", NONE, "reason",              \
      "Connections that were closed as they came, by the limit that they were over.")              \
    X(CONNECTIONS_CUT, "tercet_connections_cut", COUNTER, "", NONE, "reason",                      \
      "Connections that were cut, by what they had done.")                                         \
    X(TRACE_SPANS, "tercet_trace_spans", COUNTER, "", NONE, "result",                              \
      "Spans: exported, dropped for want of room, failed since the collector took none.")          \
    X(TRACE_WAITING, "tercet_trace_spans_waiting_bytes", GAUGE, "bytes", NONE, "",                 \
      "What spans take that wait for the collector.")                                              \
    X(CLIENT_CONNECTED, "tercet_client_connected", GAUGE, "", NONE, "",                            \
      "1 while the client has a session with its coordinator.")                                    \
    X(CLIENT_OPEN, "tercet_client_requests_open", GAUGE, "", NONE, "",                             \
      "Requests that have no answer yet.")                                                         \
    X(CLIENT_BYTES, "tercet_client_requests_open_bytes", GAUGE, "bytes", NONE, "",                 \
      "What these take.")                                                                          \
    X(CLIENT_REQUESTS, "tercet_client_requests", COUNTER, "", NONE, "code",                        \
      "Requests that have ended, by their result code.")                                           \
    X(CLIENT_DURATION, "tercet_client_request_duration_seconds", HISTOGRAM, "seconds",             \
      MILLISECONDS, "", "From a request to its end, whichever that was.")                          \
    X(PARTICIPANT_CONNECTED, "tercet_participant_connected", GAUGE, "", NONE, "service",           \
      "1 while the coordinator has taken this instance.")                                          \
    X(PARTICIPANT_WAITING, "tercet_participant_calls_waiting", GAUGE, "", NONE, "service",         \
      "Calls that wait for a worker.")                                                             \
    X(PARTICIPANT_RUNNING, "tercet_participant_calls_running", GAUGE, "", NONE, "service",         \
      "Calls that workers have, and hooks that are to be finished.")                               \
    X(PARTICIPANT_CALLS, "tercet_participant_calls", COUNTER, "", NONE, "service,kind,outcome",    \
      "Calls that were answered.")                                                                 \
    X(PARTICIPANT_DURATION, "tercet_participant_call_duration_seconds", HISTOGRAM, "seconds",      \
      MILLISECONDS, "service", "From a call's arrival to its answer.")                             \
    X(HTTP_CONNECTIONS, "tercet_http_connections", COUNTER, "", NONE, "result",                    \
      "Connections to the HTTP port: accepted, refused for want of room, cut for being slow.")     \
    X(LOG_DROPPED, "tercet_log_lines_dropped", COUNTER, "", NONE, "reason",                        \
      "Lines of the log that were not written: its reader does not keep up, or they were too "     \
      "many a second.")                                                                            \
    X(PROCESS_CPU, "process_cpu_seconds", COUNTER, "seconds", NONE, "",                            \
      "Processor time, of user and system.")                                                       \
    X(PROCESS_START, "process_start_time_seconds", GAUGE, "seconds", NONE, "",                     \
      "When the process was started, since 1970.")                                                 \
    X(PROCESS_RESIDENT, "process_resident_memory_bytes", GAUGE, "bytes", NONE, "",                 \
      "Memory that is resident, pages of the store's file included.")                              \
    X(PROCESS_FDS, "process_open_fds", GAUGE, "fds", NONE, "", "File descriptors that are open.")  \
    X(PROCESS_FDS_MAX, "process_max_fds", GAUGE, "fds", NONE, "", "File descriptors that may be.")

/* id, first bounds; the last bucket takes what is above. In whole numbers, `per_unit` of which are
 * one. Tries are given up after 10 s unless told otherwise: what ends so takes a little longer, and
 * the bounds of 15 and 30 s keep it from being read as a minute. */
#define METRIC_SCALES(X)                                                                           \
    X(NONE, 1, 0)                                                                                  \
    X(COUNTS, 1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)                    \
    X(MICROSECONDS, 1000000, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, \
      500000, 1000000, 5000000)                                                                    \
    X(MILLISECONDS, 1000, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 15000,      \
      30000, 60000, 600000)

#define X(id, name, type, unit, scale, labels, help) METRIC_##id,
enum metric { METRICS(X) METRIC_COUNT };
#undef X

#define METRIC_BUCKETS_MAX 18

/* What was observed; one thread's. */
struct histogram {
    uint64_t counts[METRIC_BUCKETS_MAX];
    uint64_t sum;
};

/* Counts a value of the metric's scale; below 0 is 0. */
void histogram_add(struct histogram *histogram, enum metric metric, int64_t value);

/* The same for several threads: nothing is locked, and what is read may lack what comes meanwhile.
 */
struct shared_histogram {
    atomic_ullong counts[METRIC_BUCKETS_MAX];
    atomic_ullong sum;
};
void shared_histogram_add(struct shared_histogram *histogram, enum metric metric, int64_t value);
void shared_histogram_read(struct histogram *out, struct shared_histogram *histogram);

/* Figures as they were at one moment. Zeroed: none. */
struct samples {
    struct sample *items;
    size_t count, capacity;
    bool is_short; /* memory was, and some are missing */
};

/* Adds one. Values of labels, as many as the metric has (others NULL), live as long as the
 * samples; the histogram is copied. */
void samples_add(struct samples *samples, enum metric metric, double value, const char *first,
                 const char *second, const char *third);
void samples_add_histogram(struct samples *samples, enum metric metric,
                           const struct histogram *histogram, const char *first);
/* Each of them, those of one name together. */
void samples_visit(const struct samples *samples, tercet_metric_fn each, void *ctx);
void samples_clear(struct samples *samples);

#endif
