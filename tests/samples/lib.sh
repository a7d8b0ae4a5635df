# SPDX-License-Identifier: Apache-2.0
# What the samples' tests share. Source it after `set -eu`; it makes a temporary directory, `dir`, and stops everything that
# `start` has started when the script ends, however it ends. Every wait is bounded.
# TERCETD, SHOP, EDU and QUICKSTART name the daemon and the folders with the programs.

dir=$(mktemp -d "${TMPDIR:-/tmp}/tercet-samples-XXXXXX")
pids=""
READY_SECONDS=30
STOP_SECONDS=30

fail() {
    echo "FAILED: $*"
    exit 1
}

# start NAME PROGRAM ARGUMENT...: in the background; its output goes to NAME.out and NAME.err.
start() {
    local name=$1
    shift
    "$@" >"$dir/$name.out" 2>"$dir/$name.err" &
    eval "pid_$name=$!"
    pids="$pids $!"
}

# await_ready NAME: until it has printed a line "ready ...", which is left in $ready.
await_ready() {
    local name=$1 pid_of="pid_$1" tenths=0
    until ready=$(grep -hs '^ready' "$dir/$name.out" "$dir/$name.err"); do
        kill -0 "${!pid_of}" 2>/dev/null || fail "$name ended: $(cat "$dir/$name.err")"
        tenths=$((tenths + 1))
        [ $tenths -lt $((READY_SECONDS * 10)) ] || fail "$name is not ready: $(cat "$dir/$name.err")"
        sleep 0.1
    done
}

# stop NAME: by SIGTERM; it has to end with status 0, in time.
stop() {
    local name=$1 pid_of="pid_$1" status=0
    kill -TERM "${!pid_of}"
    end "${!pid_of}" || status=$?
    [ $status -eq 0 ] || fail "$name ended with status $status: $(cat "$dir/$name.err")"
}

# end PID: waits for it, kills it when it takes too long. Its exit status.
end() {
    local pid=$1 tenths=0
    while kill -0 "$pid" 2>/dev/null && [ $tenths -lt $((STOP_SECONDS * 10)) ]; do
        tenths=$((tenths + 1))
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    pids=" $pids "
    pids=${pids/ $pid / }
    wait "$pid" 2>/dev/null
}

clean_up() {
    local status=$? pid
    for pid in $pids; do
        kill -KILL "$pid" 2>/dev/null || true
    done
    wait 2>/dev/null
    if [ $status -ne 0 ]; then
        tail -n 40 "$dir"/*.err "$dir"/*.out || true
        echo "(files of this run were in $dir)"
    fi
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

# kill_hard NAME: as a crash does.
kill_hard() {
    local pid_of="pid_$1"
    kill -KILL "${!pid_of}"
    end "${!pid_of}" || true
}

# await_line NAME PATTERN COUNT: until the program has printed so many lines like this; it must not have ended then.
await_line() {
    local name=$1 pid_of="pid_$1" hundredths=0
    until [ "$(grep -c "$2" "$dir/$name.out")" -ge "$3" ]; do
        hundredths=$((hundredths + 1))
        [ $hundredths -lt $((READY_SECONDS * 100)) ] || fail "$name: no $3 lines \"$2\" in time"
        sleep 0.01
    done
    kill -0 "${!pid_of}" 2>/dev/null || fail "$name ended before it could be disturbed"
}

# await_end NAME SECONDS: until it ends by itself, with status 0.
await_end() {
    local name=$1 pid_of="pid_$1"
    timeout "$2" tail --pid="${!pid_of}" -f /dev/null || fail "$name does not end"
    end "${!pid_of}" || fail "$name: $(cat "$dir/$name.out" "$dir/$name.err")"
}

# start_coordinator: on a free port; its address is left in $coordinator. Again on the same: start_coordinator ADDRESS.
# Its port lies below those that the system gives to connections, so that none has it when the coordinator comes again.
start_coordinator() {
    local address=${1:-}
    while [ -z "$address" ] || { [ $# = 0 ] && (exec 3<>"/dev/tcp/${address/://}") 2>/dev/null; }; do
        address=127.0.0.1:$((10000 + RANDOM % 22768))
    done
    start coordinator "$TERCETD" --data "$dir/coordinator" --listen "$address" --quiet
    await_ready coordinator
    coordinator=${ready#ready }
}

# planted NAME DATABASE SQL WANTED: the `audit` of a copy with this change in it has to fail, and to say WANTED.
planted() {
    local name=$1 database=$2 sql=$3 wanted=$4
    rm -rf "$dir/planted"
    mkdir "$dir/planted"
    cp "$dir"/*.db "$dir/log" "$dir/planted"
    "$SQL" "$dir/planted/$database.db" "PRAGMA ignore_check_constraints = ON; $sql"
    (dir="$dir/planted"; expect_status 1 audit --at-rest) >"$dir/planted.out"
    grep -q "$wanted" "$dir/planted.out" || fail "$name: no \"$wanted\" in: $(cat "$dir/planted.out")"
    echo "planted and found: $name"
}

# expect_status WANTED PROGRAM ARGUMENT...
expect_status() {
    local wanted=$1 status=0
    shift
    "$@" >"$dir/last.out" 2>&1 || status=$?
    cat "$dir/last.out"
    [ $status -eq "$wanted" ] || fail "exit status $status instead of $wanted: $*"
}
