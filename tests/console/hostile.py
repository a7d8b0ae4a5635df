#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What strangers send to the HTTP port of a real tercetd, and what pages of other servers try in a browser's name.
hostile.py TERCETD TERCETCTL QUICKSTART_FOLDER SOURCE_FOLDER"""
import json, os, resource, socket, ssl, subprocess, sys, tempfile, time, urllib.request

from stage import TOKENS, Stage, check, main, until

OURS = {"X-Tercet-Console": "1", "Content-Type": "application/json"}


def raw(stage, data, seconds=10):
    """What comes back until the other side closes, or for so long."""
    host, port = stage.http.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=seconds) as peer:
        try:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was refused before all had been sent
        got = b""
        try:
            while chunk := peer.recv(65536):
                got += chunk
        except OSError:
            pass
        return got


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


def is_alive(stage):
    return stage.ask("/healthz").status == 200


def post(stage, path, body=None, **headers):
    return stage.ask("/api/" + path, "POST", json.dumps(body or {}), **{**{k.replace("-", "_"): v for k, v in OURS.items()}, **headers})


def odd_requests(programs):
    with Stage(programs) as stage:
        host = b"Host: localhost\r\n"
        wanted = {
            b"GET / HTTP/1.1\r\n\r\n": {400},  # no Host
            b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n": {421},
            b"GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n": {421},
            b"GET / HTTP/1.1\r\nHost: 127.0.0.1@evil.example\r\n\r\n": {421},
            b"DELETE / HTTP/1.1\r\n" + host + b"\r\n": {405},
            b"TRACE / HTTP/1.1\r\n" + host + b"\r\n": {405},
            b"CONNECT evil.example:443 HTTP/1.1\r\n" + host + b"\r\n": {400, 404, 405},
            b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 0\r\n\r\n": {404, 405},
            b"GET /api/session HTTP/1.1\r\n" + host + b"\r\n": {405},
            b"GET /../../etc/passwd HTTP/1.1\r\n" + host + b"\r\n": {404},
            b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n" + host + b"\r\n": {404},
            b"GET //console.js HTTP/1.1\r\n" + host + b"\r\n": {404},
            b"GET /console.js%00.html HTTP/1.1\r\n" + host + b"\r\n": {400, 404, 200},
            b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 100000 + b"\r\n\r\n": {400, 413, 431, 0},
            b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n" + host + b"\r\n": {400, 413, 414, 431, 0},
            b"GET / HTTP/1.1\r\n" + host + b"X: y\r\n" * 20000 + b"\r\n": {400, 413, 431, 0},
            b"POST /api/session HTTP/1.1\r\n" + host + b"X-Tercet-Console: 1\r\nContent-Length: 200000\r\n\r\n" + b"a" * 200000: {413},
            b"POST /api/session HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n": {400, 0},
            b"POST /api/session HTTP/1.1\r\n" + host + b"Content-Length: 99999999999999999999\r\n\r\n": {400, 413, 0},
            b"POST /api/session HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n": {400, 0},
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": {400, 0},
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": {400, 405, 421, 505, 0},
            b"\0" * 5000: {400, 0},
        }
        for request, statuses in wanted.items():
            got = raw(stage, request)
            check(status_of(got) in statuses, f"{request[:60]!r}: {got[:120]!r}, not {statuses}")
            check(b"root:" not in got, f"{request[:60]!r} reads files")
        check(is_alive(stage), "and it goes on")


def odd_calls(programs):
    with Stage(programs) as stage:
        for body, wanted in [("", 200), ("[]", 400), ("{", 400), ("null", 400), ('{"a":' * 2000, 400), ("\xff", 400), ("7", 400)]:
            answer = stage.ask("/api/session", "POST", body.encode("latin1"), **{k.replace("-", "_"): v for k, v in OURS.items()})
            check(answer.status == wanted, f"{body[:20]!r}: {answer.status} {answer.text}")
        for method, body, wanted in [("List", {"page_size": -1}, 400), ("List", {"page_size": 1e30}, 400), ("List", {"page_size": 1.5}, 400),
                                     ("List", {"states": ["NONSENSE"]}, 400), ("List", {"states": "TRYING"}, 400), ("List", {"states": ["TRYING"] * 65}, 400),
                                     ("List", {"metadata": [{"key": "a"}] * 64}, 400), ("List", {"metadata": [7]}, 400), ("List", {"nonsense": 1}, 400),
                                     ("List", {"page_token": "of another query"}, 400), ("Show", {"gid": 7}, 400), ("Show", {"gid": "no such"}, 400), ("Show", {"gid": "none"}, 404),
                                     ("Check", {}, 404), ("Backup", {"name": "x"}, 404), ("SetLogLevels", {}, 404), ("../session", {}, 404), ("", {}, 404)]:
            answer = post(stage, "Admin/" + method, body)
            check(answer.status == wanted, f"{method} {str(body)[:60]}: {answer.status} {answer.text}")
            check("error" in json.loads(answer.text), "says why")
        check(post(stage, "Admin/List").status == 200, "and it goes on")


def what_is_written_down_is_what_was_done(programs):
    with Stage(programs) as stage:
        ask = lambda body: stage.ask("/api/Admin/Pause", "POST", body, **{k.replace("-", "_"): v for k, v in OURS.items()})
        answer = ask('{"service":"told","service":"done","paused":true}')
        check(answer.status == 400 and "twice" in answer.text, f"a name that is given twice: {answer.status} {answer.text}")
        check(ask('{"service":"done","paused":true,"Service":"told"}').status == 400, "nor in other letters")
        stage.participant("flight")
        check(ask('{"service":"flight","paused":true}').status == 200, "once")
        newest = json.loads(post(stage, "Admin/ListAudit").text)["entries"][0]
        told = {name: newest[name] for name in ("action", "service", "result")}
        check(told == {"action": "pause", "service": "flight", "result": "OK"}, str(told))
        check(newest["says"] == "console: somebody at 127.0.0.1", newest["says"])
        until(lambda: "pause flight: OK" in stage.said("tercetd"), "the log has it, too")


def pages_of_others(programs):
    """What a browser sends in the name of a page from elsewhere."""
    with Stage(programs) as stage:
        ours = {k.replace("-", "_"): v for k, v in OURS.items()}
        act = lambda **headers: stage.ask("/api/Admin/Pause", "POST", '{"service":"x","paused":true}', **headers).status
        check(act(Content_Type="application/json") == 403, "without the header")
        check(act(**ours, Origin="http://evil.example") == 403, "another origin")
        check(act(**ours, Origin="null") == 403, "no origin")
        check(act(**ours, Origin=stage.url.replace("http:", "https:")) == 403, "another scheme")
        check(act(**ours, Origin="http://127.0.0.1:1") == 403, "another port")
        check(act(**ours, Sec_Fetch_Site="cross-site") == 403, "another site")
        check(act(**ours, Sec_Fetch_Site="same-site") == 403, "a neighbour")
        check(act(**ours, Origin=stage.url, Sec_Fetch_Site="same-origin") != 403, "our own page")
        allowed = stage.ask("/api/session", "OPTIONS", None, Origin="http://evil.example", Access_Control_Request_Headers="x-tercet-console")
        check(allowed.status == 405 and "Access-Control-Allow-Origin" not in allowed.headers, "asked first, it may not")
        for path in ("/", "/console.js", "/metrics", "/nothing"):
            headers = stage.ask(path).headers
            policy = headers["Content-Security-Policy"]
            check("default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy, f"{path}: {policy}")
            check(headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY", path)
        page = stage.ask("/").text
        check("<script>" not in page and "style=" not in page and "http:" not in page and "//" not in page.replace("</", ""), "nothing inline, nothing foreign")


def sessions(programs):
    with Stage(programs, access=True) as stage:
        check(post(stage, "Admin/List").status == 401, "without a session")
        check(post(stage, "sign-in", {"token": "x" * 20}).status == 401, "a wrong token")
        check(post(stage, "sign-in", {"token": "a b\r\nX: y"}).status == 400, "what is no token")
        check(post(stage, "sign-in", {"token": "a" * 5000}).status == 400, "one that is too long")
        for token in ("t\x01ken-of-16-chars", "t\xf6ken-of-16-chars", "two words of a token", "a" * 600):
            check(stage.ask("/metrics", token=token).status == 401, f"a bearer {token[:20]!r}: {stage.ask('/metrics', token=token).status}")
        check(post(stage, "sign-in", {"token": TOKENS["participant"]}).status == 403, "a role that does not look")
        cookies = [post(stage, "sign-in", {"token": TOKENS["reader"], "name": "n" * 500}).headers["Set-Cookie"] for _ in range(2)]
        for word in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="):
            check(word in cookies[0], cookies[0])
        first, second = (cookie.split(";")[0] for cookie in cookies)
        check(first != second and len(first.split("=")[1]) == 64, "random")
        check(post(stage, "Admin/List", Cookie=first).status == 200, "signed in")
        check(stage.ask("/metrics", Cookie=first).status == 200, "for the plots, too")
        check(post(stage, "Admin/Pause", {"service": "x", "paused": True}, Cookie=first).status == 403, "a reader does not act")
        check(post(stage, "Admin/List", Cookie=first[:-1] + ("0" if first[-1] != "0" else "1")).status == 401, "nearly right is wrong")
        check(stage.ask("/api/Admin/List", "POST", "{}", Cookie=first).status == 403, "a cookie alone is not enough")
        check(post(stage, "sign-out", Cookie=first).status == 200, "signed out")
        check(post(stage, "Admin/List", Cookie=first).status == 401, "is out")
        check(post(stage, "Admin/List", Cookie=second).status == 200, "alone")
        for _ in range(70):  # 64 are kept
            last = post(stage, "sign-in", {"token": TOKENS["reader"]}).headers["Set-Cookie"].split(";")[0]
        check(post(stage, "Admin/List", Cookie=second).status == 401, "the oldest has made room")
        check(post(stage, "Admin/List", Cookie=last).status == 200, "for the newest")
        check(not any(token in stage.said("tercetd") for token in TOKENS.values()), "no token in the log")


def many_and_slow(programs):
    """Peers that fill the port, and say nothing or little, are cut; nobody else notices."""
    with Stage(programs) as stage:
        host, port = stage.http.rsplit(":", 1)
        peers = [socket.create_connection((host, int(port)), timeout=60) for _ in range(100)]
        peers[0].sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        for peer in peers[1:]:
            peer.setblocking(False)
        began = time.monotonic()
        check(stage.ctl("stats")[0] == 0, "the coordinator does not feel it")

        def answers():
            try:  # a byte of a header now and then puts nothing off
                peers[0].sendall(b"X: y\r\n")
            except OSError:
                pass
            time.sleep(0.2)
            try:
                return is_alive(stage)
            except OSError:
                return False
        until(answers, "they are cut", 60)
        check(time.monotonic() - began < 50, "in time")
        for peer in peers:
            peer.close()
        check(is_alive(stage), "and it goes on")


def out_of_descriptors(programs):
    with Stage(programs) as stage:
        used = len(os.listdir(f"/proc/{stage.tercetd.pid}/fd"))
        resource.prlimit(stage.tercetd.pid, resource.RLIMIT_NOFILE, (used + 3, used + 3))
        host, port = stage.http.rsplit(":", 1)
        peers = [socket.create_connection((host, int(port)), timeout=30) for _ in range(20)]
        cpu = lambda: sum(int(x) for x in open(f"/proc/{stage.tercetd.pid}/stat").read().rsplit(")", 1)[1].split()[11:13])
        spent = cpu()
        ended = sum(1 for peer in peers[10:] if peer.recv(1) == b"")
        check(ended == 10, f"{ended} of those for whom there is no room were told")
        check(cpu() - spent < 200, "without spinning")
        for peer in peers:
            peer.close()

        def answers():
            try:
                return is_alive(stage)
            except OSError:
                return False
        until(answers, "it goes on", 30)


def stops_with_visitors(programs):
    with tempfile.TemporaryDirectory() as place, Stage(programs, environment={"RUNTIME_DIRECTORY": place}) as stage:
        host, port = stage.http.rsplit(":", 1)
        idle = socket.create_connection((host, int(port)))
        half = socket.create_connection((host, int(port)))
        half.sendall(b"POST /api/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        made = os.listdir(place)
        check(len(made) == 1 and os.stat(f"{place}/{made[0]}").st_mode & 0o777 == 0o700, "its socket is where nobody else gets")
        check(stage.stop() == 0, "it stops")
        check(os.listdir(place) == [], "and goes with it")
        idle.close()
        half.close()


def nothing_stays_of_who_was_killed(programs):
    with tempfile.TemporaryDirectory() as place:
        environment = {"RUNTIME_DIRECTORY": place}
        with Stage(programs, environment=environment) as stage:
            stage.stop(subprocess.Popen.kill)
            killed = os.listdir(place)
            check(len(killed) == 1, "it could not take it away itself")
        with Stage(programs, environment=environment) as first, Stage(programs, environment=environment) as second:
            check(len(os.listdir(place)) == 2 and killed[0] not in os.listdir(place), f"the next does: {killed}, {os.listdir(place)}")
            for stage in (first, second):
                check(post(stage, "Admin/List").status == 200, "and leaves alone what is in use")
            check(first.stop() == 0 and len(os.listdir(place)) == 1 and second.stop() == 0 and os.listdir(place) == [], "each takes its own away")


def is_refused_where_it_would_let_in_more(programs):
    def fails(*options):
        done = subprocess.run([programs["tercetd"], "--data", "memory:", *options], capture_output=True, text=True, timeout=60)
        check(done.returncode == 1, f"{options}: {done.returncode} {done.stdout}")
        return done.stderr
    check("--access" in fails("--listen", "127.0.0.1:0", "--http", "0.0.0.0:0"), "off loopback")
    check("--access" in fails("--listen", "unix:/tmp/tercet-hostile.sock", "--http", "127.0.0.1:0"), "past the modes of sockets")
    for address in ("127.0.0.1", "127.0.0.1:99999", "127.0.0.1:+5", "127.0.0.1:-1", "127.0.0.1:65536", "127.0.0.1: 1", "127.0.0.1:http", "127.0.0.1:"):
        check("host:port" in fails("--listen", "127.0.0.1:0", "--http", address), address)


def says_that_tokens_can_be_read(programs):
    warns = lambda stage: "tokens come in plaintext from other machines" in stage.said("tercetd")
    with Stage(programs, ["--http", "0.0.0.0:0"], access=True) as stage:
        check(stage.stop() == 0 and warns(stage), "off loopback")
    with Stage(programs, access=True) as stage:
        check(stage.stop() == 0 and not warns(stage), "nobody else is on loopback")


def tls(programs):
    with Stage(programs) as plain:  # a place for the certificate
        folder = plain.folder
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
        with Stage(programs, ["--tls-cert", f"{folder}/cert.pem", "--tls-key", f"{folder}/key.pem"], access=True) as stage:
            check(stage.url.startswith("https://"), stage.url)
            context = ssl.create_default_context(cafile=f"{folder}/cert.pem")
            request = urllib.request.Request(stage.url + "/api/sign-in", json.dumps({"token": TOKENS["reader"]}).encode(), dict(OURS, Origin=stage.url))
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                cookie = answer.headers["Set-Cookie"]
            check(cookie.startswith("__Host-tercet_session=") and "Secure" in cookie, cookie)
            check(status_of(raw(stage, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 0, "plaintext is no HTTPS")
            taken = lambda version: subprocess.run(["openssl", "s_client", "-connect", stage.http, version, "-cipher", "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL,
                                                   capture_output=True, timeout=30).returncode == 0
            check(taken("-tls1_2"), "TLS 1.2")
            check(not taken("-tls1_1") and not taken("-tls1"), "nothing older")


def make_certificate(folder, name, signer, days=2, usage="clientAuth"):
    run = lambda *command: subprocess.run(command, check=True, capture_output=True)
    path = lambda end: f"{folder}/{name}.{end}"
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path("key"), "-out", path("csr"), "-subj", "/CN=ops.example")
    with open(path("ext"), "w") as file:
        file.write(f"subjectAltName=DNS:{name}.example\nextendedKeyUsage={usage}\n")
    run("openssl", "x509", "-req", "-in", path("csr"), "-CA", f"{folder}/{signer}.pem", "-CAkey", f"{folder}/{signer}.key", "-CAcreateserial", "-days", str(days),
        "-extfile", path("ext"), "-out", path("pem"))


def make_authority(folder, name):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem",
                    "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)


def certificates(programs):
    """One that the rules name is a sign-in; one that is not to be trusted is as none."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("ca", "stranger"):
            make_authority(folder, name)
        for name, signer, more in (("ops", "ca", {}), ("looks", "ca", {}), ("unnamed", "ca", {}), ("forged", "stranger", {}), ("ops-server", "ca", {"usage": "serverAuth"}), ("past", "ca", {"days": 0})):
            make_certificate(folder, name, signer, **more)
        stage = Stage(programs, ["--tls-cert", f"{folder}/ca.pem", "--tls-key", f"{folder}/ca.key", "--tls-ca", f"{folder}/ca.pem"], access=True)
        with open(stage.path("access"), "a") as rules:
            rules.write("operator identity:ops.example anna\nreader identity:looks.example\noperator identity:forged.example\noperator identity:ops-server.example\noperator identity:past.example\n")

        def asks(name, path, body=None, **headers):
            context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
            if name:
                context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{name}.key")
            data = json.dumps(body).encode() if body is not None else None
            request = urllib.request.Request(stage.url + path, data, dict(OURS, Origin=stage.url, **headers))
            try:
                with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
        with stage:
            session = lambda name: json.loads(asks(name, "/api/session", {})[1])
            check(session("ops") == {"needs_token": False, "signed_in": True, "name": "ops.example"}, str(session("ops")))
            check(asks("ops", "/api/Admin/Pause", {"service": "none", "paused": True})[0] == 404, "an operator may")
            check(asks("looks", "/api/Admin/List", {})[0] == 200 and asks("looks", "/metrics")[0] == 200, "a reader looks")
            check(asks("looks", "/api/Admin/Pause", {"service": "none", "paused": True})[0] == 403, "and does no more")
            until(lambda: not session("past")["signed_in"], "its time is over", 30)
            for name in ("unnamed", "forged", "ops-server", "past", None):
                check(not session(name)["signed_in"], f"{name} is signed in")
                for path in ("List", "Pause"):
                    status, text = asks(name, "/api/Admin/" + path, {})
                    check(status == 401, f"{name}, {path}: {status} {text}")
                check(asks(name, "/metrics")[0] == 401, f"{name}: metrics")
            told = lambda **headers: asks(None, "/api/Admin/List", {}, **headers)[0]
            check(told(**{"tercet-identities": "ops.example", "tercet-own-secret": ""}) == 401, "a header is no certificate")
            check(asks("unnamed", "/metrics", None, Authorization="Bearer " + TOKENS["reader"])[0] == 200, "a token counts all the same")
            entry = json.loads(asks("ops", "/api/Admin/ListAudit", {})[1])["entries"][0]
            check(entry["who"] == "anna" and entry["says"].startswith("console: ops.example at 127.0.0.1"), str(entry))


if __name__ == "__main__":
    main([odd_requests, odd_calls, what_is_written_down_is_what_was_done, pages_of_others, sessions, many_and_slow, out_of_descriptors, stops_with_visitors, nothing_stays_of_who_was_killed, is_refused_where_it_would_let_in_more, says_that_tokens_can_be_read, tls, certificates],
         {"tercetd": sys.argv[1], "tercetctl": sys.argv[2], "quickstart": sys.argv[3]})
