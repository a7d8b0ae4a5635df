#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Damages the file of a store in drawn places, pages' heads above all, and asks a tercetd that serves it: whatever is damaged, the answer
about a known transaction is the right one or a refusal, never "unknown" or another's, and a check ends no tercetd.

  damage.py --tercetd PATH --tercetctl PATH --bench PATH [--draws N] [--seed N]"""
import argparse
import collections
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile

PAGE = 4096
EXIT_STORE_FAILED = 70
NOT_KNOWN = "NOT_FOUND"
ASKED = 6  # transactions, after each damage


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("tercetd", "tercetctl", "bench"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Daemon:
    def __init__(self, tercetd, data):
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([tercetd, "--data", str(data), "--listen", "127.0.0.1:0", "--store-size", "64M"],
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        ready = self.process.stdout.readline().split()
        self.address = ready[1] if ready else None

    def status(self):
        return self.process.poll()

    def said(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self, how=signal.SIGKILL):
        if self.status() is None:
            self.process.send_signal(how)
        self.process.wait(30)
        self.process.stdout.close()
        return self.said()


def ctl(args, daemon, *words):
    done = subprocess.run([args.tercetctl, "--coordinator", daemon.address, "--timeout", "10s", "-o", "json", *words],
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def fill(args, data):
    """A store with some hundred transactions that are over. What is to be known of each, by gid."""
    daemon = Daemon(args.tercetd, data)
    subprocess.run([args.bench, "--coordinator", daemon.address, "--rate", "300", "--duration", "2", "--warmup", "0", "--limits", "0"],
                   check=True, stdout=subprocess.DEVNULL)
    _, out, _ = ctl(args, daemon, "ls", "--resolved", "--limit", "0")
    known = {each["gid"]: essence(each) for each in json.loads(out)["transactions"]}
    daemon.stop(signal.SIGTERM)
    return known


def essence(shown):
    return shown["state"], shown["number"], [(branch["action"], branch["end_state"]) for branch in shown["branches"]]


def damage(data, draw):
    """Returns what was done, in words."""
    bytes_ = bytearray(data)
    page = draw.randrange(2, len(bytes_) // PAGE) * PAGE  # the two before are LMDB's own, and tell of themselves
    kind = draw.randrange(5)
    if kind == 0:
        bytes_[page:page + PAGE] = bytes(PAGE)
        return bytes_, f"page {page // PAGE} is all zeros"
    if kind == 1:
        other = draw.randrange(2, len(bytes_) // PAGE) * PAGE
        bytes_[page:page + PAGE] = data[other:other + PAGE]
        return bytes_, f"page {other // PAGE} stands in place of {page // PAGE}"
    at = page + (draw.randrange(64) if kind < 4 else draw.randrange(PAGE))
    value = draw.choice([0, 0xFF, bytes_[at] ^ 1 << draw.randrange(8)])
    bytes_[at] = value
    return bytes_, f"byte {at % PAGE} of page {page // PAGE} is {value}"


def end_of(daemon, faults):
    """In a word, once it has ended. It says so, and has the documented status."""
    daemon.process.wait(30)
    said = daemon.said()
    if daemon.status() != EXIT_STORE_FAILED or "damaged" not in said:
        faults.append(f"it ended with {daemon.status()}: {said[-300:]}")
    return "ended"


def try_check(args, daemon, faults):
    status, out, _ = ctl(args, daemon, "check")
    if daemon.status() is None and status not in (0, 1):
        faults.append(f"check: status {status}")
    return json.loads(out)["damages"] if out else []


def try_one(args, daemon, gid, right, faults):
    """"right", "refused" or "ended"."""
    status, out, err = ctl(args, daemon, "show", gid)
    if status == 0:
        if essence(json.loads(out)) != right:
            faults.append(f"{gid}: a wrong answer: {out}")
        return "right"
    if NOT_KNOWN in err:
        faults.append(f"{gid}: {err}")
    if status != 0 and daemon.status() is None:
        try:
            daemon.process.wait(0.2)  # its end may come after the connection's
        except subprocess.TimeoutExpired:
            return "refused"
    return end_of(daemon, faults) if daemon.status() is not None else "refused"


def try_damage(args, daemon, known, draw, faults):
    """What came of it, in a word."""
    if daemon.address is None:
        daemon.process.wait(30)
        if daemon.status() not in (1, EXIT_STORE_FAILED):
            faults.append(f"it did not start, with {daemon.status()}: {daemon.said()[-300:]}")
        return "not started"
    ctl(args, daemon, "stats")
    if daemon.status() is not None:
        return end_of(daemon, faults)
    found = try_check(args, daemon, faults)
    if daemon.status() is not None:
        faults.append(f"the check has ended it: {daemon.said()[-300:]}")
        return "ended"
    answers = [try_one(args, daemon, gid, known[gid], faults) for gid in draw.sample(sorted(known), ASKED) if daemon.status() is None]
    if set(answers) == {"right"}:
        return "told by the check" if found else "without effect"
    if not found:
        faults.append("refused, and the check has found nothing")
    return answers[-1] if answers[-1] == "ended" else "refused"


def main():
    args = parse()
    draw = random.Random(args.seed)
    came = collections.Counter()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="tercet-damage-") as home:
        home = pathlib.Path(home)
        known = fill(args, home / "whole")
        data = (home / "whole" / "data.mdb").read_bytes()
        for n in range(args.draws):
            if n % 100 == 0 and n > 0:
                print(f"{n} so far:", dict(came), flush=True)
            faults = []
            broken, what = damage(data, draw)
            (home / "broken").mkdir()
            (home / "broken" / "data.mdb").write_bytes(broken)
            daemon = Daemon(args.tercetd, home / "broken")
            try:
                came[try_damage(args, daemon, known, draw, faults)] += 1
            finally:
                daemon.stop()
            shutil.rmtree(home / "broken")
            failed += bool(faults)
            for fault in faults:
                print(f"FAILED: {what}: {fault}")
    print(f"{args.draws} damages of a store with {len(known)} transactions:", ", ".join(f"{n} {what}" for what, n in sorted(came.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
