# SPDX-License-Identifier: Apache-2.0
# What makes faults harder to exploit, as far as compiler and linker have it: guarded stack frames, checked buffer functions,
# position-independent programs, read-only relocations, checked branch targets. docs/performance.md says what it costs.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckPIESupported)

foreach(flag -fstack-protector-strong -fcf-protection)
  string(MAKE_C_IDENTIFIER "TERCET_HAS${flag}" has)
  check_c_compiler_flag(${flag} ${has})
  if(${has})
    add_compile_options(${flag})
  endif()
endforeach()

# It works on what the optimiser knows, and would hide from the sanitizers what they look for. Who sets it himself (a
# distribution's flags) is left alone.
if(NOT TERCET_SANITIZE AND NOT "${CMAKE_C_FLAGS} $ENV{CPPFLAGS}" MATCHES "_FORTIFY_SOURCE|-fsanitize")
  set(CMAKE_REQUIRED_FLAGS "-O2 -Werror -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
  check_c_source_compiles("#include <string.h>\nint main(void) { return (int)strlen(\"\"); }" TERCET_HAS_FORTIFY_3)
  unset(CMAKE_REQUIRED_FLAGS)
  set(level $<IF:$<BOOL:${TERCET_HAS_FORTIFY_3}>,3,2>)
  add_compile_options("$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=${level}>")
endif()

check_pie_supported(LANGUAGES C CXX)
add_link_options(LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
