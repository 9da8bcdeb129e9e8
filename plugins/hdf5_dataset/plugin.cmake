target_sources(hdf5_dataset PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/shared/files.c)
target_link_libraries(hdf5_dataset PRIVATE PkgConfig::HDF5_SERIAL)
