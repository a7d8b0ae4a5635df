# SPDX-License-Identifier: Apache-2.0
#
# More cases of ctl_test.sh: profiles, completion, filters, what is shown live, outputs, run, health.
# shellcheck shell=bash disable=SC2154

# sees WORDS...: the completion of this command line, the last word of which is under the cursor.
completes() {
    COMP_WORDS=(tercetctl "$@") COMP_CWORD=$#
    COMPREPLY=()
    _tercetctl
    printf '%s\n' "${COMPREPLY[@]}" >"$dir/out"
}

case_completion() {
    ctl 0 completion bash
    # shellcheck disable=SC1091
    . "$dir/out"
    completes ''; out '^ls$'; out '^settle$'; out '^--coordinator$'; no_out '^--parked$'
    completes se; out '^settle$'; no_out '^ls$'
    completes ls --; out '^--parked$'; out '^--watch$'; out '^--coordinator$'; no_out '^--reason$'
    completes settle --re; out '^--reason$'; no_out '^--resolved$'
    completes --coordinator here:1 -o json sh; out '^show$'
    completes --coordinator ls ''; out '^ls$'
    completes ls --state tr; out '^trying$'; no_out '^confirmed$'
    completes -o ''; out '^json$'; out '^yaml$'; out '^wide$'
    completes ls --metadata ''; no_out .
    completes completion ''; out '^fish$'
    : >"$dir/some-token"
    completes --token-file "$dir/some"; out 'some-token$'
    # Every command and every option is in each of the scripts.
    ctl 0 --help
    local commands options shell word
    commands=$(sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p' "$dir/out")
    options=$(for word in $commands; do ctl 0 --help "$word"; cat "$dir/out"; done | grep -oE '^  (-., )?--[a-z-]+' | grep -oE '[a-z-]{3,}$' | sed 's/^-*//' | sort -u)
    [ "$(wc -w <<<"$commands")" -gt 20 ] && [ "$(wc -w <<<"$options")" -gt 10 ] || fail "the help was not understood"
    for shell in bash zsh fish; do
        ctl 0 completion "$shell"
        for word in $commands $options; do out "(^|[^a-z])$word([^a-z]|$)"; done
    done
    if command -v zsh >/dev/null; then ctl 0 completion zsh; zsh -n "$dir/out" || fail "zsh cannot read it"; fi
    if command -v fish >/dev/null; then ctl 0 completion fish; fish -n "$dir/out" || fail "fish cannot read it"; fi
    ctl 2 completion tcsh; err 'bash, zsh or fish'
    ctl 2 completion
}

case_profile() {
    local token=operator-0123456789abcdef
    printf 'admin %s\n' $token >"$dir/rules"
    printf '%s\n' $token >"$dir/token"
    chmod 600 "$dir/token"
    start_coordinator --access "$dir/rules"
    unset TERCET_COORDINATOR
    mkdir -p "$dir/.config/tercet"
    printf 'coordinator: %s\ntoken-file: %s\n' "$address" "$dir/token" >"$dir/.config/tercet/profile.yaml"
    ctl 0 ls; out 'no unresolved'; no_err .
    ctl 0 config; out "^coordinator: '$address' +# $dir/.config/tercet/profile.yaml:1$"; out '^output: table +# default$'
    # The command line counts more than the environment, and that more than the profile.
    TERCET_COORDINATOR=127.0.0.1:1 ctl 1 ls
    TERCET_COORDINATOR=127.0.0.1:1 ctl 0 ls --coordinator "$address"
    TERCET_TOKEN=wrong-0123456789abcdef ctl 1 ls; err UNAUTHENTICATED
    TERCET_TOKEN=wrong-0123456789abcdef ctl 0 config; out 'that in TERCET_TOKEN'
    TERCET_TOKEN_FILE=$dir/none ctl 2 ls; err "$dir/none: No such file"
    # By name, by path, from another directory.
    cp "$dir/.config/tercet/profile.yaml" "$dir/.config/tercet/other.yaml"
    printf 'coordinator: 127.0.0.1:1\n' >"$dir/.config/tercet/profile.yaml"
    ctl 1 ls
    ctl 0 --profile other ls
    TERCET_PROFILE=other ctl 0 ls
    TERCET_PROFILE=other ctl 1 --profile profile ls
    ctl 0 --profile "$dir/.config/tercet/other.yaml" ls
    XDG_CONFIG_HOME=$dir/.config HOME=/nowhere ctl 0 --profile other ls
    # What is wrong with one.
    ctl 2 --profile none ls; err 'none.yaml: No such file'
    HOME='' ctl 2 --profile none ls; err 'without HOME'
    printf 'coordinatr: x\n' >"$dir/.config/tercet/bad.yaml"
    ctl 2 --profile bad ls; err 'bad.yaml:1: there is no option coordinatr: did you mean coordinator\?'
    printf '\nparked: true\n' >"$dir/.config/tercet/bad.yaml"
    ctl 2 --profile bad ls; err 'bad.yaml:2: parked is for the command line only'
    printf 'output: xml\n' >"$dir/.config/tercet/bad.yaml"
    ctl 2 --profile bad ls; err 'bad.yaml:1: output: xml: table, wide, json or yaml is wanted'
    printf 'tls-cert: x\n' >"$dir/.config/tercet/bad.yaml"
    ctl 2 --profile bad ls; err 'tls-cert needs --tls-key'
    ctl 0 --profile bad --help
    # A token that everybody can read.
    chmod 644 "$dir/token"
    ctl 0 --profile other ls; err 'warning: everybody on this machine can read the token'
}

case_filters() {
    start_coordinator
    begin begin "$address" order 3
    ctl 0 ls --text order-2; out '^order-2 '; no_out '^order-1 '
    ctl 0 ls --text nobody-has-it; out 'no unresolved transactions match'
    ctl 0 ls --older-than 1ms; out '^order-1 '
    ctl 0 ls --older-than 1h; out 'no unresolved transactions match'
    ctl 0 ls --action no/such; out 'no unresolved transactions match'
    ctl 0 ls --text order --limit 2; out '^order-1 '; out '^order-2 '; no_out '^order-3 '
    # Where the limit leaves something out, it is said, and the token leads to it; nothing is said where no other one matches.
    out '^2 shown; there may be more: --limit 0 shows all$'
    ctl 0 ls --older-than 1ms --limit 1; out '^1 shown; there may be more'
    ctl 0 ls --text order --limit 1 -o json; json 'len(j["transactions"]) == 1 and j["next_page_token"] != ""'
    rest=$(sed -n 's/.*"next_page_token": "\(.*\)".*/\1/p' "$dir/out")
    ctl 0 ls --limit 1 -o json; json "j[\"next_page_token\"] == \"$rest\""
    ctl 0 ls --text order-1 --limit 1; no_out shown
    ctl 0 ls --text order --limit 3; no_out shown
    ctl 0 ls --text order-3 -o json; json '[t["gid"] for t in j["transactions"]] == ["order-3"]'
    ctl 0 cancel --all --text order-2 --reason x --yes-count 1
    ctl 0 ls; out '^order-1 '; no_out '^order-2 '; out '^order-3 '
}

case_outputs() {
    local long
    long=$(printf 'x%.0s' $(seq 200))
    start_coordinator
    begin begin "$address" order 1
    ctl 0 cancel order-1 --reason "$long"
    # Into a pipe or a file all of it, on its line.
    ctl 0 ls --resolved; out "^order-1 .*$long\$"
    ctl 0 ls --resolved -o wide; out "^order-1 .*$long\$"
    if command -v script >/dev/null; then
        script -qec "$tercetctl ls --resolved" /dev/null >"$dir/out"; out '^order-1 .*xxx\.\.\.'; no_out "$long"
        script -qec "$tercetctl ls --resolved -o wide" /dev/null >"$dir/out"; out "$long"
        no_out $'\033'
    fi
    ctl 0 show order-1 -o yaml
    out '^gid: "order-1"$'; out '^state: "CANCELLED"$'; out '^number: [0-9"]'
    ctl 0 ls --resolved -o yaml; out '^transactions:$'; out '^next_page_token: ""$'
    if python3 -c 'import yaml' 2>/dev/null; then
        ctl 0 show order-1 -o json; cp "$dir/out" "$dir/json"
        ctl 0 show order-1 -o yaml
        python3 -c 'import json, sys, yaml; sys.exit(yaml.safe_load(open(sys.argv[1])) != json.load(open(sys.argv[2])))' \
            "$dir/out" "$dir/json" || fail "yaml and json differ"
    fi
    ctl 1 show nobody -o yaml; err NOT_FOUND
}

# sees COUNT WORDS: reads the running command's lines until so many have them.
sees() {
    local line count=0
    while read -r -t $WAIT_S -u "$shown" line; do
        case $line in *"$2"*) count=$((count + 1)) ;; esac
        [ "$count" -eq "$1" ] && return
    done
    fail "$2 was shown $count times, not $1"
}
lines() { sees "$@"; kill "$live"; }

