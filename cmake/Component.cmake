# SPDX-License-Identifier: Apache-2.0
# tercet_component(NAME a_b PARTS target ... [USES component ...] [MODULES PREFIX module ...] [PUBLIC_MODULES PREFIX module ...]
#   [LIBRARIES library ...] [FLAGS flag ...] [KEEP pattern] [INCLUDE folder] [ROOT symbol] TEXT description)
#
# Makes an installed library of some of our parts, in which only `tercet_*` (KEEP: another pattern) is global:
#   tercet::a_b, in this build and in find_package(tercet COMPONENTS a_b); libtercet-a-b; pkg-config tercet-a-b.
# (crpc, with KEEP and INCLUDE of its own, stays crpc.) USES are other components, MODULES what it stands on by pkg-config, PUBLIC_MODULES those of them that its
# headers include; PREFIX is theirs in cmake/Dependencies.cmake. LIBRARIES are linked, FLAGS say the same to pkg-config. ROOT is
# linked even where nothing names it but a weak reference.
#
# A part whose public functions are in one component may be copied into no other: an application that links both would have
# them twice. Parts without public functions (the wire, the crash points) may be copied: their names are local,
# and each copy has variables of its own. Variables that several must see belong into `types`, with functions tercet_*.
function(tercet_component)
  cmake_parse_arguments(ARG "" "NAME;TEXT;KEEP;INCLUDE;ROOT" "PARTS;USES;MODULES;PUBLIC_MODULES;LIBRARIES;FLAGS" ${ARGN})
  string(REPLACE "_" "-" target "tercet-${ARG_NAME}")
  set(keep "tercet_[a-z]*")
  set(include ${tercet_SOURCE_DIR}/framework/include)
  if(ARG_KEEP)
    set(target ${ARG_NAME})
    set(keep ${ARG_KEEP})
    set(include ${ARG_INCLUDE})
  endif()
  tercet_localized_library(NAME ${target} KEEP ${keep} PARTS ${ARG_PARTS})
  add_library(tercet::${ARG_NAME} ALIAS ${target})
  set_property(GLOBAL APPEND PROPERTY TERCET_LIBRARIES ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${ARG_NAME}
    VERSION ${TERCET_SOVERSION}.${tercet_VERSION_MINOR}.${tercet_VERSION_PATCH} SOVERSION ${TERCET_SOVERSION})
  target_include_directories(${target} PUBLIC
    $<BUILD_INTERFACE:${include}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${target} PRIVATE ${ARG_LIBRARIES} Threads::Threads)
  _tercet_link(${target} PUBLIC "${ARG_USES}" "${ARG_PUBLIC_MODULES}")
  _tercet_link(${target} PRIVATE "" "${ARG_MODULES}")
  if(ARG_ROOT)
    # A static library's object is pulled out by name; a shared library is kept although a linker that is told --as-needed, as
    # some are by default, sees nobody call it.
    set(root -u,${ARG_ROOT})
    if(BUILD_SHARED_LIBS)
      set(root --no-as-needed)
    endif()
    target_link_options(${target} INTERFACE LINKER:${root})
    set(root -Wl,${root})
  endif()
  if(TERCET_INSTALL)
    tercet_package_of(package ${ARG_NAME})
    install(TARGETS ${target} EXPORT tercet-${ARG_NAME}
      ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${package}-dev
      LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${package} NAMELINK_COMPONENT ${package}-dev)
    _tercet_package(${target} "${ARG_NAME}" "${ARG_TEXT}" "${ARG_USES}" "${ARG_PUBLIC_MODULES}" "${ARG_MODULES}" "${ARG_FLAGS}" "${root}")
  endif()
endfunction()

