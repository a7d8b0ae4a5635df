#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# config_test.sh TERCETD TERCETCTL CASE: tercetd's options from command line, environment and file.
set -euo pipefail
tercetd=$1 tercetctl=$2 case=$3
dir=$(mktemp -d)
pid=
trap 'test -z "$pid" || kill -KILL "$pid" 2>/dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
# Root may do what others may not: as somebody else, then.
if [ "$(id -u)" -eq 0 ] && [ "$case" != check ]; then
  as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
  "${as_nobody[@]}" test -r "$0" -a -x "$tercetd" || { echo "skipped: nobody cannot run $tercetd"; exit 77; }
  chown 65534:65534 "$dir"
  "${as_nobody[@]}" "$0" "$@"
  exit
fi
for variable in $(compgen -e TERCET_); do unset "$variable"; done
export HOME=$dir TERCET_CONFIG=none

fail() { echo "FAILED in $case: $*" >&2; cat out err >&2 2>/dev/null; exit 1; }

# run STATUS ARGUMENT...: tercetd must end with it.
run() {
  local wanted=$1 status=0
  shift
  timeout 30 "$tercetd" "$@" >out 2>err || status=$?
  [ "$status" -eq "$wanted" ] || fail "tercetd $* ended with $status, not $wanted"
}
says() { grep -qF -- "$1" "${2:-out}" || fail "it does not say \"$1\""; }

# value OPTION VALUE WHERE: what the last --print-config has.
value() { grep -qE "^(# )?$1 +# $2\$" out || fail "no \"$1\" from $2"; }

# wrong CONTENT WORDS: such a file is refused with 2 and these words, which begin with its name and line.
wrong() {
  printf '%b' "$1" >wrong.yaml
  run 2 --config wrong.yaml --check-config
  says "tercetd: wrong.yaml$2" err
}

start() { # OPTION...
  rm -f "$dir/ready"
  mkfifo "$dir/ready"
  "$tercetd" "$@" >"$dir/ready" 2>"$dir/err" &
  pid=$!
  read -r line <ready || fail "tercetd did not start"
  case $line in ready*) ;; *) fail "tercetd said $line" ;; esac
}
# Waits until the log has the words so many times.
await_log() { # WORDS COUNT
  for _ in $(seq 3000); do
    [ "$(grep -cF -- "$1" err || true)" -ge "$2" ] && return
    sleep 0.01
  done
  fail "the log never had \"$1\" $2 times"
}
stop() { kill -TERM "$pid"; wait "$pid" || fail "it ended with $?"; pid=; }

case $case in
precedence)
  printf 'data: from-file\nretention: 1d\ncall-timeout: 1s\nlisten: [unix:a, unix:b]\nguard-health: true\naccess: rules\n' >c.yaml
  run 0 --config c.yaml --print-config
  value 'retention: 1d' c.yaml:2
  value '  - .unix:a.' c.yaml:4
  value '  - .unix:b.' c.yaml:4
  value 'grace: 5s' default
  value 'store-size: 64G' default
  value 'backup-dir:' 'not set'
  TERCET_RETENTION=2d TERCET_CALL_TIMEOUT=2s TERCET_LISTEN=unix:c,unix:d TERCET_GRACE= \
    run 0 --config c.yaml --print-config --call-timeout 3s --guard-health=false
  value 'data: from-file' c.yaml:1
  value 'retention: 2d' TERCET_RETENTION
  value 'call-timeout: 3s' 'the command line'
  value '  - .unix:d.' TERCET_LISTEN
  value 'guard-health: false' 'the command line'
  value 'grace: 5s' default
  ! grep -q unix:a out || fail "the file's addresses count beside those of the environment"
  # What was printed is a file that says the same.
  sed 's/ *#.*//' out >printed
  cp out again.yaml
  run 0 --config again.yaml --print-config
  sed 's/ *#.*//' out | cmp - printed || fail "the printed file says something else"
  TERCET_CONFIG=c.yaml run 0 --print-config
  value 'retention: 1d' c.yaml:2
  run 0 --quiet --print-config
  value 'log-level: warning' 'the command line'
  ;;
