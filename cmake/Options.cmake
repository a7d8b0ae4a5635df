# SPDX-License-Identifier: Apache-2.0
# What can be chosen, and the compiler flags that hold for all of our own code.
option(TERCET_TESTS "Build the tests (needs Criterion)" ON)
option(TERCET_SAMPLES "Build the sample applications (needs SQLite)" ON)
option(TERCET_BENCH "Build tercet-bench, the load generator (needs SQLite)" ON)
option(TERCET_SQLITE "Build the SQLite barrier" ON)
set(TERCET_POSTGRES AUTO CACHE STRING "Build the PostgreSQL barrier: ON, OFF, or AUTO: where libpq is")
option(TERCET_FAILPOINTS "Build the named crash points into the programs; never for production" OFF)
set(TERCET_SANITIZE "" CACHE STRING "Sanitizers, such as address,undefined or thread")
option(BUILD_SHARED_LIBS "Build shared libraries" OFF)

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# Asserts guard the invariants in release builds too.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

if(TERCET_SANITIZE)
  add_compile_options(-fsanitize=${TERCET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TERCET_SANITIZE})
endif()

# Linked by every target of ours (not by generated code): warnings are errors.
add_library(tercet_warnings INTERFACE)
target_compile_options(tercet_warnings INTERFACE -Wall -Wextra -Wpedantic -Werror -Wshadow -Wvla
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>)
target_compile_definitions(tercet_warnings INTERFACE _GNU_SOURCE)
if(TERCET_FAILPOINTS)
  target_compile_definitions(tercet_warnings INTERFACE TERCET_FAILPOINTS=1)
endif()
