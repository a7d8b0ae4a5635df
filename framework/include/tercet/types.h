/* SPDX-License-Identifier: Apache-2.0
 *
 * What every Tercet header shares: result codes, ids, states, limits. <tercet/tercet.h> includes
 * all.
 *
 * Conventions, stated once:
 *  - int results are 0 or a negative TERCET_ code. Output parameters come first and are untouched
 *    on failure.
 *  - Arguments are copied. What is returned through ** belongs to the caller. What a callback is
 *    given is valid until the callback returns.
 *  - Options structs begin with their own size (sizeof); a field of zero means its default; new
 *    fields are only appended. NULL: all defaults.
 *  - Times are int64_t milliseconds: points in time since 1970-01-01 UTC, timeouts from now.
 *  - Handles may be used from any thread unless said otherwise. free and close accept NULL.
 *  - gRPC runs inside: fork before the first open, or fork and exec.
 */
#ifndef TERCET_TYPES_H
#define TERCET_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For functions whose result must not be ignored. */
#if defined(__GNUC__)
#define TERCET_MUST_USE __attribute__((warn_unused_result))
#else
#define TERCET_MUST_USE
#endif

/* One list: name, value, text. Refused and unknown are never the same code. */
#define TERCET_ERROR_MAP(X)                                                                        \
    X(TERCET_INVALID, -1, "an argument is invalid")                                                \
    X(TERCET_NOMEM, -2, "out of memory")                                                           \
    X(TERCET_REFUSED, -3, "a participant refused its try")                                         \
    X(TERCET_UNKNOWN, -4, "the outcome is not known yet: ask again under the same gid")            \
    X(TERCET_NOT_FOUND, -5, "no transaction with this gid is known")                               \
    X(TERCET_EXISTS, -6, "this gid or branch number exists with other content")                    \
    X(TERCET_DECIDED, -7,                                                                          \
      "the transaction has been decided already, the other way or before this call")               \
    X(TERCET_NOT_READY, -8, "a try is not known to be done")                                       \
    X(TERCET_EXHAUSTED, -9, "a limit is reached")                                                  \
    X(TERCET_UNAVAILABLE, -10, "the coordinator cannot be reached or does not take this now")      \
    X(TERCET_DENIED, -11, "the credentials do not allow this")                                     \
    X(TERCET_BROKEN, -12,                                                                          \
      "broken promise: confirm without try, or confirm after cancel, or the reverse")              \
    X(TERCET_AGAIN, -13, "not done this time: ask again")                                          \
    X(TERCET_STORE, -14, "the database failed")                                                    \
    X(TERCET_LOCKED, -15, "another process holds this database")                                   \
    X(TERCET_FORMAT, -16, "the database is of a newer format than this program, or damaged")       \
    X(TERCET_ADDRESS, -17, "the address is malformed, in use or not permitted")                    \
    X(TERCET_TLS, -18, "the certificates or keys cannot be used")                                  \
    X(TERCET_CLOSED, -19, "the handle is being closed")                                            \
    X(TERCET_INTERNAL, -20, "an internal failure: please report it")

enum tercet_error {
#define TERCET_ERROR_ENUM(name, value, text) name = value,
    TERCET_ERROR_MAP(TERCET_ERROR_ENUM)
#undef TERCET_ERROR_ENUM
};

/* The constant text of a result code ("done" for 0); never NULL. */
const char *tercet_strerror(int error);
/* The constant name of a result code, such as "TERCET_REFUSED"; "TERCET_OK" for 0; never NULL. */
const char *tercet_error_name(int error);

/* -- Limits: past one a call is TERCET_INVALID or TERCET_EXHAUSTED, and its text says which -- */
#define TERCET_GID_MAX 64     /* characters of a gid */
#define TERCET_ACTION_MAX 128 /* characters of "service/name" */
#define TERCET_SERVICE_MAX 63 /* characters of a service's name */
/* branches per transaction; also the largest branch number */
#define TERCET_BRANCHES_MAX 1024
#define TERCET_PAYLOAD_MAX (64 * 1024)   /* bytes of a branch's request */
#define TERCET_REPLY_MAX (16 * 1024)     /* bytes of a try's reply */
#define TERCET_REPLIES_MAX (1024 * 1024) /* bytes of all replies of a transaction */
/* bytes of a reason or an error text; longer ones are cut */
#define TERCET_TEXT_MAX 256
/* metadata entries passed from initiator to participants */
#define TERCET_METADATA_MAX 16
#define TERCET_METADATA_BYTES_MAX 4096                  /* bytes of keys and values together */
#define TERCET_TIMEOUT_MS_MAX (30LL * 24 * 3600 * 1000) /* longest deadline: 30 days */
#define TERCET_DEADLINE_MS_DEFAULT 60000 /* a transaction's deadline when none is given */
#define TERCET_MESSAGE_MAX (1024 * 1024) /* bytes of one gRPC message */

