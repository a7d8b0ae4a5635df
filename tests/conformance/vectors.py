#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""vectors.py FILE FOLDER: drives the sample's barrier in Python by the test vectors of docs/protocol.md."""
import json
import pathlib
import sys

import barrier
import tercet_pb2 as pb

NAMES = {"TRY": barrier.TRY, "CONFIRM": barrier.CONFIRM, "CANCEL": barrier.CANCEL}
OUTCOMES = {barrier.DONE: "DONE", barrier.REFUSAL: "REFUSAL", barrier.AGAIN: "AGAIN", barrier.BROKEN: "BROKEN"}


class Hook:
    def __init__(self, step):
        self.step, self.runs = step, False

    def __call__(self, db, call):
        self.runs = True
        db.execute("INSERT INTO ledger VALUES (1)")
        answer = self.step.get("hook", "DONE")
        if answer == "REFUSAL":
            raise barrier.Refused("as asked")
        if answer == "AGAIN":
            raise OSError("as asked")
        return self.step.get("reply", "").encode()


def play(vector, path):
    known, effects = barrier.Barrier(path), 0
    known.db.execute("CREATE TABLE ledger (line INTEGER)")
    for number, step in enumerate(vector["steps"], 1):
        if step.get("reopen"):
            known.db.close()
            known = barrier.Barrier(path)
            continue
        hook = Hook(step)
        fields = {name: step.get(name, 0) for name in ("number", "low_water", "source")}
        call = pb.Call(kind=NAMES[step["call"]], gid=step.get("gid", "g"), branch=step.get("branch", 1), **fields)
        outcome, reply, _ = known.run([(call, hook)])[0]
        came = OUTCOMES[outcome], hook.runs, reply.decode()
        wanted = step["outcome"], step.get("runs", False), step.get("replies", "")
        effects += hook.runs and step.get("hook", "DONE") == "DONE"
        if came != wanted or known.db.execute("SELECT count(*) FROM ledger").fetchone()[0] != effects:
            sys.exit(f"{vector['name']}, step {number}: wanted {wanted}, came {came}; see docs/protocol.md, {vector['section']}")
    known.db.close()


def main(file, folder):
    lines = pathlib.Path(file).read_text().splitlines()
    for i, line in enumerate(lines):
        play(json.loads(line), f"{folder}/{i}.db")
    print(f"ok {len(lines)} vectors")


main(*sys.argv[1:])
