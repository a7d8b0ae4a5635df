# SPDX-License-Identifier: Apache-2.0
"""What the console's tests share: a real tercetd with an HTTP port, participants and initiators of the samples, and a client that
says what it got. Everything ends with the test; every wait is for something, and bounded."""
import contextlib, ctypes, http.client, os, re, shutil, subprocess, sys, tempfile, time

READY_SECONDS = 60
TOKENS = {role: f"{role}-0123456789abcdef" for role in ("reader", "operator", "admin", "initiator", "participant")}


class Failed(Exception):
    pass


def check(holds, text):
    if not holds:
        raise Failed(text)


def until(probe, what, seconds=READY_SECONDS):
    """The first true value of probe()."""
    end = time.monotonic() + seconds
    while True:
        value = probe()
        if value:
            return value
        check(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.05)


@contextlib.contextmanager
def stopped_thread(pid, name):
    """One thread of a child of ours does not run: ptrace(2), by this thread alone."""
    def ptrace(request):
        if libc.ptrace(ctypes.c_long(request), ctypes.c_long(tid), None, None) != 0:
            raise Failed(f"ptrace {request:#x}: {os.strerror(ctypes.get_errno())}")
    libc = ctypes.CDLL(None, use_errno=True)
    tid = next(int(tid) for tid in os.listdir(f"/proc/{pid}/task") if open(f"/proc/{pid}/task/{tid}/comm").read().strip() == name)
    ptrace(0x4206)  # PTRACE_SEIZE
    ptrace(0x4207)  # PTRACE_INTERRUPT
    os.waitpid(tid, 0x40000000)  # __WALL
    try:
        yield
    finally:
        ptrace(17)  # PTRACE_DETACH


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def text(self):
        return self.body.decode()


class Stage:
    """programs: a dict with tercetd, tercetctl, and the folder of the quick start."""

    def __init__(self, programs, options=(), access=False, environment=None, in_memory=False):
        self.programs, self.access, self.in_memory = programs, access, in_memory
        self.options = list(options)
        self.folder = tempfile.mkdtemp(prefix="tercet-console-")
        # A tercetd that is killed leaves its private socket there, and it goes with the folder.
        self.environment = dict(os.environ, **{"RUNTIME_DIRECTORY": self.folder, **(environment or {})})
        self.children = []
        self.listen = self.http = "127.0.0.1:0"
        if access:
            with open(os.open(self.path("access"), os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                file.writelines(f"{role} {token}\n" for role, token in TOKENS.items())
            self.options += ["--access", self.path("access")]

    def path(self, name):
        return os.path.join(self.folder, name)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, name, command, **more):
        with open(self.path(f"{name}.out"), "a") as out, open(self.path(f"{name}.err"), "a") as err:
            child = subprocess.Popen(command, stdout=out, stderr=err, env=self.environment, **more)
        self.children.append(child)
        return child

    def said(self, name):
        with contextlib.suppress(FileNotFoundError), open(self.path(f"{name}.out")) as out, open(self.path(f"{name}.err")) as err:
            return out.read() + err.read()
        return ""

    def start(self):
        """Again after stop(): at the same ports."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path("tercetd.out"))
        self.tercetd = self.run("tercetd", [self.programs["tercetd"], "--data", "memory:" if self.in_memory else self.path("data"), "--listen", self.listen,
                                            "--http", self.http, *self.options])
        words = until(self.ready, "tercetd is ready").split()
        self.listen, self.url = words[1], words[-1]
        self.http = self.url.split("//")[1]

    def ready(self):
        check(self.tercetd.poll() is None, "tercetd has ended: " + self.said("tercetd"))
        return next((line for line in self.said("tercetd").splitlines() if line.startswith("ready") and "http" in line), None)

    def stop(self, how=subprocess.Popen.terminate):
        how(self.tercetd)
        return self.tercetd.wait(READY_SECONDS)

    def participant(self, service):
        self.run(service, [os.path.join(self.programs["quickstart"], "quickstart-participant"), service, self.listen,
                           self.path(service + ".db")])
        until(lambda: "ready" in self.said(service), f"{service} is ready")

    def initiate(self):
        """0: booked, 1: not."""
        return subprocess.run([os.path.join(self.programs["quickstart"], "quickstart-initiator"), self.listen],
                              stdout=subprocess.DEVNULL, timeout=READY_SECONDS, env=self.environment).returncode

    def ctl(self, *words, token=None):
        environment = dict(self.environment, TERCET_COORDINATOR=self.listen)
        if token:
            environment["TERCET_TOKEN"] = token
        done = subprocess.run([self.programs["tercetctl"], *words], capture_output=True, text=True, timeout=READY_SECONDS, env=environment)
        return done.returncode, done.stdout + done.stderr

    def connect(self):
        host, port = self.http.rsplit(":", 1)
        return http.client.HTTPConnection(host, int(port), timeout=READY_SECONDS)

    def ask(self, path, method="GET", body=None, token=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            headers["Authorization"] = "Bearer " + token
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()


class Client:
    """An initiator by the .proto alone."""

    def __init__(self, stage, source):
        import grpc
        subprocess.run(["protoc", f"-I{source}/framework/proto", f"--python_out={stage.folder}", "tercet/v1/tercet.proto"], check=True)
        sys.path.insert(0, stage.folder)
        for name in [name for name in sys.modules if name.split(".")[0] == "tercet"]:
            del sys.modules[name]
        try:
            from tercet.v1 import tercet_pb2
        finally:
            sys.path.remove(stage.folder)
        self.pb, self.stage, self.channel = tercet_pb2, stage, grpc.insecure_channel(stage.listen)

    def call(self, method, request, reply):
        ask = self.channel.unary_unary("/tercet.v1.Coordinator/" + method, type(request).SerializeToString, reply.FromString)
        token = TOKENS["initiator"] if self.stage.access else None
        return ask(request, timeout=READY_SECONDS, wait_for_ready=True, metadata=[("authorization", "Bearer " + token)] if token else [])

    def begin(self, gid, *actions, metadata={}):
        """Undecided for an hour, unless somebody decides; its tries are not given up."""
        options = self.pb.Options(deadline_ms=3600000, metadata=[self.pb.Metadata(key=k, value=v) for k, v in metadata.items()])
        branches = [self.pb.Branch(action=action, try_timeout_ms=3600000) for action in actions]
        return self.call("Run", self.pb.RunRequest(gid=gid, options=options, branches=branches, wait=self.pb.WAIT_NOT), self.pb.Transaction)

    def get(self, gid):
        return self.call("Get", self.pb.GetRequest(gid=gid), self.pb.Transaction)


def read_metrics(text):
    """Prometheus' text: {(name, frozenset of labels): value}"""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line).groups()
        key = (name, frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")))
        check(key not in found, f"twice: {line}")
        found[key] = float(value)
    return found


def value_of(metrics, name, **labels):
    key = (name, frozenset(labels.items()))
    check(key in metrics, f"{name}{labels} is not there")
    return metrics[key]


def main(tests, programs):
    failed = 0
    for test in tests:
        began = time.monotonic()
        try:
            test(programs)
            print(f"ok     {test.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as wrong:  # also of libraries: the others go on
            failed += 1
            print(f"FAILED {test.__name__}: {type(wrong).__name__}: {wrong}", flush=True)
    sys.exit(1 if failed else 0)
