#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# install.sh BUILD SOURCE CC CXX SANITIZERS: installs into a fresh folder and builds everything that a user would from there.
set -euo pipefail
build=$1 source=$2 cc=$3 cxx=$4 sanitize=$5
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
prefix=$dir/prefix
flags=${sanitize:+-fsanitize=$sanitize}

cmake --install "$build" --prefix "$prefix" >"$dir/install.log" || { cat "$dir/install.log"; exit 1; }

# A moved tree must do as well: nothing may remember where it was installed first.
mv "$prefix" "$dir/moved"
prefix=$dir/moved
if grep -rIl "$dir/prefix" "$prefix"; then
  echo "the files above name the folder they were installed to"
  exit 1
fi

for file in tercet/v1/tercet.proto barrier-vectors.jsonl participants/python/participant.py; do
  [ -s "$prefix/share/tercet/$file" ] || { echo "share/tercet/$file is not installed"; exit 1; }
done

[ -s "$prefix/share/doc/tercet/protocol.md" ] || { echo "share/doc/tercet/protocol.md is not installed"; exit 1; }
for file in etc/tercet/tercetd.yaml share/man/man8/tercetd.8 share/man/man1/tercetctl.1 share/man/man3/tercet_run.3 \
  share/bash-completion/completions/tercetctl; do
  [ -s "$prefix/$file" ] || { echo "$file is not installed"; exit 1; }
done
for program in tercetd tercetctl tercet-conformance; do
  "$prefix/bin/$program" --version | grep -q "^$program [0-9]" || { echo "bin/$program is not installed, or does not run"; exit 1; }
done

# Samples outside of the tree, so that nothing of it can be found by a relative path.
cp -r "$source/samples" "$dir/samples"
samples=()
[ -e "$build/samples" ] && samples=(quickstart outside shop edu-platform) # else they were not asked for, or lack SQLite
for sample in "${samples[@]}"; do
  cmake -S "$dir/samples/$sample" -B "$dir/$sample" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_C_FLAGS="$flags" >"$dir/log" 2>&1 && cmake --build "$dir/$sample" >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; echo "$sample does not build"; exit 1; }
  echo "ok $sample by find_package"
done

pc_path=$(dirname "$(find "$prefix" -name tercet.pc)")
libdir=$(dirname "$pc_path")
export PKG_CONFIG_PATH=$pc_path
cat >"$dir/user.c" <<'C'
#include <tercet/tercet.h>
#include <crpc/crpc.h>
#include <stdio.h>
/* Names that the library uses inside must be free for its users. */
void table_free(void);
void table_free(void) {}
int main(void)
{
    struct tercet_gid gid;
    struct crpc_loop *loop = 0;
    tercet_gid_make(&gid);
    table_free();
    if (crpc_loop_new(&loop, NULL) != 0)
        return 1;
    crpc_loop_free(loop);
    return puts(gid.text) < 0 || tercet_error_name(0) == NULL;
}
C
cat >"$dir/suite.c" <<'C'
#include <stdio.h>
#include <tercet/coordinator.h>
#include <tercet/sys/store_conformance.h>
/* A driver's author links the suite and the coordinator. */
int main(void)
{
    struct tercet_coordinator *coordinator = 0;
    struct tercet_coordinator_options options = {sizeof(options), 0};
    size_t count = 0;
    while (tercet_store_conformance_case(count) != NULL)
        count++;
    printf("%zu cases, %s\n", count, tercet_store_strerror(0));
    return count < 20 || tercet_coordinator_open(&coordinator, &options, 0) == 0;
}
C
cp "$dir/user.c" "$dir/user.cpp"
# shellcheck disable=SC2046
"$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror $flags "$dir/user.c" -o "$dir/user_c" $(pkg-config --cflags --libs tercet)
# shellcheck disable=SC2046
"$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Werror $flags "$dir/user.cpp" -o "$dir/user_cpp" $(pkg-config --cflags --libs tercet)
LD_LIBRARY_PATH=$libdir "$dir/user_c" >/dev/null && LD_LIBRARY_PATH=$libdir "$dir/user_cpp" >/dev/null
echo "ok C and C++ by pkg-config"
# shellcheck disable=SC2046
"$cc" -std=c11 -Wall -Wextra -Wpedantic -Wno-missing-field-initializers -Werror $flags "$dir/suite.c" -o "$dir/suite" \
  $(pkg-config --cflags --libs tercet-conformance tercet-coordinator)
LD_LIBRARY_PATH=$libdir "$dir/suite" >/dev/null
echo "ok the suite for store drivers"
# shellcheck disable=SC2046
"$cc" -std=c11 -D_GNU_SOURCE -Wall -Wextra -Wpedantic -Werror $flags "$source/tests/install/toy_barrier.c" -o "$dir/toy" $(pkg-config --cflags --libs tercet-conformance)
LD_LIBRARY_PATH=$libdir "$dir/toy" >"$dir/log" || { cat "$dir/log"; echo "a driver that does nothing wrong does not pass the suite"; exit 1; }
echo "ok the suite for barrier drivers: $(tail -n 1 "$dir/log")"

