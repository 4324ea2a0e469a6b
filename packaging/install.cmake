# SPDX-License-Identifier: MIT
# What "cmake --install" installs: headers, libraries, manual pages, weft.pc and the CMake package. It
# goes to any --prefix, and may be moved later; only what is configured for /usr stays there.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(out ${CMAKE_BINARY_DIR}/packaging)
set(cmake ${CMAKE_INSTALL_LIBDIR}/cmake/weft)

# A static library passes on what it is linked with.
while(weft_packages)
  list(POP_FRONT weft_packages prefix module)
  list(APPEND modules ${module})
  string(APPEND find "pkg_check_modules(${prefix} REQUIRED IMPORTED_TARGET ${module})\n")
  foreach(library weft weft_shared)
    if(TARGET ${library})
      target_link_libraries(${library} PRIVATE PkgConfig::${prefix})
    endif()
  endforeach()
endwhile()
if(modules)
  list(JOIN modules " " requires)
  string(PREPEND requires "Requires.private: ")
  string(PREPEND find "find_dependency(PkgConfig)\n")
endif()

set(targets weft)
if(WEFT_SHARED)
  list(APPEND targets weft_shared)
endif()
install(TARGETS ${targets} EXPORT weft INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/weft DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)

# Relative to weft.pc itself, but for /usr: there pkg-config leaves out the paths that compilers know.
set(prefix ${CMAKE_INSTALL_PREFIX})
set(libdir ${CMAKE_INSTALL_FULL_LIBDIR})
set(includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
if(NOT prefix STREQUAL /usr)
  foreach(folder prefix includedir libdir)
    cmake_path(RELATIVE_PATH ${folder} BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
    string(PREPEND ${folder} "\${pcfiledir}/")
  endforeach()
endif()
configure_file(packaging/weft.pc.in ${out}/weft.pc @ONLY)
install(FILES ${out}/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# While the version is 0.x, another minor number is another interface.
configure_package_config_file(packaging/weft-config.cmake.in ${out}/weft-config.cmake
  INSTALL_DESTINATION ${cmake})
write_basic_package_version_file(${out}/weft-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${out}/weft-config.cmake ${out}/weft-config-version.cmake DESTINATION ${cmake})
install(EXPORT weft NAMESPACE weft:: FILE weft-targets.cmake DESTINATION ${cmake})

# The manual pages, and for each function a page of one line that leads to the one about it.
file(GLOB pages CONFIGURE_DEPENDS docs/man/*.[37])
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${pages})
foreach(page ${pages})
  cmake_path(GET page FILENAME file)
  string(REGEX REPLACE ".*\\." man folder ${file})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/${folder})
  file(STRINGS ${page} lines REGEX "^\\.Nm weft_")
  foreach(line ${lines})
    string(REGEX MATCH "weft_[a-z0-9_]+" name ${line})
    if(NOT EXISTS ${CMAKE_SOURCE_DIR}/docs/man/${name}.3)
      file(CONFIGURE OUTPUT ${out}/${name}.3 CONTENT ".so man3/${file}\n")
      install(FILES ${out}/${name}.3 DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)
    endif()
  endforeach()
endforeach()