/* A view of bytes owned by somebody else. */
struct tercet_bytes {
    const void *data;
    size_t size;
};

/* A transaction's id: 1 to TERCET_GID_MAX characters of [A-Za-z0-9._:-], NUL-terminated. */
struct tercet_gid {
    char text[TERCET_GID_MAX + 1];
};

/* Makes a gid: 26 characters, unique, ordered by time (Crockford base32, as in the ULID
 * specification: 48 bits of milliseconds, 80 of randomness that count up within a millisecond). */
void tercet_gid_make(struct tercet_gid *out);

/* Copies `text` when it is a valid gid: TERCET_INVALID otherwise. */
int tercet_gid_set(struct tercet_gid *out, const char *text);

/* The number of one participant's part in a transaction: 1 to TERCET_BRANCHES_MAX. A struct, so
 * that the compiler refuses any other number in its place. */
struct tercet_branch_id {
    uint32_t number;
};

/* The three calls of a participant. The values are those of the wire. */
enum tercet_kind {
    TERCET_TRY = 1,
    TERCET_CONFIRM = 2,
    TERCET_CANCEL = 3,
};
const char *tercet_kind_name(int kind);

/* The states of a transaction. The values are those of the wire. */
#define TERCET_STATE_MAP(X)                                                                        \
    X(TERCET_TRYING, 1, "TRYING")                                                                  \
    X(TERCET_CONFIRMING, 2, "CONFIRMING")                                                          \
    X(TERCET_CANCELLING, 3, "CANCELLING")                                                          \
    X(TERCET_CONFIRMED, 4, "CONFIRMED")                                                            \
    X(TERCET_CANCELLED, 5, "CANCELLED")
enum tercet_state {
#define TERCET_STATE_ENUM(name, value, text) name = value,
    TERCET_STATE_MAP(TERCET_STATE_ENUM)
#undef TERCET_STATE_ENUM
};
const char *tercet_state_name(int state);

/* Why a transaction was decided as it was. The values are those of the wire. */
#define TERCET_CAUSE_MAP(X)                                                                        \
    X(TERCET_CAUSE_NONE, 0, "undecided")                                                           \
    X(TERCET_CAUSE_INITIATOR, 1, "asked by the initiator")                                         \
    X(TERCET_CAUSE_ALL_TRIED, 2, "all tries done")                                                 \
    X(TERCET_CAUSE_REFUSED, 3, "a participant refused")                                            \
    X(TERCET_CAUSE_TRY_UNKNOWN, 4, "a try was not done in time")                                   \
    X(TERCET_CAUSE_DEADLINE, 5, "the deadline passed")                                             \
    X(TERCET_CAUSE_OPERATOR, 6, "asked by an operator")
enum tercet_cause {
#define TERCET_CAUSE_ENUM(name, value, text) name = value,
    TERCET_CAUSE_MAP(TERCET_CAUSE_ENUM)
#undef TERCET_CAUSE_ENUM
};
const char *tercet_cause_text(int cause);

/* Metadata that travels with a transaction to its participants, such as `traceparent`. Keys: lower
 * case [0-9a-z_.-]. */
struct tercet_metadata {
    const char *key;
    const char *value; /* printable ASCII */
};

/* Gets one line of the library's log: the library itself prints nothing. Called on any thread. */
enum tercet_log_level {
    TERCET_LOG_ERROR = 0,
    TERCET_LOG_WARNING = 1,
    TERCET_LOG_INFO = 2,
    TERCET_LOG_DEBUG = 3
};
typedef void (*tercet_log_fn)(enum tercet_log_level level, const char *text, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
