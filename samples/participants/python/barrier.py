# SPDX-License-Identifier: Apache-2.0
"""The barrier of docs/protocol.md, sections 3 and 4, in SQLite. It knows nothing of gRPC, nor of what hooks do."""
import re
import sqlite3
import time

TRY, CONFIRM, CANCEL = 1, 2, 3  # enum Kind
DONE, REFUSAL, AGAIN, BROKEN = 1, 2, 3, 4  # enum Outcome
TRIED, CONFIRMED, CANCELLED = "tried", "confirmed", "cancelled"

GID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
BRANCHES_MAX = 1024
DELETED_MAX = 256  # rows, with one batch
AHEAD_MAX_S = 24 * 3600  # of the clock, for marks

TABLES = """
CREATE TABLE IF NOT EXISTS barrier (
  gid TEXT NOT NULL, branch INTEGER NOT NULL, state TEXT NOT NULL, number INTEGER NOT NULL, reply BLOB NOT NULL DEFAULT x'',
  PRIMARY KEY (gid, branch)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS barrier_number ON barrier (number) WHERE number > 0 AND state <> 'tried';
CREATE TABLE IF NOT EXISTS barrier_fact (
  one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL, source TEXT NOT NULL, mark INTEGER NOT NULL);
INSERT OR IGNORE INTO barrier_fact VALUES (1, lower(hex(randomblob(16))), '', 0);
"""


class Refused(Exception):
    """Raised by a try's hook: this cannot be done, and nothing is."""


class Barrier:
    """A hook is a function hook(db, call) that works on the open transaction and returns a try's reply (bytes) or None."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.executescript(TABLES)
        self.identity = self.db.execute("SELECT identity FROM barrier_fact").fetchone()[0]

    def run(self, jobs):
        """Runs (call, hook) pairs in one local transaction. Returns (outcome, reply, reason) for each, after the commit."""
        try:
            self.db.execute("BEGIN IMMEDIATE")
            answers = [self._run_one(call, hook) for call, hook in jobs]
            self._delete_ended()
            self.db.execute("COMMIT")
            return answers
        except sqlite3.Error as error:  # whether it was committed is not known: 2.2
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            return [(AGAIN, b"", f"the database: {error}")] * len(jobs)

    # -- One call ------------------------------------------------------------------------------------------------------------

    def _run_one(self, call, hook):
        if not GID.fullmatch(call.gid) or not 1 <= call.branch <= BRANCHES_MAX or call.kind not in (TRY, CONFIRM, CANCEL):
            return AGAIN, b"", "this is no call: gid, branch or kind is out of its limits"
        number, mark = self._take_mark(call)
        has_ended = 0 < number <= mark
        self.db.execute("SAVEPOINT one")
        try:
            if call.kind == TRY:
                answer = self._try(call, hook, number, has_ended)
            else:
                answer = self._end(call, hook, number, has_ended)
        except Refused as refusal:
            answer = (REFUSAL if call.kind == TRY else AGAIN), b"", str(refusal)
            self.db.execute("ROLLBACK TO one")
        except Exception as error:  # a hook that fails: nothing is known of why, so never a refusal
            answer = AGAIN, b"", f"{type(error).__name__}: {error}"
            self.db.execute("ROLLBACK TO one")
        self.db.execute("RELEASE one")
        return answer

    def _try(self, call, hook, number, has_ended):
        if has_ended:
            return REFUSAL, b"", "this transaction has ended"
        if self._insert(call, TRIED, number):
            reply = hook(self.db, call) or b""
            self.db.execute("UPDATE barrier SET reply = ? WHERE gid = ? AND branch = ?", (reply, call.gid, call.branch))
            return DONE, reply, ""
        state, reply = self._row(call)
        return (REFUSAL, b"", "cancelled already") if state == CANCELLED else (DONE, reply, "")

    def _end(self, call, hook, number, has_ended):
        wanted = CONFIRMED if call.kind == CONFIRM else CANCELLED
        if self._move(call, wanted):
            hook(self.db, call)
            return DONE, b"", ""
        if call.kind == CANCEL and not has_ended:
            self._insert(call, CANCELLED, number)  # an empty cancel, unless there is a row
        state = self._row(call)[0]
        if state == wanted or (state is None and has_ended):
            return DONE, b"", ""
        return BROKEN, b"", f"broken promise: the branch is {state or 'not known'} here"

    # -- Rows: write first, then look ------------------------------------------------------------------------------------------

    def _insert(self, call, state, number):
        return self.db.execute("INSERT OR IGNORE INTO barrier (gid, branch, state, number) VALUES (?, ?, ?, ?)",
                               (call.gid, call.branch, state, number)).rowcount == 1

    def _move(self, call, state):
        return self.db.execute("UPDATE barrier SET state = ? WHERE gid = ? AND branch = ? AND state = 'tried'",
                               (state, call.gid, call.branch)).rowcount == 1

    def _row(self, call):
        row = self.db.execute("SELECT state, reply FROM barrier WHERE gid = ? AND branch = ?", (call.gid, call.branch)).fetchone()
        return row or (None, b"")

    # -- Marks (section 4) -----------------------------------------------------------------------------------------------------

    def _take_mark(self, call):
        """The call's number and the mark, as far as they mean anything here."""
        source, mark = self.db.execute("SELECT source, mark FROM barrier_fact").fetchone()
        number, low_water, own = call.number, call.low_water, f"{call.source:016x}"
        if low_water >> 20 > time.time() + AHEAD_MAX_S:
            low_water = 0
        if source == "" and call.source != 0:
            self.db.execute("UPDATE barrier_fact SET source = ?", (own,))
        elif call.source != 0 and own != source:
            return 0, mark
        if low_water > mark:
            self.db.execute("UPDATE barrier_fact SET mark = ?", (low_water,))
        return number, max(mark, low_water)

    def _delete_ended(self):
        self.db.execute(f"""DELETE FROM barrier WHERE (gid, branch) IN (SELECT gid, branch FROM barrier WHERE state <> 'tried'
            AND number > 0 AND number <= (SELECT mark FROM barrier_fact) LIMIT {DELETED_MAX})""")
