# SPDX-License-Identifier: Apache-2.0
# The matrix dies at every point that tercetd has: a new one in a part that tercet-crash does not link would be missed.
cmake_policy(SET CMP0007 NEW)
foreach(program IN ITEMS CRASH TERCETD)
  execute_process(COMMAND ${${program}} --list-failpoints OUTPUT_VARIABLE text RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${${program}} --list-failpoints ended with ${status}")
  endif()
  string(REPLACE "\n" ";" points "${text}")
  list(FILTER points EXCLUDE REGEX "^participant\\.") # of the example participant in `tercetd dev`, not of the coordinator
  list(SORT points)
  set(points_of_${program} "${points}")
endforeach()
if(NOT points_of_CRASH STREQUAL points_of_TERCETD OR points_of_CRASH STREQUAL "")
  message(FATAL_ERROR "tercet-crash has ${points_of_CRASH}\ntercetd has ${points_of_TERCETD}")
endif()
