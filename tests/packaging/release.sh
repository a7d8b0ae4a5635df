#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# release.sh SOURCE: a release of a copy of this tree: twice the same tarball; refused when something does not fit.
set -euo pipefail
source=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "$*"; exit 1; }
git -C "$source" ls-files -z | (cd "$source" && xargs -0 tar c --ignore-failed-read 2>/dev/null) | tar x -C "$dir"
cd "$dir"
export GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@example.org GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@example.org
git init -q . && git add -A && git commit -qm all

scripts/release 9.9.9 >out 2>&1 && fail "a release with a version that is not the project's"
grep -q 'CMakeLists.txt has another version' out || fail "it does not say why"
grep -q 'CHANGELOG.md has no section' out || fail "it does not say that the changes are missing"
rm out
scripts/release nine >/dev/null 2>&1 && fail "nine is no version"
scripts/release 9.9.9 --dry-run >/dev/null 2>&1 || fail "a dry run fails"
first=$(sha256sum <build/release-9.9.9/tercet-9.9.9.tar.gz)
[ -s build/release-9.9.9/CHANGES.md ] || fail "there are no changes"
(cd build/release-9.9.9 && sha256sum --quiet -c SHA256SUMS) || fail "the checksums are wrong"
tar tzf build/release-9.9.9/tercet-9.9.9.tar.gz >list
grep -qx 'tercet-9.9.9/CMakeLists.txt' list || fail "the tarball has no CMakeLists.txt"
grep -q '/build/' list && fail "the tarball has what was built"
rm list
tar tzvf build/release-9.9.9/tercet-9.9.9.tar.gz | grep -E '^.(....w|.......w)' && fail "the files above can be written by others, and so by those who unpack it"
scripts/release 9.9.9 --dry-run >/dev/null 2>&1
[ "$first" = "$(sha256sum <build/release-9.9.9/tercet-9.9.9.tar.gz)" ] || fail "the second tarball is another one"
echo "# more" >>README.md
scripts/release 9.9.9 >out 2>&1 || true
grep -q 'changes that are not committed' out || fail "it releases what is not committed"
echo "ok a release can be made again"
