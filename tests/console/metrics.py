#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""/metrics, /healthz and /readyz of a real tercetd: the numbers after a traffic that is known; who may look; and that the dashboard
and the alert rules name what is there.   metrics.py TERCETD TERCETCTL QUICKSTART_FOLDER SOURCE_FOLDER"""
import concurrent.futures, contextlib, json, pathlib, re, shutil, socket, subprocess, sys, tempfile

from stage import READY_SECONDS, TOKENS, Stage, check, main, read_metrics, stopped_thread, until, value_of

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PACKAGING = pathlib.Path(sys.argv[4]) / "packaging"


def scrape(stage, **more):
    answer = stage.ask("/metrics", **more)
    check(answer.status == 200, f"{answer.status} {answer.text}")
    return answer


def promtool(*words, text=None):
    done = subprocess.run([shutil.which("promtool"), *words], input=text, capture_output=True, text=True, timeout=60)
    check(done.returncode == 0, done.stdout + done.stderr)


def numbers_add_up(programs):
    with Stage(programs) as stage:
        stage.participant("flight")
        stage.participant("hotel")
        results = [stage.initiate() for _ in range(4)]  # there are three seats
        check(results == [0, 0, 0, 1], f"booked: {results}")

        def resolved():
            metrics = read_metrics(scrape(stage).text)
            done = sum(value_of(metrics, "tercet_transactions_resolved_total", outcome=o) for o in ("confirmed", "cancelled"))
            return metrics if done == 4 else None
        metrics = until(resolved, "four are resolved")

        def is_value(expected, name, **labels):
            check(value_of(metrics, name, **labels) == expected, f"{name}{labels}: {value_of(metrics, name, **labels)}, not {expected}")
        is_value(4, "tercet_transactions_begun_total")
        is_value(3, "tercet_transactions_decided_total", outcome="confirmed", cause="all_tried")
        is_value(1, "tercet_transactions_decided_total", outcome="cancelled", cause="refused")
        is_value(0, "tercet_transactions_decided_total", outcome="cancelled", cause="deadline")
        is_value(3, "tercet_transaction_decision_duration_seconds_count", outcome="confirmed")
        is_value(3, "tercet_transaction_resolution_duration_seconds_bucket", outcome="confirmed", le="+Inf")
        is_value(1, "tercet_transaction_resolution_duration_seconds_count", outcome="cancelled")
        for state in ("trying", "confirming", "cancelling"):
            is_value(0, "tercet_transactions_open", state=state)
        is_value(0, "tercet_transaction_oldest_age_seconds")
        refused = 0
        for service in ("flight", "hotel"):
            is_value(4, "tercet_service_calls_total", service=service, kind="try")
            is_value(3, "tercet_service_calls_total", service=service, kind="confirm")
            is_value(3, "tercet_service_results_total", service=service, kind="confirm", outcome="done")
            is_value(3, "tercet_service_results_total", service=service, kind="try", outcome="done")
            is_value(0, "tercet_service_results_total", service=service, kind="confirm", outcome="lost")
            is_value(1, "tercet_service_instances", service=service)
            is_value(0, "tercet_service_breaker_open", service=service)
            is_value(0, "tercet_service_oldest_call_age_seconds", service=service)
            refused += value_of(metrics, "tercet_service_results_total", service=service, kind="try", outcome="refused")
        check(1 <= refused <= 2, f"{refused} tries were refused")
        commits = value_of(metrics, "tercet_commits_total")
        check(commits >= 8, f"{commits} commits of four transactions")
        is_value(commits, "tercet_commit_duration_seconds_count")
        is_value(commits, "tercet_commit_batch_records_count")
        check(value_of(metrics, "tercet_commit_duration_seconds_sum") > 0, "commits take time")
        check(value_of(metrics, "process_resident_memory_bytes") > 1 << 20, "memory")
        check(value_of(metrics, "tercet_connections") >= 2, "connections")
        is_value(1, "tercet_accepting")


def what_waits_is_told(programs):
    """A service that nobody serves, then one that is paused."""
    with Stage(programs) as stage:
        stage.participant("flight")
        check(stage.ctl("pause", "flight")[0] == 0, "pause")
        stage.run("initiator", [programs["quickstart"] + "/quickstart-initiator", stage.listen])

        def waits():
            metrics = read_metrics(scrape(stage).text)
            open_count = value_of(metrics, "tercet_transactions_open", state="trying")
            ages = [value_of(metrics, "tercet_transaction_oldest_age_seconds"), *[v for (name, labels), v in metrics.items() if labels == {("service", "flight")}
                                                                                  and name == "tercet_service_oldest_call_age_seconds"]]
            is_it = open_count == 1 and value_of(metrics, "tercet_service_calls_waiting", service="flight") == 1 and len(ages) == 2 and min(ages) > 0
            return metrics if is_it else None
        metrics = until(waits, "a call waits, and gets older")
        check(value_of(metrics, "tercet_service_paused", service="flight") == 1, "paused")
        check(value_of(metrics, "tercet_service_instances", service="hotel") == 0, "nobody serves it")


def scrapes_take_no_series(programs):
    """There are two hundred for services. Such as are there, and are never called, take them from nobody who is."""
    with Stage(programs) as stage, concurrent.futures.ThreadPoolExecutor(4) as pool:
        check(all(code == 0 for code, _ in pool.map(lambda i: stage.ctl("register", f"idle{i}", "127.0.0.1:1"), range(201))), "registered")
        metrics = read_metrics(scrape(stage).text)
        check(value_of(metrics, "tercet_service_instances", service="(other)") == 1, "one is past the bound")
        for service in ("flight", "hotel"):
            stage.participant(service)
        check(stage.initiate() == 0, "booked")
        metrics = read_metrics(scrape(stage).text)
        for service in ("flight", "hotel"):
            check(value_of(metrics, "tercet_service_calls_total", service=service, kind="try") == 1, service)
            check(value_of(metrics, "tercet_service_instances", service=service) == 1, service)
        check(value_of(metrics, "tercet_service_instances", service="(other)") == 3, "others had to go")


def formats_are_as_promised(programs):
    with Stage(programs) as stage:
        stage.participant("flight")
        new, old = scrape(stage, Accept=OPENMETRICS), scrape(stage)
        check(new.headers["Content-Type"] == OPENMETRICS + "; charset=utf-8", new.headers["Content-Type"])
        check(old.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8", old.headers["Content-Type"])
        check(new.text.endswith("\n# EOF\n"), "its end")
        check("# EOF" not in old.text, "no end")
        if shutil.which("promtool"):
            promtool("check", "metrics", text=old.text)
        else:
            print("       without promtool, of Debian's package prometheus")
        try:
            from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
        except ImportError:
            print("       without python3-prometheus-client")
            return
        families = {family.name: family for family in parse(new.text)}
        check(families["tercet_transactions_begun"].type == "counter", "a counter")
        check(families["tercet_commit_duration_seconds"].unit == "seconds", "a unit")


def who_may_look(programs):
    with Stage(programs, access=True) as stage:
        check(stage.ask("/metrics").status == 401, "without a token")
        check("Bearer" in stage.ask("/metrics").headers["WWW-Authenticate"], "says how")
        check(stage.ask("/metrics", token="x" * 20).status == 401, "a token that nobody has")
        check(stage.ask("/metrics", token=TOKENS["participant"]).status == 403, "a role that does not look")
        check("reader" in stage.ask("/metrics", token=TOKENS["participant"]).text, "says what is wanted")
        check(stage.ask("/metrics", token=TOKENS["reader"]).status == 200, "a reader")
        check(stage.ask("/healthz").status == 200 and stage.ask("/readyz").status == 200, "health needs none")
    with Stage(programs, ["--metrics-open"], access=True) as stage:
        check(stage.ask("/metrics").status == 200, "--metrics-open")


def stall_is_told_from_death(programs):
    """The coordinator's thread is stopped alone: it is healthy for a while, as the watchdog is told; then it is stuck; and it goes on."""
    with tempfile.TemporaryDirectory() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(place + "/notify")
        systemd.settimeout(READY_SECONDS)
        hears = lambda what: until(lambda: systemd.recv(4096) == what, what, 2 * READY_SECONDS)
        with Stage(programs, environment={"NOTIFY_SOCKET": place + "/notify", "WATCHDOG_USEC": "16000000"}) as stage:
            hears(b"WATCHDOG=1")
            with stopped_thread(stage.tercetd.pid, "tercet-owner"):
                check(stage.ask("/healthz").status == 200, "the first probe, just after it was held up")
                hears(b"WATCHDOG=1")
                until(lambda: stage.ask("/healthz").status == 503, "it is stuck")
                check(stage.ask("/readyz").status == 503, "and not ready")
                systemd.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while systemd.recv(4096):
                        pass
                systemd.settimeout(6)  # longer than from one sign to the next
                try:
                    check(False, f"the watchdog hears {systemd.recv(4096)}")
                except socket.timeout:
                    systemd.settimeout(READY_SECONDS)
            until(lambda: stage.ask("/healthz").status == 200, "it goes on")
            hears(b"WATCHDOG=1")