mangled)
  command -v python3 >/dev/null || { echo "skipped: python3 is not there"; exit 77; }
  # Files that are nearly right: bytes changed, left out, said twice. Each is taken, or refused with its name and a line.
  python3 - <<'PY'
import pathlib, random
good = b"# a file\ndata: store\nlisten: ['127.0.0.1:0', \"unix:a\"]\nretention: 7d\nguard-health: false\nlog-level: >-\n  info\nunix-mode: 0660\n"
draw = random.Random(4711)
for i in range(120):
    text = bytearray(good)
    for _ in range(draw.randint(1, 4)):
        at, kind = draw.randrange(len(text)), draw.randrange(4)
        if kind == 0:
            text[at] = draw.randrange(256)
        elif kind == 1:
            del text[at:at + draw.randint(1, 8)]
        elif kind == 2:
            text[at:at] = text[at:at + draw.randint(1, 40)]
        else:
            text[at:at] = draw.choice([b"[", b"{", b"&a ", b"*a", b"!!map ", b"---\n", b"\n", b"\t", b"\xc3", b"'", b'"', b"? ", b": "])
    pathlib.Path(f"mangled{i}.yaml").write_bytes(text)
PY
  refused=0
  for ((i = 0; i < 120; i++)); do
    status=0
    timeout 30 "$tercetd" --config "mangled$i.yaml" --print-config >out 2>err || status=$?
    [ "$status" -eq 0 ] && continue
    refused=$((refused + 1))
    [ "$status" -eq 2 ] || fail "mangled$i.yaml ends it with $status"
    grep -qaE "^tercetd: (mangled$i.yaml:[0-9]+: |--guard-health needs)" err || fail "mangled$i.yaml: it does not say where"
  done
  [ "$refused" -gt 30 ] && [ "$refused" -lt 120 ] || fail "$refused of 120 were refused: that tries nothing"
  ;;
secrets)
  run 0 --data 'db://me:hunter2@host/x' --print-config
  says 'db://me:***@host/x'
  ! grep -q hunter2 out || fail "the password is shown"
  # shown VALUE AS: a password is never shown, whatever is in it; what has none is shown as it is.
  shown() {
    run 0 --data "$1" --print-config
    says "$2"
    ! grep -qE 'hunter|ter2' out || fail "the password of $1 is shown"
  }
  shown 'db://me:hun/ter2@host/x' "'db://me:***@host/x'"
  shown 'db://me:hun?ter2@host/x' "'db://me:***@host/x'"
  shown 'db://me:hun@ter2@host/x' "'db://me:***@host/x'"
  shown 'db://:hunter2@host' "'db://:***@host'"
  shown 'db://host/x?password=hunter2' "'db://host/x?password=***'"
  shown 'db://host/x?a=b&sslPassWord=hunter2&c=d' "'db://host/x?a=b&sslPassWord=***&c=d'"
  shown 'db://me:hunter2@host/x?passwd=hunter2' "'db://me:***@host/x?passwd=***'"
  shown 'db:host=x password=hunter2 and hunter2' "'db:host=x password=***'"
  shown 'db://host:3306/x?a=b' "'db://host:3306/x?a=b'"
  shown 'db://me@host/x' "'db://me@host/x'"
  # A long value is printed whole: it is a file still.
  long=/$(printf 'a%.0s' $(seq 700))
  run 0 --data "$long" --backup-dir "$long'b" --print-config
  says "data: $long "; says "backup-dir: '$long''b' "
  cp out long.yaml
  run 0 --config long.yaml --print-config
  says "backup-dir: '$long''b' "
  ;;
