# SPDX-License-Identifier: Apache-2.0
# What can be chosen, and the compiler flags that hold for all of our own code. All of it is set for this folder only: a
# project that adds Tercet as a subfolder keeps its own flags, and builds what it links and nothing else.
include(CMakeDependentOption)
option(TERCET_SQLITE "Build the SQLite barrier" ON)
set(TERCET_POSTGRES AUTO CACHE STRING "Build the PostgreSQL barrier: ON, OFF, or AUTO: where libpq is")
set(TERCET_MYSQL AUTO CACHE STRING "Build the barrier for MariaDB and MySQL: ON, OFF, or AUTO: where libmariadb is")
set(TERCET_REDIS AUTO CACHE STRING "Build the barrier for Redis: ON, OFF, or AUTO: where libhiredis is")
set(TERCET_CONSOLE AUTO CACHE STRING "Build tercetd's HTTP port (metrics, console): ON, OFF, or AUTO: where libmicrohttpd is")
option(TERCET_TESTS "Build the tests (needs Criterion)" ${PROJECT_IS_TOP_LEVEL})
option(TERCET_BENCH "Build tercet-bench, the load generator" ${PROJECT_IS_TOP_LEVEL})
cmake_dependent_option(TERCET_SAMPLES "Build the sample applications (needs SQLite)" ${PROJECT_IS_TOP_LEVEL} TERCET_SQLITE OFF)
option(TERCET_PROGRAMS "Build tercetd and tercetctl" ON)
option(TERCET_INSTALL "Install what is built" ${PROJECT_IS_TOP_LEVEL})
option(TERCET_PACKAGES "Prepare Debian packages for cpack (the preset \"package\")" OFF)
option(TERCET_WERROR "Warnings are errors" OFF)
option(TERCET_HARDENING "Compile and link with what makes faults harder to exploit" ON)
option(TERCET_FAILPOINTS "Build the named crash points into the programs; never for production" OFF)
set(TERCET_SANITIZE "" CACHE STRING "Sanitizers, such as address,undefined or thread")

if(PROJECT_IS_TOP_LEVEL)
  option(BUILD_SHARED_LIBS "Build shared libraries" OFF)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  if(NOT CMAKE_BUILD_TYPE AND NOT multi_config)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
  endif()
endif()
# tercetd is what tests, benchmark and samples run.
if(NOT TERCET_PROGRAMS AND (TERCET_TESTS OR TERCET_BENCH))
  message(FATAL_ERROR "TERCET_TESTS and TERCET_BENCH need TERCET_PROGRAMS")
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# An installed program finds the shared libraries that were installed with it, wherever the tree is moved.
file(RELATIVE_PATH libdir_from_bindir ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
if(BUILD_SHARED_LIBS)
  list(APPEND CMAKE_INSTALL_RPATH $ORIGIN/${libdir_from_bindir} $ORIGIN)
endif()
if(TERCET_WERROR)
  set(CMAKE_COMPILE_WARNING_AS_ERROR ON)
endif()

# Asserts guard the invariants in every build.
add_compile_options(-UNDEBUG)

if(TERCET_SANITIZE)
  add_compile_options(-fsanitize=${TERCET_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${TERCET_SANITIZE})
endif()
if(TERCET_HARDENING)
  include(${CMAKE_CURRENT_LIST_DIR}/Hardening.cmake)
endif()

# Linked by every target of ours (not by generated code).
add_library(tercet_warnings INTERFACE)
target_compile_options(tercet_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wvla
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wmissing-prototypes>)
target_compile_definitions(tercet_warnings INTERFACE _GNU_SOURCE)
if(TERCET_FAILPOINTS)
  target_compile_definitions(tercet_warnings INTERFACE TERCET_FAILPOINTS=1)
endif()
