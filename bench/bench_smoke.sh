#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# bench_smoke.sh TERCET-BENCH TERCETD BARRIER DATABASE...: short, small runs of every form, and on one of the databases, another
# one each hour (all of them with TERCET_BENCH_ALL=1). They must count every effect exactly once, and print what they promise;
# nothing is judged by the clock.
set -euo pipefail
bench=$1
tercetd=$2
barrier=$3
shift 3

# A JSON result on standard input: figures are there, and the counts fit. Without python3 the exit status alone decides.
check() {
    if ! command -v python3 >/dev/null; then
        cat >/dev/null
        return
    fi
    python3 -c '
import json, sys
result = json.load(sys.stdin)
branches = result["options"]["branches"]
audit = result["exactly_once"]
assert result["transactions_per_second"] > 0, result
assert result["decision_us"]["count"] > 0 and result["decision_us"]["p50"] > 0, result
assert audit["violations"] == 0 and audit["unknown"] == 0, audit
assert audit["transactions"] == audit["confirmed"] + audit["cancelled"], audit
assert (audit["cancelled"] > 0) == (result["options"]["refuse_percent"] > 0), audit
if audit["cancelled"] == 0:
    assert audit["effects"] == 2 * branches * audit["transactions"], audit
assert result["forced_syncs_per_transaction"] > 0 and result["calls_per_transaction"] > 0, result
assert result["cpu_us_per_transaction"]["coordinator"] > 0, result
if result["limits"] is not None:
    assert result["limits"]["echo_records_per_second"] > 0 and result["ratios"]["of_store"] > 0, result
    assert all(us > 0 for us in result["bare_cpu_us_per_transaction"].values()), result
    assert result["ratios"]["coordinator_cpu_to_bare"] > 0, result
    if result["options"]["barrier"] in ("lmdb", "postgres", "mysql", "redis"):
        assert result["limits"]["calls_per_database_commit"] >= 1, result
        assert result["limits"]["database_try_us"]["count"] > 0 and result["ratios"]["of_database"] > 0, result
    assert result["limits"]["echo_us"]["count"] > 0 and result["limits"]["echo_to_participants_us"]["count"] > 0, result
'
}

run() {
    echo "tercet-bench $*"
    timeout 60 "$bench" --tercetd "$tercetd" --warmup 0 -o json "$@" | check
}

# The same for --unresolved: N transactions were where they were to be at each moment, whatever the figures are.
check_unresolved() {
    if ! command -v python3 >/dev/null; then
        cat >/dev/null
        return
    fi
    python3 -c '
import json, sys
result = json.load(sys.stdin)
count = result["options"]["unresolved"]
moments = result["moments"]
audit = result["exactly_once"]
assert audit["violations"] == 0 and audit["unknown"] == 0 and audit["cancelled"] == 0, audit
assert audit["confirmed"] == audit["transactions"] > 2 * count, audit
assert audit["effects"] == 2 * result["options"]["branches"] * audit["transactions"], audit
assert moments["trying"]["trying"] == count and moments["trying"]["confirming"] == 0, moments
for name in "confirming", "worked_full", "restarted", "refilled":
    assert count <= moments[name]["trying"] + moments[name]["confirming"] <= count + 1, (name, moments)
assert moments["confirming"]["confirming"] == count, moments
for name in "worked_empty", "drained", "settled", "worked_drained", "redrained":
    assert moments[name]["trying"] + moments[name]["confirming"] <= 1, (name, moments)
assert moments["settled"]["resolved_records"] == 0 and moments["drained"]["resolved_records"] > 0, moments
assert all(moment["heap_mib"] > 0 and moment["file_mib"] > 0 for moment in moments.values()), moments
for name in "work_empty", "work_full", "work_drained":
    assert result[name]["transactions_per_second"] > 0, result[name]
assert 0 < result["restart"]["ready_seconds"] < result["restart"]["first_decided_seconds"], result["restart"]
assert result["redriven_per_second"]["after_restart"] > 0 and result["file_growth"]["drained"] > 0, result
'
}

echo "tercet-bench --unresolved"
timeout 120 "$bench" --tercetd "$tercetd" --unresolved 2000 --duration 1 --warmup 0 --in-flight 100 -o json | check_unresolved
run --form run --duration 2 --in-flight 50 --limits 1
run --form run --duration 1 --in-flight 20 --limits 0 --refuse 30 --barrier "$barrier" --wait resolved
run --form steps --duration 1 --in-flight 20 --limits 1 --refuse 30 --wait resolved --transport unix
run --form own --duration 1 --in-flight 8 --limits 0 --refuse 30 --branches 3
run --form own --duration 1 --in-flight 8 --limits 1 --api unary --transport unix
run --form run --duration 1 --limits 0 --api unary --rate 200 --participants 1
databases=("$@")
[ -n "${TERCET_BENCH_ALL:-}" ] || databases=("${databases[$(($(date +%s) / 3600 % $#))]}")
for database in "${databases[@]}"; do
    run --form run --duration 1 --in-flight 50 --limits 1 --refuse 10 --barrier "$database"
done

# Ended by a signal it fails, and leaves neither files nor processes behind.
echo "tercet-bench, and SIGTERM"
dir=$(mktemp -d /var/tmp/tercet-bench-smoke.XXXXXX)
trap 'rm -rf "$dir"' EXIT
"$bench" --tercetd "$tercetd" --dir "$dir" --duration 60 --limits 0 &
pid=$!
for _ in $(seq 600); do
    if [ -n "$(find "$dir" -name data.mdb)" ]; then break; fi
    sleep 0.05
done
[ -n "$(find "$dir" -name data.mdb)" ]
kill -TERM "$pid"
status=0
wait "$pid" || status=$?
[ "$status" = 1 ] || { echo "status $status instead of 1"; exit 1; }
[ -z "$(ls -A "$dir")" ] || { echo "left behind: $(ls -A "$dir")"; exit 1; }