wrong)
  wrong 'retenton: 8d\n' ':1: there is no option retenton: did you mean retention?'
  wrong '\n\nstore_size: 8G\n' ':3: there is no option store_size: did you mean store-size?'
  wrong 'xyzzyxyzzy: 8d\n' ':1: there is no option xyzzyxyzzy'
  wrong 'data: a\n# more\ndata: b\n' ':3: data is given twice: line 1 has it, too'
  wrong 'data: [a]\n' ':1: data takes one value, not a list'
  wrong 'data: {a: b}\n' ':1: data: a value is wanted, not names'
  wrong 'listen: [[a]]\n' ':1: listen: a value is wanted'
  wrong 'listen: [a, b, c, d, e, f, g, h, i]\n' ':1: listen: i: at most 8 addresses'
  wrong '- a\n' ':1: lines such as'
  wrong 'just words\n' ':1: lines such as'
  wrong 'data:\n' ':1: data: there is no value'
  wrong 'data: &x a\n' ':1: data: a value is wanted, without'
  wrong 'data: !!int 3\n' ':1: data: a value is wanted, without'
  wrong 'data: a\n---\ndata: b\n' ':2: there is a second document'
  wrong 'data: "unclosed\n' ':'
  wrong 'data: a\001b\n' ':1: this is no YAML: control characters'
  wrong 'data: a\000b\n' ':1: this is no YAML'
  wrong 'data: "a\\0b"\n' ':1: data: the value has a zero byte'
  wrong 'data: \xff\xfe\n' ':1: this is no YAML'
  wrong '\tdata: a\n' ':1: this is no YAML'
  wrong 'retention: long\n' ':1: retention: long: a duration is a number'
  wrong 'guard-health: maybe\n' ':1: guard-health: maybe: true or false is wanted'
  wrong 'new: true\n' ':1: new is for the command line only'
  wrong 'config: x\n' ':1: config is for the command line only'
  wrong 'quiet: true\n' ':1: quiet is for the command line only; here, say log-level'
  printf 'tls-cert: x\n' >c.yaml
  run 2 --config c.yaml; says '--tls-cert needs --tls-key, too' err
  TERCET_RETENTION=long run 2; says 'TERCET_RETENTION=long: a duration is' err
  ;;
files)
  run 2 --config missing.yaml; says 'missing.yaml: No such file' err
  run 2 --config .; says '.: this is no file but a directory' err
  run 2 --config /dev/zero; says '/dev/zero: this is no file' err
  mkfifo pipe
  run 2 --config pipe; says 'pipe: this is no file' err
  head -c 300000 /dev/zero | tr '\0' '#' >huge.yaml
  run 2 --config huge.yaml; says 'it has 300000 bytes; options take at most 262144' err
  printf 'retention: 3d\n' >real.yaml
  ln -s real.yaml link.yaml
  run 0 --config link.yaml --print-config; value 'retention: 3d' link.yaml:1
  ln -s nowhere dangling.yaml
  run 2 --config dangling.yaml; says 'dangling.yaml: No such file' err
  ln -s loop.yaml loop.yaml
  run 2 --config loop.yaml; says 'loop.yaml: Too many levels' err
  chmod 000 real.yaml
  run 2 --config real.yaml; says 'real.yaml: Permission denied' err
  : >empty.yaml
  run 0 --config empty.yaml --check-config
  printf '# nothing\n---\n' >comments.yaml
  run 0 --config comments.yaml --check-config
  ;;
check)
  run 0 --check-config; says 'tercetd can start so'
  [ -z "$(find . -name '*.mdb')" ] || fail "a store was made"
  TERCET_RETENTON=1d run 2 --check-config; says 'tercetd: nothing reads the variable TERCET_RETENTON: is TERCET_RETENTION meant?' err
  run 0 --check-config; [ ! -s err ] || fail "it warns of nothing"
  run 1 --check-config --listen 0.0.0.0:7420; says 'can be reached from other machines' err
  echo 'king 0123456789abcdef0123' >rules
  run 1 --check-config --access rules; says 'a role is initiator' err
  run 1 --check-config --access nowhere; says 'nowhere: No such file' err
  run 1 --check-config --log-level info,shop=debug; says 'a part of the log is' err
  run 1 --check-config --data rules; says 'rules: it is no directory' err
  run 1 --check-config --backup-dir nowhere; says nowhere err
  # Beside one that runs, at the same address and store.
  start --data store --listen 127.0.0.1:0
  run 0 --check-config --data store --listen "$(cut -d" " -f2 <<<"$line")" || fail "it disturbs one that runs"
  cp /dev/null err
  stop
  ;;
