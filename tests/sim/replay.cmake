# SPDX-License-Identifier: Apache-2.0
# The same seed gives the same trace, byte for byte, in another process: -DSIM=program.
foreach(seed RANGE 1 40)
  foreach(turn first second)
    execute_process(COMMAND ${SIM} --seed ${seed} OUTPUT_VARIABLE ${turn} RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
      message(FATAL_ERROR "seed ${seed} ended with ${result}")
    endif()
  endforeach()
  string(LENGTH "${first}" length)
  if(NOT first STREQUAL second OR length LESS 1000)
    message(FATAL_ERROR "seed ${seed}: two runs with different traces, or without any")
  endif()
endforeach()
