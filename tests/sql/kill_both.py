#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service in C and one in Python, both on PostgreSQL and both written from docs/ alone, are killed at random, together with their
database and the coordinator; then the books must balance. Under scripts/with-postgres:

  kill_both.py TERCETD TERCETCTL ACCOUNT [--kills N | --seconds N] [--seed N]"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACCOUNTS, FREE = 20, 100_000
PATIENCE_S = 90
KILLS_AN_AUDIT = 5
BUYERS = 8
# gRPC waits for seconds before it connects again.
SOON = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
TABLES = (ROOT / "framework/barrier/sql/barrier-postgres.sql").read_text() + f"""
CREATE TABLE account (id integer PRIMARY KEY, free bigint NOT NULL, held bigint NOT NULL, taken bigint NOT NULL);
INSERT INTO account SELECT id, {FREE}, 0, 0 FROM generate_series(1, {ACCOUNTS}) AS id;
CREATE TABLE ledger (gid text, branch integer, what text, account integer, amount bigint);"""


def fail(what):
    sys.exit(f"FAIL: {what}")


class Server:
    """The database server of scripts/with-postgres."""

    script, folder = os.environ.get("TERCET_TEST_SCRIPT"), os.environ.get("TERCET_TEST_FOLDER")

    def ask(self, *words):
        return subprocess.run([self.script, words[0], self.folder, *words[1:]], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def make(self, name):
        url = self.ask("--database", name)
        with psycopg2.connect(url) as db:
            db.cursor().execute(TABLES)
        return url


class Stage:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.server = Server()
        self.urls = {name: self.server.make(name) for name in ("c", "python")}
        self.environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        self.address = "127.0.0.1:0"
        self.processes = {}
        self.start("tercetd")
        for name in self.urls:
            self.start(name)

    def command(self, name):
        if name == "tercetd":
            return [self.options.tercetd, "--data", f"{self.folder}/data", "--listen", self.address, "--quiet", "--retry-base", "20ms",
                    "--retry-cap", "500ms", "--call-timeout", "1s", "--park-after-failures", "1000"]
        program = [self.options.account] if name == "c" else [sys.executable, str(ROOT / "tests/sql/account.py")]
        return [*program, name, self.address, self.urls[name]]

    def start(self, name):
        with open(f"{self.folder}/{name}.log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(self.command(name), stdout=subprocess.PIPE if name == "tercetd" else log, stderr=log, text=True,
                                       env=self.environment)
        if name == "tercetd":
            self.address = process.stdout.readline().split()[1]
        self.processes[name] = process

    def kill(self, name):
        if name == "server":
            self.server.ask("--kill")
        else:
            self.processes[name].kill()
            self.processes[name].wait()

    def bring_back(self, name):
        if name == "server":
            self.server.ask("--start")
        else:
            self.start(name)

    def close(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


class Buyers:
    """Ask for both branches or neither, and ask again with the same gid until they know."""

    def __init__(self, stage, seed):
        self.stage, self.seed = stage, seed
        self.told, self.lock, self.is_over = {}, threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self.buy, args=(number,)) for number in range(BUYERS)]
        for thread in self.threads:
            thread.start()

    def buy(self, number):
        draw = random.Random(f"{self.seed} {number}")
        channel = grpc.insecure_channel(self.stage.address, options=SOON)
        run = channel.unary_unary("/tercet.v1.Coordinator/Run", request_serializer=pb.RunRequest.SerializeToString,
                                  response_deserializer=pb.Transaction.FromString)
        count = 0
        while not self.is_over.is_set():
            count += 1
            gid = f"buy-{self.seed}-{number}-{count}"
            much = draw.choice(["c", "python", "", "", "", ""])  # who is asked for more than there is
            branches = [pb.Branch(action=f"{name}/take",
                                  payload=f"{draw.randint(1, ACCOUNTS)} {2 * FREE if name == much else draw.randint(1, 3)}".encode())
                        for name in ("c", "python")]
            state = self.ask(run, pb.RunRequest(gid=gid, branches=branches))
            with self.lock:
                self.told[gid] = state
        channel.close()

    @staticmethod
    def ask(run, request):
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            try:
                done = run(request, timeout=20)
                if done.state not in (pb.STATE_UNSPECIFIED, pb.TRYING):
                    return done.state
            except grpc.RpcError:
                time.sleep(0.02)
        return None

    def count(self):
        with self.lock:
            return len(self.told)

    def await_more(self, count):
        target, until = self.count() + count, time.monotonic() + PATIENCE_S
        while self.count() < target:
            if time.monotonic() > until:
                fail(f"nothing comes to an end any more (logs: {self.stage.folder})")
            time.sleep(0.01)

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()


