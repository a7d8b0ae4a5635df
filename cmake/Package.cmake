# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where, besides the libraries (Component.cmake): headers, the protocol, find_package(tercet).
set(CMAKE_INSTALL_DEFAULT_COMPONENT_NAME libtercet-dev)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/framework/include/tercet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_SOURCE_DIR}/framework/proto/tercet/v1/tercet.proto DESTINATION ${CMAKE_INSTALL_DATADIR}/tercet/tercet/v1)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/framework/barrier/sql/ DESTINATION ${CMAKE_INSTALL_DATADIR}/tercet FILES_MATCHING PATTERN "*.sql")
install(FILES ${PROJECT_SOURCE_DIR}/framework/conformance/barrier-vectors.jsonl DESTINATION ${CMAKE_INSTALL_DATADIR}/tercet)
install(FILES ${PROJECT_SOURCE_DIR}/docs/protocol.md DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/tercet COMPONENT tercet)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/samples/participants/python ${PROJECT_SOURCE_DIR}/samples/participants/go
  DESTINATION ${CMAKE_INSTALL_DATADIR}/tercet/participants
  # not the source's own: whose umask lets his group write would give that on
  FILES_MATCHING PATTERN "participant.py" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE
  PATTERN "*.py" PATTERN "*.go")

file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/framework/include/tercet/*.h
  ${PROJECT_SOURCE_DIR}/framework/include/tercet/sys/*.h ${PROJECT_SOURCE_DIR}/rpc/include/crpc/*.h)
tercet_header_manuals(${headers})

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tercet)
configure_package_config_file(${TERCET_CMAKE_DIR}/tercet-config.cmake.in ${PROJECT_BINARY_DIR}/tercet-config.cmake
  INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tercet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tercet-config.cmake ${PROJECT_BINARY_DIR}/tercet-config-version.cmake
  DESTINATION ${config_dir} COMPONENT libcrpc-dev)