case_live() {
    start_coordinator
    begin begin "$address" order 1
    exec {shown}< <(exec "$tercetctl" ls --watch --interval 10ms 2>&1); live=$!; started+=("$live")
    lines 3 'order-1 '
    exec {shown}< <(exec "$tercetctl" top --interval 10ms 2>&1); live=$!; started+=("$live")
    lines 2 'under way:   1 trying'
    exec {shown}< <(exec "$tercetctl" top --interval 10ms 2>&1); live=$!; started+=("$live")
    lines 2 ' calls'
    # It waits for a coordinator that is started again.
    exec {shown}< <(exec "$tercetctl" ls --watch --interval 10ms 2>&1); live=$!; started+=("$live")
    sees 1 'order-1 '
    kill "$coordinator"; wait "$coordinator" 2>/dev/null
    sees 2 'cannot be reached'
    exec {ready}< <(exec "$tercetd" --data "$dir/data" --listen "$address" 2>"$dir/tercetd.log"); coordinator=$!; started+=("$coordinator")
    lines 1 'order-1 '
    ctl 2 ls --watch -o json; err 'for people'
    ctl 2 top -o yaml
    ctl 2 ls --watch --interval 0s
    export TERCET_COORDINATOR=127.0.0.1:1
    ctl 1 ls --watch
}