def await_rest(stage):
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        asked = subprocess.run([stage.options.tercetctl, "--coordinator", stage.address, "-o", "json", "stats"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, check=False)
        if asked.returncode == 0:
            figures = json.loads(asked.stdout)
            if sum(int(figures[name]) for name in ("trying", "confirming", "cancelling")) == 0:
                return
        time.sleep(0.05)
    fail("some transactions do not end")


def audit_book(url):
    """The gids that are confirmed in a service's book."""
    with psycopg2.connect(url) as db:
        cursor = db.cursor()

        def rows(sql):
            cursor.execute(sql)
            return cursor.fetchall()

        wrong = rows(f"SELECT * FROM account WHERE free + held + taken <> {FREE} OR held <> 0 OR free < 0")
        twice = rows("SELECT gid, branch, what, count(*) FROM ledger GROUP BY gid, branch, what HAVING count(*) > 1")
        ends = rows("SELECT gid FROM ledger GROUP BY gid, branch HAVING count(*) <> 2 OR sum((what = 'try')::int) <> 1")
        sums = rows("SELECT a.id, a.taken, coalesce(sum(l.amount), 0) FROM account AS a LEFT JOIN ledger AS l"
                    " ON l.account = a.id AND l.what = 'confirm' GROUP BY a.id, a.taken HAVING a.taken <> coalesce(sum(l.amount), 0)")
        open_rows = rows("SELECT gid FROM tercet_barrier WHERE state = 2")
        for what, found in (("accounts", wrong), ("done twice", twice), ("no end, or two", ends), ("taken", sums), ("open", open_rows)):
            if found:
                fail(f"{what}: {found[:5]}")
        return {gid for (gid,) in rows("SELECT DISTINCT gid FROM ledger WHERE what = 'confirm'")}


def audit(stage, told):
    await_rest(stage)
    books = {name: audit_book(url) for name, url in stage.urls.items()}
    if books["c"] != books["python"]:
        fail(f"by half: {list(books['c'] ^ books['python'])[:5]}")
    for gid, state in told.items():
        if (state in (pb.CONFIRMING, pb.CONFIRMED)) != (gid in books["c"]) and state is not None:
            fail(f"{gid} was told as {state}, and is {'' if gid in books['c'] else 'not '}confirmed in the books")
    return len(books["c"])


def kill_some(stage, draw, tally):
    victims = draw.choice([["server"], ["c"], ["python"], ["c", "python"], ["c", "python", "server"], ["tercetd"], ["tercetd", "server"]])
    time.sleep(draw.random() * 0.3)
    for name in victims:
        stage.kill(name)
        tally[name] = tally.get(name, 0) + 1
    time.sleep(draw.choice([0, draw.random() * 0.5]))
    for name in reversed(victims):  # the database before those who open it
        stage.bring_back(name)


def play(stage, options):
    draw, tally = random.Random(options.seed), {}
    told, kills, until = {}, 0, time.monotonic() + options.seconds
    buyers = Buyers(stage, f"{options.seed}-0")
    while kills < options.kills and time.monotonic() < until:
        buyers.await_more(3)
        kill_some(stage, draw, tally)
        kills += 1
        if kills % KILLS_AN_AUDIT == 0:
            buyers.end()
            told.update(buyers.told)
            audit(stage, told)
            buyers = Buyers(stage, f"{options.seed}-{kills}")
    buyers.await_more(20)
    buyers.end()
    told.update(buyers.told)
    confirmed = audit(stage, told)
    unknown = sum(state is None for state in told.values())
    print(f"{kills} kills {json.dumps(tally)}, {len(told)} transactions told, {unknown} unknown, {confirmed} confirmed: the books balance")
    if confirmed == 0 or confirmed == len(told):
        fail("nothing was confirmed, or nothing refused")


def main():
    parser = argparse.ArgumentParser()
    for name in ("tercetd", "tercetctl", "account"):
        parser.add_argument(name)
    parser.add_argument("--kills", type=int, default=10**9)
    parser.add_argument("--seconds", type=float, default=10**9)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    stage = Stage(options, FOLDER.name)
    try:
        play(stage, options)
    finally:
        stage.close()


FOLDER = tempfile.TemporaryDirectory()
try:
    import grpc
    import psycopg2
    subprocess.run(["protoc", "-I", ROOT / "framework/proto/tercet/v1", f"--python_out={FOLDER.name}", "tercet.proto"], check=True)
except (ImportError, FileNotFoundError) as missing:
    print(f"skipped: {missing} (packages python3-grpcio, python3-psycopg2, protobuf-compiler)")
    sys.exit(77)
sys.path.insert(0, FOLDER.name)
import tercet_pb2 as pb  # pylint: disable=wrong-import-position

main()
