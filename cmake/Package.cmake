# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where: headers, libraries, programs, find_package(tercet), pkg-config tercet.
install(DIRECTORY ${PROJECT_SOURCE_DIR}/framework/include/tercet DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")
install(FILES ${PROJECT_SOURCE_DIR}/framework/proto/tercet/v1/tercet.proto DESTINATION ${CMAKE_INSTALL_DATADIR}/tercet/tercet/v1)
install(TARGETS tercet EXPORT tercet-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tercet)
install(EXPORT tercet-targets NAMESPACE tercet:: DESTINATION ${config_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/tercet-config.cmake.in ${PROJECT_BINARY_DIR}/tercet-config.cmake
  INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tercet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/tercet-config.cmake ${PROJECT_BINARY_DIR}/tercet-config-version.cmake
  DESTINATION ${config_dir})

# The prefix is found from where the file lies, so that an installed tree may be moved.
file(RELATIVE_PATH TERCET_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
set(TERCET_PC_REQUIRES "crpc libprotobuf-c lmdb libxxhash")
if(TERCET_SQLITE)
  string(APPEND TERCET_PC_REQUIRES " sqlite3")
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/tercet.pc.in ${PROJECT_BINARY_DIR}/tercet.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tercet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