case_export() {
    start_coordinator
    begin begin "$address" order 3
    ctl 0 export; [ "$(grep -c '^{"gid":"order-[123]",.*}$' "$dir/out")" -eq 3 ] || fail "three lines are wanted"
    ctl 0 cancel order-2 --reason x
    ctl 0 export; no_out order-2
    ctl 0 export --resolved; out order-2; no_out order-1
    ctl 0 export --limit 1; [ "$(wc -l <"$dir/out")" -eq 1 ] || fail "one line is wanted"
    ctl 0 export --text nobody; no_out .
}

case_run() {
    start_coordinator
    start_participant shop/buy DONE DONE DONE
    ctl 0 run shop/buy; out ': CONFIRM'
    gid=$(cut -d: -f1 "$dir/out"); err "^$gid: asked for, waiting"
    ctl 1 confirm nobody; err 'NOT_FOUND'; err 'ls --resolved'
    ctl 1 cancel "$gid" --reason x; err "look at it .*tercetctl show $gid$"
    ctl 0 run shop/buy shop/buy --payload '{"n": 1}' -o json; json 'len(j["branches"]) == 2'; no_err .
    gid=$(sed -n 's/.*"gid":[^"]*"\([^"]*\)".*/\1/p' "$dir/out" | head -n 1)
    ctl 0 show "$gid"
    ctl 0 history "$gid"; out 'no '
    ctl 2 run; err 'usage: tercetctl run'
    ctl 2 run shop; err 'SERVICE/NAME is wanted'
    ctl 2 run /x; ctl 2 run shop/
    ctl 1 --timeout 50ms run nobody/serves; err 'was to be'
    export TERCET_COORDINATOR=127.0.0.1:1
    ctl 1 run shop/buy; err 'cannot be reached'
}

case_health() {
    start_coordinator
    ctl 0 health; out '^SERVING$'
    ctl 0 health -o json; out SERVING
    kill "$coordinator"; wait "$coordinator" 2>/dev/null
    ctl 1 health; err 'cannot be reached'
    ctl 2 health extra
}

