#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What one peer without a token can do to the others: raw HTTP/2 against a real tercetd, over
plaintext or TLS, from 127.0.0.2, with a well-behaved client beside it. With --token the other
client has one, and the peer may do nothing; without it nobody needs one.

attack.py --tercetd FILE --witness FILE [--tls] [--token] [--seconds N] [--only NAME]... [tercetd's options]
attack.py --tercetd FILE --witness FILE --participant FILE --tercetctl FILE [...]

With --participant (samples/shop's shop-stock) what is attacked is a participant that listens, and not tercetd.

Fails when a call of the other client is not answered, or when memory grows by more than --memory.
The times are printed, and judged by nobody: they are the machine's as well."""
import argparse, contextlib, json, os, socket, ssl, struct, subprocess, sys, tempfile, time, zlib

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
ATTACKER = "127.0.0.2"
TOKEN = "0123456789abcdef0123456789"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags=0, stream=0, body=b""):
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def text(value):
    assert len(value) < 127
    return bytes([len(value)]) + value


def field(name, value):
    return b"\x00" + text(name) + text(value)


def headers(path=b"/grpc.health.v1.Health/Check"):
    return (b"\x83\x86" + b"\x04" + text(path) + b"\x01" + text(b"a")
            + field(b"content-type", b"application/grpc") + field(b"te", b"trailers"))


def length(value):
    """An HPACK integer of 7 bits."""
    out = b"\x7f"
    value -= 127
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


GREETING = PREFACE + frame(SETTINGS)


class Peer:
    """One connection; what comes back is read or left, as the attack wants."""

    def __init__(self, stage, reads=True, greeting=GREETING):
        raw = socket.socket()
        raw.settimeout(5)
        raw.bind((ATTACKER, 0))
        raw.connect(("127.0.0.1", stage.port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reads = reads
        self.socket = stage.wrap(raw)
        self.sent = 0
        self.send(greeting)

    def send(self, data):
        view = memoryview(data)
        while view and time.monotonic() < Stage.until:
            if self.reads:
                self.drain()
            try:
                count = self.socket.send(view[:65536])
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError, TimeoutError):
                continue
            self.sent += count
            view = view[count:]

    def drain(self):
        self.socket.settimeout(0)
        with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
            while self.socket.recv(65536):
                pass
        self.socket.settimeout(1)

    def wait(self, seconds):
        """Until the other side closes."""
        end = min(Stage.until, time.monotonic() + seconds)
        while time.monotonic() < end:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                if not self.socket.recv(65536):
                    return
            except (ssl.SSLWantReadError, TimeoutError):
                pass

    def close(self):
        self.socket.close()


def again(stage, one):
    """The attack, and once more as soon as it is thrown out, to the end."""
    while time.monotonic() < Stage.until:
        try:
            peer = Peer(stage)
        except OSError:
            stage.refused += 1
            time.sleep(0.01)
            continue
        try:
            one(peer)
        except OSError:
            stage.thrown_out += 1
        stage.sent += peer.sent
        peer.close()


def repeated(data):
    block = data * max(1, 65536 // len(data))

    def one(peer):
        while time.monotonic() < Stage.until:
            peer.send(block)
    return lambda stage: again(stage, one)


def streams(make, count=500):
    """Calls on one stream after the other: ids grow."""
    def one(peer):
        stream = 1
        while time.monotonic() < Stage.until and stream < 2 ** 31 - 2 * count:
            peer.send(b"".join(make(stream + 2 * i) for i in range(count)))
            stream += 2 * count
    return lambda stage: again(stage, one)


def call(stream, path=b"/grpc.health.v1.Health/Check"):
    return frame(HEADERS, END_HEADERS, stream, headers(path))


def reset(stream):
    return frame(RST, 0, stream, b"\0\0\0\x08")


def giant_header(size, step):
    def one(peer):
        block = headers() + b"\x00" + text(b"x") + length(size)
        peer.send(frame(HEADERS, 0, 1, block))
        filler = frame(CONTINUATION, 0, 1, b"a" * step)
        batch = filler * max(1, 65536 // len(filler))
        for _ in range(size // (step * max(1, 65536 // len(filler)))):
            peer.send(batch)
    return lambda stage: again(stage, one)


def continuation(body):
    def one(peer):
        peer.send(frame(HEADERS, 0, 1, headers()))
        block = frame(CONTINUATION, 0, 1, body) * (65536 // (9 + len(body)))
        while time.monotonic() < Stage.until:
            peer.send(block)
    return lambda stage: again(stage, one)


def churn(greeting):
    def attack(stage):
        while time.monotonic() < Stage.until:
            try:
                Peer(stage, greeting=greeting).close()
                stage.sent += 1
            except OSError:
                stage.refused += 1
    return attack


def crowd(count, behave, greeting=GREETING, reads=True):
    def attack(stage):
        peers = []
        for _ in range(count):
            try:
                peers.append(Peer(stage, reads=reads, greeting=greeting))
            except OSError:
                stage.refused += 1
        while time.monotonic() < Stage.until and peers:
            for peer in list(peers):
                try:
                    behave(peer)
                except OSError:
                    stage.thrown_out += 1
                    peers.remove(peer)
            time.sleep(0.01)
        for peer in peers:
            peer.close()
    return attack


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def proto(number, value):
    """A field: a text, a message, or a number."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def request(stream, path, body, flag=0, more=b""):
    """A whole unary call."""
    block = headers(path) + more
    data = bytes([flag]) + struct.pack(">I", len(body)) + body
    cut = [data[at:at + 16384] for at in range(0, len(data), 16384)]
    frames = [frame(DATA, END_STREAM if i == len(cut) - 1 else 0, stream, piece) for i, piece in enumerate(cut)]
    return frame(HEADERS, END_HEADERS, stream, block) + b"".join(frames)


def unread_replies(stage):
    """Unary calls whose answers have some hundred KB, on streams that never let anything come."""
    metadata = proto(1, b"k") + proto(2, b"v" * 4000)
    filler = Peer(stage)
    filler.send(b"".join(request(1 + 2 * i, b"/tercet.v1.Coordinator/Begin", proto(2, proto(8, metadata)))
                         for i in range(200)))
    closed_window = PREFACE + frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\0")

    def behave(peer):
        peer.next = getattr(peer, "next", 1)
        if peer.next < 200:
            peer.send(request(peer.next, b"/tercet.v1.Admin/List", proto(5, 200)))
            peer.next += 2
            stage.sent += 1
    crowd(40, behave, greeting=closed_window)(stage)
    filler.close()


class Flow:
    """What flow control permits to send on one connection: large messages get through whole."""

    def __init__(self, peer):
        self.peer, self.windows, self.initial, self.input = peer, {0: 65535}, 65535, b""
        peer.reads = False  # but for what is read here

    def hear(self):
        self.peer.socket.settimeout(0.05)
        with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError, TimeoutError):
            came = self.peer.socket.recv(65536)
            if not came:
                raise ConnectionError
            self.input += came
        while len(self.input) >= 9 and len(self.input) >= 9 + int.from_bytes(self.input[:3], "big"):
            size, kind = int.from_bytes(self.input[:3], "big"), self.input[3]
            stream = int.from_bytes(self.input[5:9], "big")
            self.take(kind, stream, self.input[9:9 + size])
            self.input = self.input[9 + size:]

    def take(self, kind, stream, body):
        if kind == WINDOW:
            self.windows[stream] = self.windows.get(stream, self.initial) + int.from_bytes(body, "big")
        if kind == SETTINGS:
            settings = [struct.unpack(">HI", body[at:at + 6]) for at in range(0, len(body), 6)]
            self.initial = dict(settings).get(4, self.initial)
        if kind in (RST, HEADERS):
            self.windows.pop(stream, None)  # it has been answered: the rest is not wanted

    def call(self, stream, path, body, flag=0, more=b""):
        self.windows[stream] = self.initial
        self.peer.send(frame(HEADERS, END_HEADERS, stream, headers(path) + more))
        data = bytes([flag]) + struct.pack(">I", len(body)) + body
        while data and stream in self.windows and time.monotonic() < Stage.until:
            size = min(len(data), 16384, self.windows[0], self.windows[stream])
            if size > 0:
                last = END_STREAM if size == len(data) else 0
                self.peer.send(frame(DATA, last, stream, data[:size]))
                self.windows[0] -= size
                self.windows[stream] -= size
                data = data[size:]
            if size <= 0 or not data:
                self.hear()
        self.windows.pop(stream, None)


def large_messages(stage, body, flag=0, more=b""):
    def one(peer):
        flow, stream = Flow(peer), 1
        while time.monotonic() < Stage.until:
            flow.call(stream, b"/tercet.v1.Coordinator/Run", body, flag, more)
            stream += 2
    again(stage, one)


def gzip_bomb(stage):
    """Messages of half a megabyte that are half a gigabyte when they are inflated."""
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    megabyte = bomb.compress(bytes(1 << 20)) + bomb.flush(zlib.Z_FULL_FLUSH)
    body = b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + megabyte * 500
    large_messages(stage, body, 1, field(b"grpc-encoding", b"gzip"))


def swelling(stage):
    """A megabyte that is nothing but empty branches: tens of times as much when it is decoded."""
    body = proto(3, b"") * 500000
    large_messages(stage, body)


def stalled_handshakes(stage):
    """Connections that begin TLS, or a preface, and say no more."""
    peers = []
    while time.monotonic() < Stage.until:
        try:
            raw = socket.socket()
            raw.settimeout(1)
            raw.bind((ATTACKER, 0))
            raw.connect(("127.0.0.1", stage.port))
            raw.send(b"\x16\x03\x01\x02\0\x01" if stage.context else PREFACE[:5])
            peers.append(raw)
        except OSError:
            stage.refused += 1
            time.sleep(0.01)
    for raw in peers:
        raw.close()


def never_reading(stage):
    def behave(peer):
        peer.next = getattr(peer, "next", 1)
        peer.socket.settimeout(0.001)
        message = frame(DATA, END_STREAM, peer.next, b"\0\0\0\0\0")
        if peer.next < 4000:
            peer.socket.send(call(peer.next) + message)
            peer.next += 2
    crowd(40, behave, reads=False)(stage)


def slowloris(peer):
    peer.rest = getattr(peer, "rest", GREETING + call(1))
    peer.send(peer.rest[:1])
    peer.rest = peer.rest[1:]


def calls_without_end(peer):
    peer.next = getattr(peer, "next", 1)
    peer.send(b"".join(call(peer.next + 2 * i) for i in range(700)))
    peer.next += 1400


ATTACKS = {
    "quiet": lambda stage: time.sleep(stage.seconds),
    "rapid reset": streams(lambda n: call(n) + reset(n)),
    "rapid reset, no such method": streams(lambda n: call(n, b"/no/such") + reset(n)),
    "reset with data": streams(lambda n: call(n) + frame(DATA, 0, n, b"\0\0\0\0\0") + reset(n)),
    "half-closed at once": streams(
        lambda n: frame(HEADERS, END_HEADERS | END_STREAM, n, headers())),
    "calls without end": streams(call),
    "one header of 16 MB": giant_header(16 << 20, 16000),
    "one header of 16 MB, in crumbs": giant_header(16 << 20, 100),
    "empty continuations": continuation(b""),
    "continuations of one byte": continuation(b"\x83"),
    "settings": repeated(frame(SETTINGS)),
    "settings, table sizes": repeated(frame(SETTINGS, 0, 0, b"\0\x01\0\0\0\0\0\x01\0\0\x10\0")),
    "settings, windows": repeated(frame(SETTINGS, 0, 0, b"\0\x04\0\0\0\x01\0\x04\0\0\xff\xff")),
    "pings": repeated(frame(PING, 0, 0, b"12345678")),
    "pings on 16 connections": crowd(
        16, lambda peer: peer.send(frame(PING, 0, 0, b"12345678") * 3800)),
    "ping answers": repeated(frame(PING, 1, 0, b"12345678")),
    "window updates": repeated(frame(WINDOW, 0, 0, b"\0\0\0\x01")),
    "priorities": repeated(frame(PRIORITY, 0, 1, b"\0\0\0\0\0")),
    "unknown frames": repeated(frame(0xbe, 0, 0, b"")),
    "empty data": repeated(frame(DATA, 0, 1)),
    "pings under cover of calls": streams(
        lambda n: call(n) + frame(PING, 0, 0, b"12345678") * 5000 + reset(n), 10),
    "goaways": repeated(frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0")),
    "connects": churn(b""),
    "connects and greets": churn(GREETING),
    "1,500 connections": crowd(1500, lambda peer: None),
    "slowloris": crowd(200, slowloris, greeting=b""),
    "never reads": never_reading,
    "never reads unary answers": unread_replies,
    "gzip bombs": gzip_bomb,
    "empty branches by the megabyte": swelling,
    "handshakes that stall": stalled_handshakes,
}

# Only by name: docs/security.md says what these take.
WORSE = {
    "calls without end on 16 connections": crowd(16, calls_without_end),
}


class Stage:
    until = 0

    def __init__(self, args, folder):
        self.seconds, self.folder, self.has_token = args.seconds, folder, args.token
        self.context = None
        command = [args.tercetd, "--data", os.path.join(folder, "data"), "--listen", "127.0.0.1:0"]
        with open(os.path.join(folder, "access"), "w") as file:
            file.write(f"all {TOKEN}\n")
        command += ["--access", os.path.join(folder, "access")] if args.token else []
        if args.tls:
            self.make_certificate()
            command += ["--tls-cert", self.path("cert.pem"), "--tls-key", self.path("key.pem")]
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.context.load_verify_locations(self.path("cert.pem"))
            self.context.set_alpn_protocols(["h2"])
        self.log = open(self.path("log"), "w")
        self.daemon = subprocess.Popen(command + args.options, stdout=subprocess.PIPE,
                                       stderr=self.log, text=True)
        self.address = self.daemon.stdout.readline().split()[1]
        self.coordinator = None
        if args.participant:
            self.start_participant(args)
        self.port = int(self.address.rsplit(":", 1)[1])

    def start_participant(self, args):
        self.coordinator = self.daemon
        self.daemon = subprocess.Popen([args.participant, "--coordinator", self.address, "--data", self.path("db"),
                                        "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=self.log, text=True)
        assert self.daemon.stdout.readline() == "ready\n", "the participant did not start"
        out = subprocess.run([args.tercetctl, "--coordinator", self.address, "-o", "json", "participants"],
                             check=True, capture_output=True).stdout
        self.address = json.loads(out)["participants"][0]["target"]

    def path(self, name):
        return os.path.join(self.folder, name)

    def make_certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-subj", "/CN=attack", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", self.path("key.pem"), "-out", self.path("cert.pem")],
                       check=True, stderr=subprocess.DEVNULL)

    def wrap(self, raw):
        if self.context is None:
            return raw
        return self.context.wrap_socket(raw, server_hostname="127.0.0.1")

    def memory(self, what="VmRSS"):
        with open(f"/proc/{self.daemon.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(what)) // 1024

    def start_witness(self, program):
        command = [program, self.address, self.path("cert.pem") if self.context else "-"]
        command += ["Bearer " + TOKEN] if self.has_token else []
        witness = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert witness.stdout.readline() == "ready\n", "the other client was not served"
        return witness

    def run(self, attack, program):
        """Calls, lost, p50, p99, max of the other client; MiB more at most."""
        self.sent = self.refused = self.thrown_out = 0
        with open(f"/proc/{self.daemon.pid}/clear_refs", "w") as file:
            file.write("5")  # VmHWM begins anew
        before = self.memory()
        witness = self.start_witness(program)
        Stage.until = time.monotonic() + self.seconds
        attack(self)
        out, _ = witness.communicate(timeout=120)
        return [int(word) for word in out.split()], self.memory("VmHWM") - before

    def kill(self):
        """Whatever of it is left after a failure."""
        for process in filter(None, [self.daemon, self.coordinator]):
            if process.poll() is None:
                process.kill()
                process.wait()

    def stop(self):
        self.daemon.terminate()
        assert self.daemon.wait(timeout=60) == 0, "it did not end well"
        if self.coordinator:
            self.coordinator.terminate()
            assert self.coordinator.wait(timeout=60) == 0, "tercetd did not end well"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tercetd", required=True)
    parser.add_argument("--witness", required=True)
    parser.add_argument("--participant")
    parser.add_argument("--tercetctl")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--token", action="store_true")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--memory", type=int, default=256, help="MiB more at most")
    parser.add_argument("--only", action="append")
    args, args.options = parser.parse_known_args()
    if args.participant and (args.tls or args.token or not args.tercetctl):
        parser.error("--participant wants --tercetctl, and neither --tls nor --token")
    wrong = []
    print(f"{'attack':36}{'calls':>7}{'lost':>5}{'p50 us':>8}{'p99 us':>9}{'max us':>9}"
          f"{'MiB more':>9}{'sent KiB':>10}{'cut':>5}{'refused':>8}", flush=True)
    with tempfile.TemporaryDirectory(prefix="tercet-attack-") as folder:
        for name in args.only or ATTACKS:
            stage = Stage(args, tempfile.mkdtemp(dir=folder))
            try:
                (calls, lost, p50, p99, longest), more = stage.run((ATTACKS | WORSE)[name], args.witness)
                print(f"{name:36}{calls:7}{lost:5}{p50:8}{p99:9}{longest:9}{more:9}{stage.sent // 1024:10}"
                      f"{stage.thrown_out:5}{stage.refused:8}", flush=True)
                if lost > 0 or more > args.memory:
                    wrong.append(name)
                stage.stop()
            finally:
                stage.kill()
    for name in wrong:
        print(f"FAILED: {name}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