def full_is_not_ready(programs):
    with Stage(programs, ["--open-max", "1"]) as stage:
        stage.participant("flight")
        check(stage.ask("/readyz").status == 200, "there is room for one")
        check(stage.ctl("pause", "flight")[0] == 0, "pause")
        stage.run("initiator", [programs["quickstart"] + "/quickstart-initiator", stage.listen])
        until(lambda: stage.ask("/readyz").status == 503, "it is open, and there is room for no other")
        check(stage.ask("/healthz").status == 200, "which is no illness")
        check(value_of(read_metrics(scrape(stage).text), "tercet_accepting") == 0, "a scrape tells, too")
        check("--open-max" in stage.ctl("stats")[1], "and stats say why: " + stage.ctl("stats")[1])
        check(stage.ctl("resume", "flight")[0] == 0, "resume")
        stage.participant("hotel")
        until(lambda: stage.ask("/readyz").status == 200, "it has ended")


def expressions():
    dashboard = json.loads((PACKAGING / "grafana/tercet.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]
    rules = (PACKAGING / "prometheus/tercet.rules.yml").read_text()
    for block in re.findall(r"expr: (?:\|\n((?: {10}.*\n)+)|(.*)\n)", rules):
        yield "a rule", block[0] or block[1]


def dashboard_and_rules_name_what_is_there(programs):
    with Stage(programs) as stage:
        stage.participant("flight")
        stage.participant("hotel")
        check(stage.initiate() == 0, "booked")
        there = {name for name, _ in read_metrics(scrape(stage).text)}
    count = 0
    for where, expression in expressions():
        for name in re.findall(r"\b(?:tercet|process)_\w+", expression):
            check(name in there, f"{where} names {name}, which is not there")
            count += 1
    check(count > 20, f"{count} names were looked at")
    if shutil.which("promtool"):
        promtool("check", "rules", str(PACKAGING / "prometheus/tercet.rules.yml"))
        promtool("test", "rules", str(PACKAGING / "prometheus/tercet.rules.test.yml"))


if __name__ == "__main__":
    main([numbers_add_up, what_waits_is_told, scrapes_take_no_series, formats_are_as_promised, who_may_look, stall_is_told_from_death, full_is_not_ready, dashboard_and_rules_name_what_is_there],
         {"tercetd": sys.argv[1], "tercetctl": sys.argv[2], "quickstart": sys.argv[3]})
