# SPDX-License-Identifier: Apache-2.0
# tercet_manual(target section [package]): the manual page of a program, made of its --help, in the package "tercet" or another.
# tercet_header_manuals(component header ...): those of public headers, a page each and a link for each function.
# Where there is no Python, or what is built does not run here, there are none.
find_program(TERCET_PYTHON3 python3)
set(TERCET_MANUAL ${CMAKE_CURRENT_LIST_DIR}/../scripts/manual)
if(TERCET_PYTHON3 AND TERCET_INSTALL AND NOT CMAKE_CROSSCOMPILING)
  set(TERCET_HAS_MANUALS ON)
endif()

function(tercet_manual target section)
  if(NOT TERCET_HAS_MANUALS)
    return()
  endif()
  set(package tercet)
  if(ARGC GREATER 2)
    set(package ${ARGV2})
  endif()
  get_target_property(name ${target} OUTPUT_NAME)
  if(NOT name)
    set(name ${target})
  endif()
  set(page ${CMAKE_CURRENT_BINARY_DIR}/${name}.${section})
  add_custom_command(OUTPUT ${page}
    COMMAND ${TERCET_PYTHON3} ${TERCET_MANUAL} man $<TARGET_FILE:${target}> ${section} ${tercet_VERSION} ${page}
    DEPENDS ${target} ${TERCET_MANUAL} VERBATIM)
  add_custom_target(${name}_manual ALL DEPENDS ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${package})
endfunction()

function(tercet_header_manuals)
  if(NOT TERCET_HAS_MANUALS)
    return()
  endif()
  set(pages ${CMAKE_CURRENT_BINARY_DIR}/man3)
  foreach(header IN LISTS ARGN)
    list(APPEND commands COMMAND ${TERCET_PYTHON3} ${TERCET_MANUAL} header ${header} ${tercet_VERSION} ${pages})
  endforeach()
  add_custom_command(OUTPUT ${pages}.made ${commands} COMMAND ${CMAKE_COMMAND} -E touch ${pages}.made
    DEPENDS ${ARGN} ${TERCET_MANUAL} VERBATIM)
  add_custom_target(tercet_header_manuals ALL DEPENDS ${pages}.made)
  install(DIRECTORY ${pages}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT libtercet-dev PATTERN "crpc*" EXCLUDE)
  install(DIRECTORY ${pages}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man3 COMPONENT libcrpc-dev FILES_MATCHING PATTERN "crpc*")
endfunction()
