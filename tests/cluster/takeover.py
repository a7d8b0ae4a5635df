#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Three tercetd on one store in etcd, under the traffic of the shop: one serves, the others stand by. The one that serves is killed,
paused for longer than its lease, and stopped; then another goes on, the paused one notices that it was replaced, and in the end the
books balance. With `engine`, etcd's members are killed one after the other instead, and no tercetd may end.

  scripts/with-etcd tests/cluster/takeover.py [--seed N] [--faults N] [kill] [pause] [stop]
  WITH_ETCD_MEMBERS=3 scripts/with-etcd tests/cluster/takeover.py engine"""
import argparse
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time

LEASE_S = 3
PATIENCE_S = 120  # for anything that is waited for: a machine under load is slow, not wrong
EXIT_LOST = 70
# What it says depends on what it was at: nothing, a commit that is refused, or one whose first answer it slept through.
LOST = ("owns its store no more", "another coordinator has taken the store over", "the lease has run out in etcd")


def fail(text):
    raise SystemExit("takeover: " + text)


def wait_for(what, condition):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    fail("waited in vain for " + what)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Program:
    """A child whose output is in a file."""

    def __init__(self, folder, name, *command):
        self.name = name
        self.path = folder / (name + ".out")
        self.begin = self.path.stat().st_size if self.path.exists() else 0
        with open(self.path, "ab") as out:
            self.child = subprocess.Popen([str(word) for word in command], stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    def said(self):
        return self.path.read_bytes()[self.begin:].decode(errors="replace")

    def has_line(self, word):
        return any(line.startswith(word) for line in self.said().splitlines())

    def await_line(self, word):
        wait_for("%s of %s" % (word, self.name), lambda: self.has_line(word) or self.child.poll() is not None)
        if not self.has_line(word):
            fail("%s ended:\n%s" % (self.name, self.said()[-2000:]))

    def end(self, number):
        self.child.send_signal(number)
        try:
            return self.child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            fail("%s does not end" % self.name)


class Cluster:
    def __init__(self, folder):
        self.folder = folder
        self.ports = free_ports(3)
        self.members = [None, None, None]
        self.children = []

    def coordinator(self):
        return "ipv4:" + ",".join("127.0.0.1:%d" % port for port in self.ports)

    def run(self, name, *command):
        program = Program(self.folder, name, *command)
        self.children.append(program)
        return program

    def start(self, i):
        store = "etcd://%s/shop?lease=%ds" % (os.environ["TERCET_TEST_ETCD"], LEASE_S)
        self.members[i] = self.run("tercetd%d" % i, os.environ["TERCETD"], "--config", "none", "--store", store,
                                   "--listen", "127.0.0.1:%d" % self.ports[i], "--retry-cap", "500ms")

    def owners(self):
        return [i for i, member in enumerate(self.members) if member.child.poll() is None and member.has_line("ready")]

    def check_running(self):
        for member in self.members:
            if member.child.poll() is not None:
                fail("%s ended by itself, with %d:\n%s" % (member.name, member.child.returncode, member.said()[-2000:]))


def start_shop(cluster):
    shop = pathlib.Path(os.environ["SHOP"])
    given = {"stock": ["--stock", 5000], "payment": ["--funds", 4000000], "order": []}
    for name, options in given.items():
        cluster.run(name, shop / ("shop-" + name), "--coordinator", cluster.coordinator(), "--data", cluster.folder / (name + ".db"), *options)
    for program in cluster.children:
        if program.name in given:
            program.await_line("ready")


def start_traffic(cluster, seed, orders):
    shop = pathlib.Path(os.environ["SHOP"])
    return cluster.run("traffic", shop / "shop-traffic", "--coordinator", cluster.coordinator(), "--log", cluster.folder / "log",
                       "--orders", orders, "--in-flight", 8, "--pause", "20ms", "--seed", seed, "--print", "--timeout", "%ds" % PATIENCE_S,
                       "--deadline", "60s")


def audit(cluster):
    shop = pathlib.Path(os.environ["SHOP"])
    command = [shop / "shop-audit", "--log", cluster.folder / "log", "--at-rest", "--wait", "%ds" % PATIENCE_S]
    for name in ("stock", "payment", "order"):
        command += ["--" + name, cluster.folder / (name + ".db")]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        fail("the books do not balance:\n" + done.stdout + done.stderr)
    return done.stdout.strip().splitlines()[-1]


def orders_in(cluster):
    path = cluster.folder / "log"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def fault(cluster, kind):
    """Does it to the one that serves; returns how long it took until another did."""
    i = wait_for("one that serves", cluster.owners)[0]
    member = cluster.members[i]
    began = time.monotonic()
    if kind == "kill":
        member.end(signal.SIGKILL)
    elif kind == "stop":
        status = member.end(signal.SIGTERM)
        if status != 0:
            fail("a clean stop ended with %d:\n%s" % (status, member.said()[-2000:]))
    else:
        member.child.send_signal(signal.SIGSTOP)
    wait_for("another that serves", lambda: [j for j in cluster.owners() if j != i])
    took = time.monotonic() - began
    if kind == "pause":
        status = member.end(signal.SIGCONT)
        if status != EXIT_LOST or not any(text in member.said() for text in LOST):
            fail("a paused coordinator came back and ended with %d:\n%s" % (status, member.said()[-2000:]))
    cluster.start(i)
    return took


def engine_fault(cluster, n):
    """One member of etcd is killed and started again. How long there was no order's end is what is returned."""
    folder = os.environ["TERCET_TEST_FOLDER"]
    os.kill(int(pathlib.Path(folder, "%d.pid" % n).read_text()), signal.SIGKILL)
    began, seen = time.monotonic(), orders_in(cluster)
    wait_for("orders without the member", lambda: orders_in(cluster) > seen + 8)
    took = time.monotonic() - began
    subprocess.run([os.environ["TERCET_TEST_SCRIPT"], "--start", folder, str(n)], check=True)
    cluster.check_running()
    return took


