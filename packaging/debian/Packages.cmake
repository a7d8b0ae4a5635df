# SPDX-License-Identifier: Apache-2.0
# `cpack -G DEB` in a build of the preset "package" makes Debian packages, one of each component of the installation. A package of
# libraries is called after the first number of the soname, so that two can be installed beside each other.
set(number ${TERCET_SOVERSION})
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tercet)
set(CPACK_PACKAGE_VENDOR "The Tercet authors")
set(CPACK_PACKAGE_CONTACT "The Tercet authors <tercet@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Distributed transactions: try, confirm, cancel")
set(CPACK_DEBIAN_PACKAGE_VERSION ${tercet_VERSION}~dev)
if(TERCET_PACKAGE_VERSION)
  set(CPACK_DEBIAN_PACKAGE_VERSION ${TERCET_PACKAGE_VERSION})
endif()
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_SET_DESTDIR ON) # the configuration is in /etc, not below the prefix
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR}/rpc ${PROJECT_BINARY_DIR}/framework)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(same "(= ${CPACK_DEBIAN_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})")
set(files ${CMAKE_CURRENT_LIST_DIR})

# _package(component name section summary text [depends ...])
function(_package component name section summary text)
  string(TOUPPER ${component} key)
  list(JOIN ARGN ", " depends)
  foreach(pair "NAME;${name}" "SECTION;${section}" "DEPENDS;${depends}")
    list(POP_FRONT pair field)
    set(CPACK_DEBIAN_${key}_PACKAGE_${field} "${pair}" PARENT_SCOPE)
  endforeach()
  set(CPACK_DEBIAN_${key}_DESCRIPTION "${summary}\n${text}" PARENT_SCOPE)
  set(CPACK_COMPONENTS_ALL ${CPACK_COMPONENTS_ALL} ${component} PARENT_SCOPE)
  _package_documents(${component} ${name})
endfunction()

# What Debian's policy asks of each package: its licence, and what has changed; manual pages compressed.
function(_package_documents component name)
  set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME ${component})
  install(FILES ${files}/copyright DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${name})
  install(FILES ${PROJECT_BINARY_DIR}/packaging/changelog.Debian.gz DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${name})
  install(CODE "
    file(GLOB_RECURSE pages \$ENV{DESTDIR}${CMAKE_INSTALL_FULL_MANDIR}/*.[138])
    foreach(page IN LISTS pages)
      execute_process(COMMAND gzip -9nf \${page} COMMAND_ERROR_IS_FATAL ANY)
    endforeach()")
endfunction()

set(TERCET_DEB_VERSION ${CPACK_DEBIAN_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE})
configure_file(${files}/changelog.in ${PROJECT_BINARY_DIR}/packaging/changelog.Debian @ONLY)
execute_process(COMMAND gzip -9nkf ${PROJECT_BINARY_DIR}/packaging/changelog.Debian COMMAND_ERROR_IS_FATAL ANY)

set(about "Tercet runs TCC (try, confirm, cancel) transactions over services\nthat have databases of their own.")
_package(libcrpc libcrpc${number} libs "gRPC library for C"
  "A gRPC library for C, driven by the descriptors that protoc-c generates:\nservers, clients, streams.")
_package(libcrpc-dev libcrpc-dev libdevel "gRPC library for C - development files"
  "Headers, pkg-config and CMake files of crpc, a gRPC library for C." "libcrpc${number} ${same}" libprotobuf-c-dev)
_package(libtercet libtercet${number} libs "distributed transactions - libraries"
  "${about}\n.\nThe libraries for initiators, participants, and for a coordinator inside\nof a program." "libcrpc${number} ${same}")
set(dev "libtercet${number} ${same}" "libcrpc-dev ${same}" python3:any) # the samples of participants
_package(libtercet-dev libtercet-dev libdevel "distributed transactions - development files"
  "${about}\n.\nHeaders, manual pages, the protocol and what participants in other\nlanguages need." ${dev})
foreach(database sqlite lmdb postgres mysql redis)
  if(TARGET tercet_barrier_${database})
    set(name libtercet-barrier-${database})
    _package(${name} ${name}${number} libs "distributed transactions - barrier in ${database}"
      "${about}\n.\nThe barrier of participants that keep their data in ${database}." "libtercet${number} ${same}")
    _package(${name}-dev ${name}-dev libdevel "distributed transactions - barrier in ${database}, development files"
      "What is needed to build participants with a barrier in ${database}." "${name}${number} ${same}" "libtercet-dev ${same}")
  endif()
endforeach()
_package(tercet tercet net "distributed transactions - coordinator and tools"
  "${about}\n.\nThe coordinator tercetd as a service, tercetctl for operators,\nand tercet-conformance for those who write participants."
  "libcrpc${number} ${same}" "systemd | systemd-standalone-sysusers" "init-system-helpers (>= 1.54~)")
if(TERCET_BENCH)
  set(linked "tercet ${same}" "libtercet${number} ${same}")
  foreach(database sqlite lmdb postgres mysql redis)
    if(TARGET tercet_barrier_${database})
      list(APPEND linked "libtercet-barrier-${database}${number} ${same}")
    endif()
  endforeach()
  _package(tercet-bench tercet-bench net "distributed transactions - load generator"
    "${about}\n.\nMeasures a coordinator and its participants, on any of the databases that\nthey can have, beside what the machine could do at best." ${linked})
endif()
set(CPACK_DEBIAN_TERCET_PACKAGE_CONTROL_EXTRA ${files}/postinst ${files}/prerm ${files}/postrm ${files}/conffiles)
foreach(library libcrpc libtercet libtercet-barrier-sqlite libtercet-barrier-lmdb libtercet-barrier-postgres libtercet-barrier-mysql libtercet-barrier-redis)
  string(TOUPPER ${library} key)
  set(CPACK_DEBIAN_${key}_PACKAGE_CONTROL_EXTRA ${files}/triggers)
endforeach()
include(CPack)
