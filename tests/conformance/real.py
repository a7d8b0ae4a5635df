#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A sample's participant at a real coordinator: both orders or neither, and the stock is right in the end.

  real.py TERCETD FOLDER COMMAND...      COORDINATOR and the database's path are added to the command"""
import json
import sqlite3
import subprocess
import sys

import grpc

import tercet_pb2 as pb

ITEMS = 1_000_000
PATIENCE_S = 60


def order(*amounts):
    branches = [pb.Branch(action="stock/reserve", payload=json.dumps({"amount": amount}).encode()) for amount in amounts]
    return pb.RunRequest(branches=branches, wait=pb.WAIT_RESOLVED)


def check(is_right, what):
    if not is_right:
        sys.exit(f"FAIL: {what}")


def play(coordinator, path):
    channel = grpc.insecure_channel(coordinator)
    run = channel.unary_unary("/tercet.v1.Coordinator/Run", request_serializer=pb.RunRequest.SerializeToString,
                              response_deserializer=pb.Transaction.FromString)
    done = run(order(3, 4), timeout=PATIENCE_S)  # its tries wait until the participant has come
    check(done.state == pb.CONFIRMED, f"an order that can be done: {done}")
    check(sorted(json.loads(branch.reply)["left"] for branch in done.branches)[0] == ITEMS - 7, f"replies: {done}")
    refused = run(order(5, 9 * ITEMS), timeout=PATIENCE_S)
    check(refused.state == pb.CANCELLED and refused.reason == "sold out", f"an order that cannot: {refused}")
    stock = sqlite3.connect(path, timeout=10).execute("SELECT free, reserved, sold FROM stock").fetchone()
    check(stock == (ITEMS - 7, 0, 7), f"the stock: {stock}")


def main(tercetd, folder, *command):
    daemon = subprocess.Popen([tercetd, "--data", f"{folder}/real", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    participant = None
    try:
        coordinator = daemon.stdout.readline().split()[1]
        participant = subprocess.Popen([*command, coordinator, f"{folder}/real.db"])
        play(coordinator, f"{folder}/real.db")
    finally:
        for process in filter(None, (participant, daemon)):
            process.kill()
            process.wait()
    print("ok at a real coordinator")


main(*sys.argv[1:])