def one_round(cluster, kind, seed):
    traffic = start_traffic(cluster, seed, 200)
    before = orders_in(cluster)
    wait_for("orders", lambda: orders_in(cluster) > before + 20)
    took = [engine_fault(cluster, n) for n in (1, 2)] if kind == "engine" else [fault(cluster, kind)]
    if traffic.child.wait() != 0:
        fail("orders whose end is not known:\n" + traffic.said()[-2000:])
    print("%s: %s s; %d orders" % (kind, ", ".join("%.2f" % one for one in took), orders_in(cluster) - before), flush=True)
    return took


def run(args, folder):
    cluster = Cluster(folder)
    try:
        for i in range(3):
            cluster.start(i)
        wait_for("one that serves", cluster.owners)
        start_shop(cluster)
        draw = random.Random(args.seed)
        kinds = [args.kinds[i % len(args.kinds)] for i in range(args.faults)]
        times = [took for i, kind in enumerate(kinds) for took in one_round(cluster, kind, draw.randrange(1 << 30) + i)]
        print(audit(cluster))
        if len(cluster.owners()) != 1:
            fail("%d serve" % len(cluster.owners()))
        print("takeover: holds, %d faults (seed %d), the longest pause %.2f s" % (len(times), args.seed, max(times)))
    finally:
        for program in cluster.children:
            if program.child.poll() is None:
                program.child.send_signal(signal.SIGCONT)
                program.child.kill()
                program.child.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--faults", type=int, default=0, help="default: one of each kind")
    parser.add_argument("kinds", nargs="*", choices=["kill", "pause", "stop", "engine", []])
    args = parser.parse_args()
    args.kinds = args.kinds or ["kill", "pause", "stop"]
    args.faults = args.faults or len(args.kinds)
    with tempfile.TemporaryDirectory(prefix="tercet-cluster-") as folder:
        run(args, pathlib.Path(folder))


if __name__ == "__main__":
    sys.exit(main())
