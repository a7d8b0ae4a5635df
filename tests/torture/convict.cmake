# SPDX-License-Identifier: Apache-2.0
# cmake -P convict.cmake -- torture ...: the run must end with 1 because the judge has seen an effect twice; what it keeps
# is removed.
set(command)
set(is_after FALSE)
foreach(i RANGE 1 ${CMAKE_ARGC})
  if(is_after)
    list(APPEND command "${CMAKE_ARGV${i}}")
  elseif("${CMAKE_ARGV${i}}" STREQUAL "--")
    set(is_after TRUE)
  endif()
endforeach()
execute_process(COMMAND ${command} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE errors)
if(errors MATCHES "Everything of this run is in ([^ \n]+)")
  file(REMOVE_RECURSE ${CMAKE_MATCH_1})
endif()
if(NOT status EQUAL 1 OR NOT errors MATCHES "every effect at most once \\(S6\\) +VIOLATED")
  message(FATAL_ERROR "the judge has not convicted the mutant (status ${status})\n${output}\n${errors}")
endif()