# Each component alone: what it links, and that find_package and pkg-config name the same.
# component NAME ALLOWED FUNCTION: ALLOWED is an extended regular expression of the libraries that a user of it may need.
component() {
  local name=$1 allowed=$2 function=$3 work=$dir/component.$1 module=tercet-${1//_/-} needed
  mkdir "$work"
  printf 'extern int %s(void);\nint main(int argc, char **argv) { return (void)argv, argc > 9 ? %s() : 0; }\n' "$function" "$function" >"$work/main.c"
  cat >"$work/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(tercet REQUIRED COMPONENTS $name)
add_executable(user main.c)
target_link_libraries(user PRIVATE tercet::$name)
CMAKE
  cmake -S "$work" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" -DCMAKE_C_FLAGS="$flags" >"$dir/log" 2>&1 &&
    cmake --build "$work/build" >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; echo "a program of the component $name does not build"; exit 1; }
  # shellcheck disable=SC2046
  "$cc" $flags "$work/main.c" -o "$work/pc" $(pkg-config --cflags --libs "$module")
  for program in "$work/build/user" "$work/pc"; do
    LD_LIBRARY_PATH=$libdir "$program"
    needed=$(LD_LIBRARY_PATH=$libdir ldd "$program" | grep -oE 'lib(lmdb|sqlite3|xxhash|pq|mysqlclient|mariadb|hiredis|grpc)\.so' | sort -u | paste -sd' ' || true)
    [ -z "$(tr ' ' '\n' <<<"$needed" | grep -vE "^lib($allowed)\.so$" || true)" ] || { echo "a program of the component $name needs $needed"; exit 1; }
  done
  echo "ok component $name: ${needed:-none of the databases}"
}
component types none tercet_gid_make
component barrier none tercet_barrier_memory_open
component client grpc tercet_client_open
component participant grpc tercet_participant_open
component coordinator 'grpc|lmdb|xxhash' tercet_coordinator_open
component conformance none tercet_barrier_conformance_case
component barrier_lmdb lmdb tercet_barrier_lmdb_open
cat >"$dir/url.c" <<'C'
#include <stdio.h>
#include <tercet/barrier.h>
int main(int argc, char **argv)
{
    struct tercet_barrier *barrier;
    char text[TERCET_TEXT_MAX] = "";
    int rc = argc == 2 ? tercet_barrier_open(&barrier, argv[1], NULL, text) : TERCET_INVALID;
    if (rc != 0)
        return puts(text) < 0 || 1;
    tercet_barrier_close(barrier);
    return 0;
}
C
# shellcheck disable=SC2046
"$cc" $flags "$dir/url.c" -o "$dir/bare" $(pkg-config --cflags --libs tercet-barrier)
advice=$(LD_LIBRARY_PATH=$libdir "$dir/bare" sqlite:url.db || true)
[[ $advice == *"link tercet::barrier_sqlite"* ]] || { echo "without a driver it says: $advice"; exit 1; }
echo "ok a URL whose driver is not linked"
if [ -e "$pc_path/tercet-barrier-sqlite.pc" ]; then
  component barrier_sqlite sqlite3 tercet_barrier_sqlite_open
  # By its URL, too, with nothing that names it.
  # shellcheck disable=SC2046
  "$cc" $flags "$dir/url.c" -o "$dir/url" $(pkg-config --cflags --libs tercet-barrier-sqlite)
  (cd "$dir" && LD_LIBRARY_PATH=$libdir ./url sqlite:url.db)
  cp "$dir/url.c" "$dir/component.barrier_sqlite/main.c"
  cmake --build "$dir/component.barrier_sqlite/build" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
  (cd "$dir" && "$dir/component.barrier_sqlite/build/user" sqlite:url.db)
  echo "ok a barrier by its URL"
fi

# optional NAME ALLOWED: a barrier's component, where it was built.
optional() {
  if [ -e "$pc_path/tercet-barrier-$1.pc" ]; then
    component "barrier_$1" "$2" "tercet_barrier_$1_open"
  fi
}
optional postgres pq
optional mysql mariadb
optional redis 'hiredis|hiredis_ssl'

# All together: no name is global twice, and none is global that does not begin with tercet_ or crpc_.
libraries=$(find "$libdir" -maxdepth 1 \( -name '*.a' -o -name '*.so' \))
# shellcheck disable=SC2086
names=$(for library in $libraries; do
  case $library in *.a) nm -g --defined-only "$library" ;; *) nm -gD --defined-only "$library" ;; esac
done 2>/dev/null | awk 'NF == 3 { print $3 }' | sort)
[ "$(wc -l <<<"$names")" -gt 60 ] || { echo "the libraries define nearly nothing: $names"; exit 1; }
strange=$(grep -vE '^(tercet_[a-z]|crpc_|__(start|stop)_tercet_failpoints$|DW\.ref|__odr_asan)' <<<"$names" || true)
[ -z "$strange" ] || { echo "global without our prefix: $strange"; exit 1; }
twice=$(grep -vE '^(__(start|stop)_|DW\.ref)' <<<"$names" | uniq -d)
[ -z "$twice" ] || { echo "global in two libraries: $twice"; exit 1; }
echo "ok names: $(wc -l <<<"$names")"

for header in "$prefix"/include/tercet/*.h "$prefix"/include/tercet/sys/*.h "$prefix"/include/crpc/*.h; do
  # shellcheck disable=SC2046
  "$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags tercet) -fsyntax-only -x c "$header"
  # shellcheck disable=SC2046
  "$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags tercet) -fsyntax-only -x c++ "$header"
  if gcc -fpreprocessed -dD -E -P "$header" 2>/dev/null | grep -E 'grpc/|ssize_t|time_t|\blong\b'; then # comments are gone there
    echo "$header shows a type that a public header must not"
    exit 1
  fi
done
echo "ok every header alone"

"$prefix"/bin/tercetd --version
"$prefix"/bin/tercetctl --version
