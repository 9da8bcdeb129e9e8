# The HDF5 module: loaded when the first checkpoint is written or read, so that libhdf5 costs nothing before. Links nothing of the host.
# Without libhdf5's headers it is left out; lthost then says what to install when a checkpoint is asked for.
pkg_search_module(HDF5_SERIAL IMPORTED_TARGET hdf5-serial hdf5)
if(HDF5_SERIAL_FOUND)
  set(hdf5_target PkgConfig::HDF5_SERIAL)
else()
  find_package(HDF5 COMPONENTS C)
  if(HDF5_FOUND)
    add_library(lth_hdf5_library INTERFACE)
    target_include_directories(lth_hdf5_library SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
    target_link_libraries(lth_hdf5_library INTERFACE ${HDF5_C_LIBRARIES})
    set(hdf5_target lth_hdf5_library)
  endif()
endif()

if(hdf5_target)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c)
  add_library(lthost_hdf5 MODULE ${sources})
  target_include_directories(lthost_hdf5 PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} $<TARGET_PROPERTY:lt_sdk,INTERFACE_INCLUDE_DIRECTORIES>)
  target_link_libraries(lthost_hdf5 PRIVATE ${hdf5_target} Threads::Threads)
  set_target_properties(lthost_hdf5 PROPERTIES PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  add_dependencies(lth_checkpoint lthost_hdf5) # whoever uses checkpoints, tests above all, finds it built
  install(TARGETS lthost_hdf5 LIBRARY DESTINATION lib/lthost) # where an installed host looks, from its own place: ../lib/lthost
else()
  message(STATUS "libhdf5 not found: checkpoints will not work (Debian, Ubuntu: apt-get install libhdf5-dev)")
endif()
