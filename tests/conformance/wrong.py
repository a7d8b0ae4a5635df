#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sample's participant in Python, wrong on purpose in one way: what people write, and what only shows on the wire.

  wrong.py FAULT COORDINATOR FILE"""
import functools
import re
import sys

import barrier
import participant
import tercet_pb2 as pb

RIGHT = {"serve": participant.serve, "attach": participant.attach, "init": barrier.Barrier.__init__}


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


def narrow():
    """This one is right: it asks for few calls at once, and bears no more."""
    participant.pb.Hello = functools.partial(pb.Hello, window=3)
    participant.serve = lambda known, calls: RIGHT["serve"](known, calls) if len(calls) <= 3 else sys.exit("too many")


FAULTS = {
    "narrow": narrow,
    "naive": lambda: setattr(barrier.Barrier, "run", naive),
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
