# SPDX-License-Identifier: Apache-2.0
# tercet_localized_library(NAME name KEEP pattern PARTS target ...)
#
# Makes the library `name` of the objects of several targets, in which only the symbols that match `pattern` are global. C has no
# namespaces: without this, an application's own table_free would clash with ours.
function(tercet_localized_library)
  cmake_parse_arguments(ARG "" "NAME;KEEP" "PARTS" ${ARGN})
  set(objects)
  foreach(part IN LISTS ARG_PARTS)
    list(APPEND objects $<TARGET_OBJECTS:${part}>)
  endforeach()
  set(all ${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}.all.o)
  set(local ${CMAKE_CURRENT_BINARY_DIR}/${ARG_NAME}.o)
  add_custom_command(OUTPUT ${local}
    COMMAND ${CMAKE_LINKER} -r -o ${all} ${objects}
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=${ARG_KEEP} ${all} ${local}
    DEPENDS ${ARG_PARTS} ${objects} COMMAND_EXPAND_LISTS VERBATIM)
  add_library(${ARG_NAME} ${local})
  set_target_properties(${ARG_NAME} PROPERTIES LINKER_LANGUAGE C)
endfunction()
