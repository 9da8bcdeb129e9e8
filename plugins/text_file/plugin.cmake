target_sources(text_file PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/shared/files.c)