case_restore() {
    mkdir "$dir/backups"
    start_coordinator --backup-dir "$dir/backups"
    begin begin "$address" order 1
    ctl 0 backup one
    begin begin "$address" later 1
    kill "$coordinator"; wait "$coordinator" 2>/dev/null
    ctl 1 restore "$dir/backups/one" "$dir/data"; err 'is not empty'
    ctl 1 restore "$dir/backups/none" "$dir/new"; err 'none is no backup: .*none/data.mdb: No such file'
    ctl 1 restore "$dir/backups/one" "$dir/no/such/place"; err 'No such file'
    ctl 2 restore "$dir/backups/one"
    cp -r "$dir/backups/one" "$dir/backups/two.part"
    ctl 1 restore "$dir/backups/two.part" "$dir/new"; err 'did not end'
    mkdir "$dir/directory" "$dir/directory/data.mdb"
    ctl 1 restore "$dir/directory" "$dir/new"; err 'is no file'
    # Damage: records whose bytes have changed, a file that is cut, one that is none.
    cp -r "$dir/backups/one" "$dir/backups/bad"
    python3 -c 'import sys; p = sys.argv[1]; b = open(p, "rb").read(); assert b"order-1" in b; open(p, "wb").write(b.replace(b"order-1", b"order-2"))' \
        "$dir/backups/bad/data.mdb"
    ctl 1 restore "$dir/backups/bad" "$dir/new"; err 'is damaged'
    truncate -s 5000 "$dir/backups/bad/data.mdb"
    ctl 1 restore "$dir/backups/bad" "$dir/new"; err 'is damaged'
    printf 'no store\n' >"$dir/backups/bad/data.mdb"
    ctl 1 restore "$dir/backups/bad" "$dir/new"; err 'is damaged'
    [ ! -e "$dir/new" ] && [ ! -e "$dir/new.restoring" ] || fail "something is left of restores that failed"
    mkdir "$dir/new.restoring"
    ctl 1 restore "$dir/backups/one" "$dir/new"; err 'delete it first'
    rmdir "$dir/new.restoring"
    ctl 0 restore "$dir/backups/one" "$dir/new"; out 'all of it is whole'
    [ "$(ls -A "$dir/new")" = data.mdb ] || fail "more than the store is there"
    rm -r "$dir/new"
    ln -s nowhere "$dir/dangling"
    ctl 1 restore "$dir/backups/one" "$dir/dangling"; err 'dangling: Not a directory'
    ctl 1 restore "$dir/backups/one" "$dir/out"; err 'out: Not a directory'
    [ ! -e "$dir/dangling.restoring" ] || fail "something is left"
    # An empty directory, which may be a mount point, stays the one that it is: owner, mode, and nothing in it when the restore fails.
    mkdir "$dir/new" "$dir/new/lost+found"
    chmod 2750 "$dir/new"
    [ "$(id -u)" -ne 0 ] || chown 65534:65534 "$dir/new"
    local was; was=$(stat -c '%i %a %u:%g' "$dir/new")
    ctl 1 restore "$dir/backups/bad" "$dir/new"; err 'is damaged'
    [ "$(stat -c '%i %a %u:%g' "$dir/new")" = "$was" ] || fail "a restore that failed has changed the directory"
    [ "$(ls -A "$dir/new")" = lost+found ] || fail "a restore that failed has left something"
    mkdir "$dir/new/.restoring"
    ctl 1 restore "$dir/backups/one" "$dir/new"; err 'new/.restoring is left of a restore .* delete it first'
    rmdir "$dir/new/.restoring"
    # A tercetd that cannot read it says nothing about the backup.
    mkdir "$dir/bin"
    cp "$tercetctl" "$dir/bin/tercetctl"
    printf '#!/bin/sh\nexit 2\n' >"$dir/bin/tercetd"; chmod +x "$dir/bin/tercetd"
    tercetctl=$dir/bin/tercetctl ctl 1 restore "$dir/backups/one" "$dir/new"; err 'exit status 2'; no_err damaged
    printf '#!/bin/sh\nkill -9 $$\n' >"$dir/bin/tercetd"
    tercetctl=$dir/bin/tercetctl ctl 1 restore "$dir/backups/one" "$dir/new"; err 'the signal 9'; no_err damaged
    # Nor does a variable that is meant for the coordinator.
    TERCET_RETENTION=long ctl 0 restore "$dir/backups/one/" "$dir/new/"; out 'all of it is whole'
    [ "$(stat -c '%i %a %u:%g' "$dir/new")" = "$was" ] || fail "the directory is another one"
    [ "$(stat -c '%a %u:%g %h' "$dir/new/data.mdb")" = "600 ${was##* } 1" ] || fail "the store is not the directory's owner's"
    rmdir "$dir/new/lost+found"
    [ "$(ls -A "$dir/new")" = data.mdb ] || fail "more than the store is there"
    mv "$dir/data" "$dir/old"; mv "$dir/new" "$dir/data"
    start_coordinator
    ctl 0 show order-1
    ctl 1 show later-1; err NOT_FOUND
}

