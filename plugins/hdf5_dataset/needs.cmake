pkg_search_module(HDF5_SERIAL QUIET GLOBAL IMPORTED_TARGET hdf5-serial hdf5)
if(NOT HDF5_SERIAL_FOUND)
  set(missing "libhdf5 (libhdf5-dev)")
endif()
