#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A service in Python as docs/sql.md tells one to write it, with its statements and its code as they stand there: accounts, from
which a try holds an amount, a confirm takes it, and a cancel gives it back.

  account.py SERVICE COORDINATOR URL"""
import os
import pathlib
import queue
import random
import re
import secrets
import sys
import time
import types

import grpc
import psycopg2

import tercet_pb2 as pb

PAGE = (pathlib.Path(__file__).resolve().parents[2] / "docs/sql.md").read_text()
PARTS = re.split(r"^-- (\w+)\n", re.search(r"```sql\n(.*?)```", PAGE.split("\n## PostgreSQL\n")[1], re.S).group(1), flags=re.M)[1:]
STATEMENTS = {name: re.sub(r":(\w+)", r"%(\1)s", text) for name, text in zip(PARTS[::2], PARTS[1::2])}
BARRIER = types.ModuleType("page")
exec(re.search(r"```python\n(.*?)```", PAGE, re.S).group(1), BARRIER.__dict__)  # pylint: disable=exec-used

CHANGES = {BARRIER.TRY: ("try", "UPDATE account SET free = free - %(n)s, held = held + %(n)s WHERE id = %(id)s AND free >= %(n)s"),
           BARRIER.CONFIRM: ("confirm", "UPDATE account SET held = held - %(n)s, taken = taken + %(n)s WHERE id = %(id)s"),
           BARRIER.CANCEL: ("cancel", "UPDATE account SET held = held - %(n)s, free = free + %(n)s WHERE id = %(id)s")}
PAUSE_S = 0.2
# The pauses are ours; gRPC's own would be added to them.
SOON = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.min_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
LEARN_EACH = 20  # calls


class Database:
    def __init__(self, url):
        self.url, self.db, self.calls = url, None, 0

    def run(self, name, **values):
        cursor = self.db.cursor()
        cursor.execute(STATEMENTS[name], values)
        return cursor.rowcount, (cursor.fetchall() if cursor.description else [])

    def within(self, work):
        """What work() says came of it, committed if that is DONE. A failure of any kind: not known, so AGAIN."""
        try:
            if self.db is None:
                self.db = psycopg2.connect(self.url)
            answer = work()
            (self.db.commit if answer[0] == BARRIER.DONE else self.db.rollback)()
            return answer
        except psycopg2.Error as error:
            if self.db is not None:
                self.db.close()
            self.db = None
            return BARRIER.AGAIN, b"", f"the database: {error}".encode()[:200].decode(errors="ignore")

    def identity(self):
        def keep():
            self.run("identify", identity=secrets.token_hex(16))
            return BARRIER.DONE, self.run("identity")[1][0][0]
        return self.within(keep)[1]

    def answer(self, call):
        self.calls += 1
        if self.calls % LEARN_EACH == 0:
            self.within(lambda: (BARRIER.DONE, BARRIER.learn(self.run, call)))
        return self.within(lambda: self.work(call))

    def work(self, call):
        outcome, reply = BARRIER.enter(self.run, call)
        if outcome is not None:
            return outcome, reply, "" if outcome == BARRIER.DONE else "by the barrier"
        account, amount = (int(word) for word in call.payload.split())
        what, sql = CHANGES[call.kind]
        cursor = self.db.cursor()
        cursor.execute(sql, {"n": amount, "id": account})
        if cursor.rowcount == 0:
            return BARRIER.REFUSAL, b"", "there is not as much"
        cursor.execute("INSERT INTO ledger VALUES (%s, %s, %s, %s, %s)", (call.gid, call.branch, what, account, amount))
        BARRIER.leave(self.run, call, b"")
        return BARRIER.DONE, b"", ""


def attach(database, identity, service, channel):
    outgoing = queue.SimpleQueue()
    outgoing.put(pb.AttachRequest(hello=pb.Hello(service=service, actions=["take"], instance=f"python:{os.getpid()}",
                                                 database=identity)))
    stream = channel.stream_stream("/tercet.v1.Participants/Attach", request_serializer=pb.AttachRequest.SerializeToString,
                                   response_deserializer=pb.AttachResponse.FromString)
    try:
        for response in stream(iter(outgoing.get, None)):
            for call in response.calls:
                outcome, reply, reason = database.answer(call)
                outgoing.put(pb.AttachRequest(results=[pb.CallResult(id=call.id, outcome=outcome, reply=reply, reason=reason)]))
    finally:
        outgoing.put(None)


def main(service, coordinator, url):
    database = Database(url)
    while True:
        identity = database.identity()
        try:
            if identity:  # else the database is away
                with grpc.insecure_channel(coordinator, options=SOON) as channel:
                    attach(database, identity, service, channel)
        except grpc.RpcError as error:
            print(f"not attached: {error.code().name}: {error.details()}", file=sys.stderr)
        time.sleep(PAUSE_S * random.uniform(0.5, 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