start)
  # Nothing is given but an address: the store has a place of its own, and the log says where.
  export XDG_STATE_HOME=$dir/state/of/mine
  HOME='' XDG_STATE_HOME='' run 2 --check-config
  says '--data DIR is needed, since HOME is not set' err
  HOME=/dev/null XDG_STATE_HOME='' run 1 --listen 127.0.0.1:0
  says 'give the store another place with --data DIR' err
  TERCET_RETENTON=1d start --listen 127.0.0.1:0
  await_log "no --data was given: the store is in $XDG_STATE_HOME/tercet" 1
  await_log 'nothing reads the variable TERCET_RETENTON: is TERCET_RETENTION meant?' 1
  [ -e "$XDG_STATE_HOME/tercet/data.mdb" ] || fail "there is no store"
  stop
  ;;
notify)
  command -v python3 >/dev/null || { echo "skipped: python3 is not there to listen"; exit 77; }
  # Plays systemd: takes what comes, and says it line by line.
  mkfifo told
  python3 -uc 'import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("notify"); print("listening")
while True: print(s.recv(4096).decode())' >told &
  systemd=$!
  exec {told}<told
  next() { read -r -t 60 -u "$told" heard || fail "nothing is told"; }
  # Waits for one; signs of life may come before it.
  hears() { next; while [ "$heard" = WATCHDOG=1 ] && [ "$1" != WATCHDOG=1 ]; do next; done; [ "$heard" = "$1" ] || fail "$heard, not $1"; }
  hears listening
  export NOTIFY_SOCKET=$dir/notify WATCHDOG_USEC=2000000
  start --data memory: --listen 127.0.0.1:0
  hears READY=1
  hears WATCHDOG=1
  hears WATCHDOG=1
  kill -HUP "$pid"
  hears RELOADING=1
  hears READY=1
  stop
  hears STOPPING=1
  kill "$systemd"
  # For another process, for nobody, and where nobody listens.
  WATCHDOG_PID=1 NOTIFY_SOCKET=$dir/nowhere start --data memory: --listen 127.0.0.1:0
  stop
  ;;
dev)
  start dev --listen 127.0.0.1:0
  read -r _ TERCET_COORDINATOR _ <<<"$line"; export TERCET_COORDINATOR
  ctl() { "$tercetctl" "$@" >out 2>&1; }
  for _ in 1 2 3; do ctl run flight/book hotel/book || fail "a trip is not booked"; says ': CONFIRM'; done
  ctl run flight/book hotel/book && fail "a fourth trip is booked"
  says 'no seat left'
  ctl stats; says '- (store in memory)'
  # What it says to try, in that order, with no seat left: the paused run hangs, and its gid is known.
  ctl pause hotel || fail "hotel is not paused"
  : >run.out
  "$tercetctl" run hotel/book >run.out 2>&1 &
  run=$!
  for _ in $(seq 300); do gid=$(sed -n 's/: asked for.*//p' run.out); [ -z "$gid" ] || break; sleep 0.1; done
  for _ in $(seq 300); do ctl why "$gid" && grep -q paused out && break; done
  says "$gid is TRYING"; tr "\n" " " <out >flat; says "unless the try of branch 1 is done by then" flat; says "tercetctl resume hotel"
  ctl resume hotel
  wait "$run" && fail "there is a seat in no hotel"
  ctl run nobody/serves --timeout 100ms && fail "nobody serves nobody"
  stop
  [ -z "$(find . -name '*.mdb')" ] || fail "it leaves a store behind"
  run 2 dev more; says 'there are no arguments but options, and "dev"' err
  run 2 dev --access x; says 'dev has no --access' err
  run 2 dev --data store; says 'dev has no --data' err
  run 1 dev --listen 127.0.0.1:99999; says 'cannot listen' err
  TERCET_CONFIG='' run 0 dev --print-config
  value 'data: .memory:.' dev
  ;;
