target_sources(csv_table PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/shared/files.c)
target_link_libraries(csv_table PRIVATE m)
