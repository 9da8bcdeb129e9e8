target_sources(npy_dataset PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/shared/files.c)