reload)
  config() { printf '%s\n' "data: store" "listen: ['127.0.0.1:0']" "$@" >new.yaml; mv new.yaml c.yaml; }
  echo 'admin aaaaaaaaaaaaaaaaaaaaaaaa' >rules
  config 'retention: 7d' 'access: rules'
  start --config c.yaml
  await_log 'options are read from c.yaml' 1
  hup() { kill -HUP "$pid"; }
  config 'retention: 8d' 'access: rules' 'log-level: debug' 'grace: 1s'
  hup
  await_log 'SIGHUP: c.yaml was read anew' 1
  await_log 'SIGHUP: c.yaml:3: retention is 8d now; 7d counts until tercetd is started again' 1
  await_log 'SIGHUP: log-level is debug now' 1
  await_log 'SIGHUP: the access rules were read anew' 1
  config 'retenton: 8d' 'access: rules'
  hup
  await_log 'SIGHUP: c.yaml:3: there is no option retenton: did you mean retention?; the old options stay' 1
  rm c.yaml
  hup
  await_log 'SIGHUP: c.yaml: No such file or directory; the old options stay' 1
  config 'retention: 7d'
  hup
  await_log 'SIGHUP: access cannot go while tercetd runs' 1
  await_log 'SIGHUP: c.yaml was read anew' 2
  config 'retention: 7d' 'access: rules' 'log-level: nonsense'
  hup
  await_log 'SIGHUP: c.yaml:5: log-level: nonsense: error, warning, info or debug is wanted' 1
  config 'retention: 7d' 'access: rules' 'log-level: info,nonsense=debug'
  hup
  await_log 'log-level info,nonsense=debug: ' 1
  config 'retention: 7d' 'access: rules' 'log-level: info,nonsense=debug' 'grace: 2s'
  hup
  await_log 'log-level info,nonsense=debug: ' 2 # told each time, since it was not taken
  config 'access: rules'
  hup
  await_log 'retention is not given now; 7d counts until tercetd is started again' 1
  grep -q 'grace' err && fail "grace needs no restart"
  stop
  ;;
reload_files)
  command -v openssl >/dev/null || { echo "skipped: openssl is not there to make certificates"; exit 77; }
  for name in A B C; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$name" \
      -addext subjectAltName=IP:127.0.0.1 -keyout key$name -out cert$name 2>/dev/null
    echo "admin $name$name$name-0123456789abcdefgh" >access$name
  done
  # admits TOKEN SERVER: a client with this token finds the server's certificate and is let in.
  admits() {
    TERCET_TOKEN=$1$1$1-0123456789abcdefgh timeout 30 "$tercetctl" --timeout 10s --coordinator "$address" \
      --tls-ca "cert$2" --tls-cert certA --tls-key keyA ls >out 2>&1
  }
  config() { printf '%s\n' "data: store" "listen: ['127.0.0.1:0']" "$@" >new.yaml; mv new.yaml c.yaml; }
  times=0
  hup() { times=$((times + 1)); kill -HUP "$pid"; await_log 'SIGHUP: certificate, key and CA were read anew' "$times"; }
  config 'access: accessA' 'tls-cert: certA' 'tls-key: keyA' 'tls-ca: certA'
  start --config c.yaml
  read -r _ address <<<"$line"
  admits A A || fail "nobody is let in"
  config 'access: accessB' 'tls-cert: certB' 'tls-key: keyB' 'tls-ca: certA'
  hup
  admits B B || fail "the new token is not let in"
  ! admits A B || fail "the old token is let in"
  # What goes from the file stays as it is, and that is not as it was at the start.
  config
  hup
  await_log 'access cannot go while tercetd runs' 1
  await_log 'tls-cert cannot go while tercetd runs' 1
  ! admits A B || fail "a token that was revoked is valid again"
  admits B B || fail "the rules in force went, or the certificate"
  config
  hup
  admits B B || fail "the second time they went"
  # The CA alone goes: it stays, and keeps no new certificate out.
  config 'access: accessB' 'tls-cert: certC' 'tls-key: keyC'
  hup
  await_log 'tls-ca cannot go while tercetd runs' 1
  admits B C || fail "the new certificate is not shown"
  cp accessC accessB
  config 'tls-cert: certC' 'tls-key: keyC' 'tls-ca: certA'
  hup
  admits C C || fail "the file of the rules in force is not read anew"
  stop
  ;;
*) fail "there is no such case" ;;
esac
echo "ok $case"
