#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sample's participant in Python, wrong on purpose in one way: what people write, and what only shows on the wire.

  wrong.py FAULT COORDINATOR FILE"""
import functools
import os
import pathlib
import re
import signal
import sys

import barrier
import participant
import tercet_pb2 as pb

RIGHT = {"serve": participant.serve, "attach": participant.attach, "init": barrier.Barrier.__init__, "run": barrier.Barrier.run,
         "take_mark": barrier.Barrier._take_mark, "try": barrier.Barrier._try, "end": barrier.Barrier._end}


def naive(self, jobs):
    """No barrier at all: each call runs its hook, a cancel undoes."""
    answers = []
    for call, hook in jobs:
        try:
            answers.append((barrier.DONE, hook(self.db, call) or b"", ""))
        except barrier.Refused as refusal:
            answers.append((barrier.REFUSAL if call.kind == barrier.TRY else barrier.AGAIN, b"", str(refusal)))
    return answers


def all_done(known, calls):
    """What is not known is answered with DONE."""
    results = RIGHT["serve"](known, calls)
    for call, result in zip(calls, results):
        if participant.hook_of(call) is None:
            result.outcome = barrier.DONE
    return results


def twice(known, calls):
    return 2 * RIGHT["serve"](known, calls)


def with_reply(known, calls):
    results = RIGHT["serve"](known, calls)
    for result in results:
        result.reply = b"something"
    return results


def once(known, channel):
    try:
        RIGHT["attach"](known, channel)
    finally:
        sys.exit("not again")


def forgetful(self, path):
    RIGHT["init"](self, path)
    self.db.execute("DELETE FROM barrier")


def refusing(self, jobs):
    """An error is taken for a refusal; here, whatever came second in a message meets with one."""
    answers = naive(self, jobs[:1])
    return answers + [(barrier.REFUSAL, b"", "the database is locked")] * (len(jobs) - 1)


def read_first(self, jobs):
    """Looks whether there are rows before it writes any, as two threads would at once."""
    answers, rows = [], [self._row(call)[0] for call, _ in jobs]
    for (call, hook), state in zip(jobs, rows):
        if call.kind == barrier.TRY and state is None:
            answers.append((barrier.DONE, hook(self.db, call) and b"", ""))
            self._insert(call, barrier.TRIED, call.number)
        else:
            answers += RIGHT["run"](self, [(call, hook)])
    return answers


def apart(self, jobs):
    """Commits effects before their rows, and is killed between the two: once, in a large batch."""
    mark = pathlib.Path(sys.argv[3] + ".killed")
    if len(jobs) < 16 or mark.exists():
        return RIGHT["run"](self, jobs)
    mark.touch()
    naive(self, jobs[:5])
    os.kill(os.getpid(), signal.SIGKILL)


def half(self, jobs):
    """Who has not long to wait gets the work without its row."""
    if all(call.timeout_ms > 10 for call, _ in jobs):
        return RIGHT["run"](self, jobs)
    naive(self, jobs)
    return [(barrier.AGAIN, b"", "too late")] * len(jobs)


def readable_only(known, calls):
    """A payload that is no text ends the process."""
    for call in calls:
        call.payload.decode()
    return RIGHT["serve"](known, calls)


def zero_is_old(self, call):
    number, mark = RIGHT["take_mark"](self, call)
    return max(number, 1), mark


def mark_later(self, call):
    """A mark holds from the next call on."""
    before = self.db.execute("SELECT mark FROM barrier_fact").fetchone()[0]
    return RIGHT["take_mark"](self, call)[0], before


def failing(kind):
    """A hook that can never do its work."""
    def run(self, jobs):
        def fail(db, call):
            raise OSError("never")
        return RIGHT["run"](self, [(call, fail if call.kind == kind else hook) for call, hook in jobs])
    return run


def try_confirmed(self, call, hook, number, has_ended):
    """A try of what was confirmed works once more, and has the old reply."""
    state, reply = self._row(call)
    if state == barrier.CONFIRMED:
        hook(self.db, call)
        return barrier.DONE, reply, ""
    return RIGHT["try"](self, call, hook, number, has_ended)


REFUSED = set()


def remember_refusal(self, call, hook, number, has_ended):
    try:
        return RIGHT["try"](self, call, hook, number, has_ended)
    except barrier.Refused:
        REFUSED.add((call.gid, call.branch))
        raise


def confirm_refused(self, call, hook, number, has_ended):
    """A confirm of what was refused has nothing to do, and is done."""
    if call.kind == barrier.CONFIRM and (call.gid, call.branch) in REFUSED:
        return barrier.DONE, b"", ""
    return RIGHT["end"](self, call, hook, number, has_ended)


def refused_confirmed():
    barrier.Barrier._try = remember_refusal
    barrier.Barrier._end = confirm_refused


HELD = []


def overtaking(known, calls):
    """Tries are put off, and their cancels, which find nothing, are done before."""
    if len(calls) > 1 and all(call.kind == barrier.TRY for call in calls) and not HELD:
        HELD.extend(calls)
        return []
    held = {(call.gid, call.branch) for call in HELD}
    early = [call for call in calls if call.kind == barrier.CANCEL and (call.gid, call.branch) in held]
    if early:
        RIGHT["serve"](known, HELD)
        HELD.clear()
    return [pb.CallResult(id=call.id, outcome=barrier.DONE) for call in early] + \
        RIGHT["serve"](known, [call for call in calls if call not in early])


def unwilling(is_feared):
    """What looks strange is not served."""
    def serve(known, calls):
        odd = [call for call in calls if is_feared(call)]
        return [pb.CallResult(id=call.id, outcome=barrier.AGAIN, reason="strange") for call in odd] + \
            RIGHT["serve"](known, [call for call in calls if call not in odd])
    return serve


def has_unknown(call):
    known = pb.Call.FromString(call.SerializeToString())
    known.DiscardUnknownFields()
    return known.ByteSize() != call.ByteSize()


def narrow():
    """This one is right: it asks for few calls at once, and bears no more."""
    participant.pb.Hello = functools.partial(pb.Hello, window=3)
    participant.serve = lambda known, calls: RIGHT["serve"](known, calls) if len(calls) <= 3 else sys.exit("too many")


FAULTS = {
    "narrow": narrow,
    "naive": lambda: setattr(barrier.Barrier, "run", naive),
    "confirms-fail": lambda: setattr(barrier.Barrier, "run", failing(barrier.CONFIRM)),
    "cancels-fail": lambda: setattr(barrier.Barrier, "run", failing(barrier.CANCEL)),
    "confirmed-tried-again": lambda: setattr(barrier.Barrier, "_try", try_confirmed),
    "refused-confirmed": refused_confirmed,
    "cancel-overtakes": lambda: setattr(participant, "serve", overtaking),
    "metadata-feared": lambda: setattr(participant, "serve", unwilling(lambda call: len(call.metadata) > 8)),
    "strict-fields": lambda: setattr(participant, "serve", unwilling(has_unknown)),
    "read-first": lambda: setattr(barrier.Barrier, "run", read_first),
    "effects-apart": lambda: setattr(barrier.Barrier, "run", apart),
    "half-when-late": lambda: setattr(barrier.Barrier, "run", half),
    "text-only": lambda: setattr(participant, "serve", readable_only),
    "zero-is-old": lambda: setattr(barrier.Barrier, "_take_mark", zero_is_old),
    "mark-later": lambda: setattr(barrier.Barrier, "_take_mark", mark_later),
    "name-with-space": lambda: setattr(participant, "SERVICE", "my stock"),
    "unknown-done": lambda: setattr(participant, "serve", all_done),
    "results-twice": lambda: setattr(participant, "serve", twice),
    "reply-always": lambda: setattr(participant, "serve", with_reply),
    "attaches-once": lambda: setattr(participant, "attach", once),
    "rows-forgotten": lambda: setattr(barrier.Barrier, "__init__", forgetful),
    "errors-refused": lambda: setattr(barrier.Barrier, "run", refusing),
    "far-mark-taken": lambda: setattr(barrier, "AHEAD_MAX_S", 1 << 50),
    "any-gid": lambda: setattr(barrier, "GID", re.compile(".*", re.DOTALL)),
    "any-branch": lambda: setattr(barrier, "BRANCHES_MAX", 1 << 40),
    "reason-long": lambda: setattr(participant, "serve", lambda known, calls: [
        pb.CallResult(id=result.id, outcome=result.outcome, reply=result.reply, reason=4 * result.reason.ljust(99))
        for result in RIGHT["serve"](known, calls)]),
}

if __name__ == "__main__":
    FAULTS[sys.argv[1]]()
    participant.main(*sys.argv[2:])
