# SPDX-License-Identifier: Apache-2.0
# Toolchain: clang, the one without a version in its name or the newest that is there. TERCET_CLANG=clang-16 in the environment
# asks for one.
set(names $ENV{TERCET_CLANG} clang)
foreach(version RANGE 29 14 -1)
  list(APPEND names clang-${version})
endforeach()
find_program(TERCET_CLANG NAMES ${names} REQUIRED)
# Its C++ compiler has the same name but for "clang++", and lies beside it.
string(REGEX REPLACE "clang([^/]*)$" "clang++\\1" clang_cxx ${TERCET_CLANG})
set(CMAKE_C_COMPILER ${TERCET_CLANG})
set(CMAKE_CXX_COMPILER ${clang_cxx})
