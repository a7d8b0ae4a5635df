#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs.sh SOURCE: prints each thing that the documents say and that is not so; exits with 1 when there is one.
set -euo pipefail
cd "$1"
wrong=0
say() { echo "$*"; wrong=1; }

# The quick start in the README is samples/quickstart, letter for letter, and no longer than promised.
for file in samples/quickstart/participant.c samples/quickstart/initiator.c; do
  shown=$(awk -v name="\`$file\`" '$0 == name { found = 1 } found && /^```$/ { exit } in_code { print } found && /^```c$/ { in_code = 1 }' README.md)
  [ "$shown" = "$(cat "$file")" ] || say "README.md does not show $file as it is"
done
lines=$(cat samples/quickstart/*.c | wc -l)
[ "$lines" -lt 110 ] || say "the quick start has $lines lines: it is to stay under 110"

# What docs/outside.md shows of the sample is in it, letter for letter.
shown=$(awk '/^```$/ { in_code = 0 } in_code { print } /^```c$/ { in_code = 1 }' docs/outside.md)
[ -n "$shown" ] || say "docs/outside.md shows no code"
while read -r line; do
  grep -qxF -- "$line" <(sed 's/^ *//' samples/outside/payment.c) || say "docs/outside.md shows a line that samples/outside/payment.c does not have: $line"
done < <(grep -v '^$' <<<"$shown")

# Every relative link in a document leads to a file.
while IFS=: read -r document target; do
  [ -e "$(dirname "$document")/${target%%#*}" ] || say "$document links to $target, which is not there"
done < <(git ls-files '*.md' | xargs grep -oHE '\]\([^)#h][^)]*\)' | sed -E 's/\]\(([^)]*)\)/\1/' || true)

# A link to a heading leads to one: its words, small, with dashes for spaces and without what is no letter, number or dash.
headings() { grep -E '^#+ ' "$1" | sed -E 's/^#+ //; s/`//g' | tr 'A-Z ' 'a-z-' | sed -E 's/[^a-z0-9_-]//g'; }
while IFS=: read -r document target; do
  file=${target%%#*}
  file=${file:+$(dirname "$document")/$file}
  headings "${file:-$document}" | grep -qx -- "${target#*#}" || say "$document links to $target, which has no such heading"
done < <(git ls-files '*.md' | xargs grep -oHE '\]\([^)h][^)]*#[^)]*\)|\]\(#[^)]*\)' | sed -E 's/\]\(([^)]*)\)/\1/' || true)

# Every error has its advice, every alert its section.
for code in $(sed -nE 's/.*X\((TERCET_[A-Z_]+), -[0-9]+.*/\1/p' framework/include/tercet/types.h); do
  grep -q "^|.*\`$code\`" docs/initiators.md || say "docs/initiators.md does not say what to do on $code"
done
for alert in $(sed -n 's/.*alert: \([A-Za-z]*\).*/\1/p' packaging/prometheus/*.rules.yml); do
  grep -qx "## $alert" docs/runbook.md || say "docs/runbook.md has no section for $alert"
done

# Limits that the README tells are those of the headers.
limit() { # name value
  grep -qE "^#define $1 +\(?$2\)?( |\$)" framework/include/tercet/types.h framework/coordinator/*.h || say "the limit $1 is not $2 as README.md tells"
}
limit TERCET_GID_MAX 64
limit PAYLOADS_BYTES_MAX '64u \* 1024 \* 1024'
limit TERCET_SERVICE_MAX 63
limit TERCET_BRANCHES_MAX 1024
limit TERCET_PAYLOAD_MAX '64 \* 1024'
limit TERCET_REPLY_MAX '16 \* 1024'
limit TERCET_TEXT_MAX 256
limit TERCET_METADATA_MAX 16
limit TERCET_METADATA_BYTES_MAX 4096
limit TERCET_MESSAGE_MAX '1024 \* 1024'
limit SESSION_OPEN_MAX 65536
limit SERVICES_MAX 4096
limit SERVICES_UNSERVED_MAX 4096
limit SERVICES_UNSERVED_EACH 256
limit OFFER_ACTIONS_MAX 256
limit SERVICE_TARGETS_MAX 64
limit TARGET_WINDOW 64
limit INSTANCE_WINDOW_DEFAULT 256
limit INSTANCE_WINDOW_MAX 4096

# Only rpc/ sees gRPC.
grep -rlE '#include <grpc/' --include='*.[ch]' framework samples && say "the files above include <grpc/...>: only rpc/ may"

# Files that a reader is sent to by ARCHITECTURE.md exist.
for path in $(grep -oE '`(framework|rpc|samples|tests|scripts|cmake)/[A-Za-z0-9_./-]*`' ARCHITECTURE.md | tr -d '`'); do
  [ -e "$path" ] || say "ARCHITECTURE.md names $path, which is not there"
done

[ "$wrong" -eq 0 ] && echo "the documents are true"
exit "$wrong"
