#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A participant in Python: a stock that a try reserves from. Attaches to a coordinator, and again whenever the stream ends.

  participant.py COORDINATOR FILE      (a token for it: TERCET_TOKEN)"""
import json
import os
import queue
import random
import socket
import sys
import time

import grpc

import tercet_pb2 as pb
from barrier import AGAIN, CANCEL, CONFIRM, TRY, Barrier, Refused

SERVICE = "stock"
ITEMS = 1_000_000
PAUSE_FIRST_S, PAUSE_LONGEST_S = 0.05, 3.0
STOCK = f"""CREATE TABLE IF NOT EXISTS stock (one INTEGER PRIMARY KEY CHECK (one = 1), free INTEGER, reserved INTEGER, sold INTEGER);
INSERT OR IGNORE INTO stock VALUES (1, {ITEMS}, 0, 0);"""


# -- The hooks -------------------------------------------------------------------------------------------------------------------

def amount_of(call):
    try:
        amount = json.loads(call.payload)["amount"]
    except (ValueError, KeyError, TypeError):
        raise Refused('the payload is no JSON like {"amount": 1}') from None
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < 1:
        raise Refused("an amount is a whole number above 0")
    return amount


def reserve(db, call):
    amount = amount_of(call)
    if db.execute("UPDATE stock SET free = free - :n, reserved = reserved + :n WHERE free >= :n", {"n": amount}).rowcount == 0:
        raise Refused("sold out")
    return json.dumps({"left": db.execute("SELECT free FROM stock").fetchone()[0]}).encode()


def sell(db, call):
    db.execute("UPDATE stock SET reserved = reserved - :n, sold = sold + :n", {"n": amount_of(call)})


def give_back(db, call):
    db.execute("UPDATE stock SET reserved = reserved - :n, free = free + :n", {"n": amount_of(call)})


ACTIONS = {"reserve": {TRY: reserve, CONFIRM: sell, CANCEL: give_back}}


# -- Calls -----------------------------------------------------------------------------------------------------------------------

def hook_of(call):
    service, _, name = call.action.partition("/")
    return ACTIONS.get(name, {}).get(call.kind) if service == SERVICE else None


def serve(barrier, calls):
    """The results of the calls that came in one message."""
    known = [(call, hook_of(call)) for call in calls]
    answers = iter(barrier.run([(call, hook) for call, hook in known if hook is not None]))
    results = []
    for call, hook in known:
        outcome, reply, reason = next(answers) if hook is not None else (AGAIN, b"", f"{call.action} is not served here")
        reason = reason.encode()[:256].decode(errors="ignore")
        results.append(pb.CallResult(id=call.id, outcome=outcome, reply=reply, reason=reason))
    return results


def attach(barrier, channel):
    """Serves until the stream ends; raises what ended it."""
    token = os.environ.get("TERCET_TOKEN")
    outgoing = queue.SimpleQueue()
    outgoing.put(pb.AttachRequest(hello=pb.Hello(service=SERVICE, actions=list(ACTIONS), database=barrier.identity,
                                                 instance=f"{socket.gethostname()}:{os.getpid()}")))
    stream = channel.stream_stream("/tercet.v1.Participants/Attach", request_serializer=pb.AttachRequest.SerializeToString,
                                   response_deserializer=pb.AttachResponse.FromString)
    responses = stream(iter(outgoing.get, None), metadata=[("authorization", f"Bearer {token}")] if token else None)
    try:
        for response in responses:
            if response.calls:
                outgoing.put(pb.AttachRequest(results=serve(barrier, response.calls)))
    finally:
        outgoing.put(None)


def main(coordinator, path):
    barrier = Barrier(path)
    barrier.db.executescript(STOCK)
    pause = PAUSE_FIRST_S
    while True:
        began = time.monotonic()
        try:
            with grpc.insecure_channel(coordinator) as channel:
                attach(barrier, channel)
        except grpc.RpcError as error:
            print(f"not attached: {error.code().name}: {error.details()}", file=sys.stderr)
        pause = PAUSE_FIRST_S if time.monotonic() - began > PAUSE_LONGEST_S else min(2 * pause, PAUSE_LONGEST_S)
        time.sleep(pause * random.uniform(0.5, 1))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