case_audit() {
    printf '%s\n' 'operator operator-0123456789abcdef anna' 'operator operator-1123456789abcdef' 'initiator initiator-0123456789abcdef' 'reader reader-0123456789abcdef bob' >"$dir/rules"
    chmod 600 "$dir/rules"
    start_coordinator --access "$dir/rules"
    export TERCET_TOKEN=operator-0123456789abcdef
    ctl 0 audit; out '^nothing has been done'
    TERCET_TOKEN=initiator-0123456789abcdef ctl 1 run --timeout 300ms nobody/serves
    local gid
    gid=$(sed -n 's/.*tercetctl show //p' "$dir/err")
    ctl 0 cancel "$gid" --reason 'the customer has gone'
    TERCET_TOKEN=operator-1123456789abcdef ctl 1 confirm "$gid"; err FAILED_PRECONDITION # the second operator comes too late
    ctl 0 settle "$gid" 1 --reason 'over already'
    ctl 1 pause nobody
    TERCET_TOKEN=reader-0123456789abcdef ctl 1 cancel "$gid" --reason x; err PERMISSION_DENIED
    ctl 0 audit; out "cancel $gid +OK"; out 'by anna \(tercetctl: '; out 'reason: the customer has gone'; out "confirm $gid"; out '^ +FAILED_PRECONDITION: .*CANCELLED'
    out 'by the token of line 2 \('; out "settle $gid branch 1 +OK"; out 'pause nobody'; out '^ +NOT_FOUND'; no_out PERMISSION_DENIED; no_out bob
    ctl 0 audit "$gid" -o json; json '[e["action"] for e in j["entries"]] == ["settle", "confirm", "cancel"] and j["entries"][2]["reason"] == "the customer has gone"'
    ctl 0 audit --limit 1 -o yaml; out 'action: "pause"'; no_out settle
    ctl 2 audit --state trying
    kill -KILL "$coordinator"; wait "$coordinator" 2>/dev/null
    start_coordinator --access "$dir/rules" # and all of it is there, as the answers that it was told were
    ctl 0 audit -o json; json '[e["number"] for e in j["entries"]] == [4, 3, 2, 1]'
    TERCET_TOKEN=reader-0123456789abcdef ctl 0 audit; out 'by anna'
    TERCET_TOKEN=initiator-0123456789abcdef ctl 1 audit; err PERMISSION_DENIED
    # Without rules nobody is known, but for what he says of himself; who comes and goes by itself is no operator.
    kill "$coordinator"; wait "$coordinator" 2>/dev/null
    start_coordinator
    ctl 0 register shop 127.0.0.1:1; ctl 0 unregister shop
    ctl 0 audit --limit 2 -o json; json '[(e["action"], e["service"], e["who"], e["says"][:10]) for e in j["entries"]] == [("unregister", "shop", "", "tercetctl:"), ("register", "shop", "", "tercetctl:")]'
}

case_gc() {
    printf '%s\n' 'admin admin-0123456789abcdef' 'operator operator-0123456789abcdef' 'initiator initiator-0123456789abcdef' >"$dir/rules"
    chmod 600 "$dir/rules"
    start_coordinator --access "$dir/rules" --retention 7h
    export TERCET_TOKEN=admin-0123456789abcdef
    ctl 0 gc 2h; out 'nothing is that old: all is kept; after 7h00m'
    TERCET_TOKEN=initiator-0123456789abcdef ctl 1 run --timeout 300ms nobody/serves
    local gid
    gid=$(sed -n 's/.*tercetctl show //p' "$dir/err")
    ctl 0 cancel "$gid" --reason x
    ctl 0 gc 2h --yes --reason 'room is needed'; out ' 1 .* stays$'
    ctl 0 ls --resolved; out "$gid"
    ctl 0 gc 2h -o json; json 'j["buckets"][0]["records"] == 1 and j["records"] == 0 and j["retention_ms"] == 7 * 3600000'
    ctl 1 gc 59m --yes; err 'at least an hour'
    ctl 2 gc soon; err 'a duration is'
    ctl 2 gc
    ctl 0 audit -o json; json '[(e["action"], e["result"][:2]) for e in j["entries"]] == [("gc", "IN"), ("gc", "OK"), ("cancel", "OK")] and "room is needed" in j["entries"][1]["reason"]'
    TERCET_TOKEN=operator-0123456789abcdef ctl 1 gc 2h; err PERMISSION_DENIED
}
