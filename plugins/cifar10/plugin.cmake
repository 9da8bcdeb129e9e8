target_sources(cifar10 PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/shared/files.c ${CMAKE_CURRENT_SOURCE_DIR}/shared/pixels.c)
set_source_files_properties(${CMAKE_CURRENT_SOURCE_DIR}/shared/pixels.c PROPERTIES COMPILE_OPTIONS -O3)
target_link_libraries(cifar10 PRIVATE ZLIB::ZLIB) # the archive