# tercet_bundle(NAME a USES component ... TEXT description): a component that is nothing but others together.
function(tercet_bundle)
  cmake_parse_arguments(ARG "" "NAME;TEXT" "USES" ${ARGN})
  add_library(${ARG_NAME} INTERFACE)
  add_library(tercet::${ARG_NAME} ALIAS ${ARG_NAME})
  _tercet_link(${ARG_NAME} INTERFACE "${ARG_USES}" "")
  if(TERCET_INSTALL)
    install(TARGETS ${ARG_NAME} EXPORT tercet-${ARG_NAME} COMPONENT libtercet-dev)
    _tercet_package(${ARG_NAME} "${ARG_NAME}" "${ARG_TEXT}" "${ARG_USES}" "" "" "" "")
  endif()
endfunction()

# The package, a component of the installation, that a component's library is in: crpc alone is of use, a barrier wants its
# database's library, and the rest goes together.
function(tercet_package_of out name)
  set(package libtercet)
  if(name STREQUAL "crpc")
    set(package libcrpc)
  elseif(name MATCHES "^barrier_(.*)")
    set(package libtercet-barrier-${CMAKE_MATCH_1})
  endif()
  set(${out} ${package} PARENT_SCOPE)
endfunction()

function(_tercet_link target scope uses modules)
  foreach(used IN LISTS uses)
    target_link_libraries(${target} ${scope} tercet::${used})
  endforeach()
  while(modules)
    list(POP_FRONT modules prefix module)
    target_link_libraries(${target} ${scope} PkgConfig::${prefix})
  endwhile()
endfunction()

# What find_package and pkg-config read of one component. A shared library brings what it links for itself; a static one's
# user links it.
function(_tercet_package target name text uses public_modules modules flags root)
  if(NOT BUILD_SHARED_LIBS)
    list(APPEND public_modules ${modules})
    set(modules)
  endif()
  set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tercet)
  tercet_package_of(package ${name})
  install(EXPORT tercet-${name} COMPONENT ${package}-dev NAMESPACE tercet:: FILE tercet-${name}-targets.cmake DESTINATION ${config_dir})
  set(COMPONENT ${name})
  set(COMPONENT_USES ${uses})
  set(COMPONENT_MODULES ${public_modules})
  configure_file(${TERCET_CMAKE_DIR}/component.cmake.in ${tercet_BINARY_DIR}/tercet-${name}.cmake @ONLY)
  install(FILES ${tercet_BINARY_DIR}/tercet-${name}.cmake DESTINATION ${config_dir} COMPONENT ${package}-dev)

  set(PC_TEXT ${text})
  _tercet_pc_names(PC_REQUIRES "${uses}" "${public_modules}")
  _tercet_pc_names(PC_REQUIRES_PRIVATE "" "${modules}")
  set(PC_LIBS)
  get_target_property(type ${target} TYPE)
  if(NOT type STREQUAL INTERFACE_LIBRARY)
    set(PC_LIBS "-L\${libdir} ${root} -l${target}")
  endif()
  list(JOIN flags " " PC_LIBS_PRIVATE)
  if(NOT BUILD_SHARED_LIBS)
    string(APPEND PC_LIBS " ${PC_LIBS_PRIVATE}")
  endif()
  # The prefix is found from where the file lies, so that an installed tree may be moved.
  file(RELATIVE_PATH PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  set(PC_NAME ${target})
  configure_file(${TERCET_CMAKE_DIR}/component.pc.in ${tercet_BINARY_DIR}/${target}.pc @ONLY)
  install(FILES ${tercet_BINARY_DIR}/${target}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT ${package}-dev)
endfunction()

function(_tercet_pc_names out uses modules)
  set(names)
  foreach(used IN LISTS uses)
    get_target_property(aliased tercet::${used} ALIASED_TARGET)
    list(APPEND names ${aliased})
  endforeach()
  while(modules)
    list(POP_FRONT modules prefix module)
    list(APPEND names ${module})
  endwhile()
  list(JOIN names ", " names)
  set(${out} "${names}" PARENT_SCOPE)
endfunction()
