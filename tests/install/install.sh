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

# Samples outside of the tree, so that nothing of it can be found by a relative path.
cp -r "$source/samples" "$dir/samples"
for sample in quickstart shop edu-platform; do
  cmake -S "$dir/samples/$sample" -B "$dir/$sample" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_C_FLAGS="$flags" >"$dir/log" 2>&1 && cmake --build "$dir/$sample" >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; echo "$sample does not build"; exit 1; }
  echo "ok $sample by find_package"
done

pc_path=$(dirname "$(find "$prefix" -name tercet.pc)")
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
cp "$dir/user.c" "$dir/user.cpp"
# shellcheck disable=SC2046
"$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror $flags "$dir/user.c" -o "$dir/user_c" $(pkg-config --cflags --libs tercet)
# shellcheck disable=SC2046
"$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Werror $flags "$dir/user.cpp" -o "$dir/user_cpp" $(pkg-config --cflags --libs tercet)
"$dir/user_c" >/dev/null && "$dir/user_cpp" >/dev/null
echo "ok C and C++ by pkg-config"

for header in "$prefix"/include/tercet/*.h "$prefix"/include/tercet/sys/*.h "$prefix"/include/crpc/*.h; do
  # shellcheck disable=SC2046
  "$cc" -std=c11 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags tercet) -fsyntax-only -x c "$header"
  # shellcheck disable=SC2046
  "$cxx" -std=c++17 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags tercet) -fsyntax-only -x c++ "$header"
  if gcc -fpreprocessed -dD -E -P "$header" | grep -E 'grpc/|ssize_t|time_t|\blong\b'; then # comments are gone there
    echo "$header shows a type that a public header must not"
    exit 1
  fi
done
echo "ok every header alone"

"$prefix"/bin/tercetd --version
"$prefix"/bin/tercetctl --version
