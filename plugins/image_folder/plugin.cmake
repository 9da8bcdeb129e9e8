target_sources(image_folder PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/shared/files.c)
target_link_libraries(image_folder PRIVATE JPEG::JPEG PNG::PNG m)
set_source_files_properties(${folder}/resize.c ${folder}/decode.c ${folder}/transform.c PROPERTIES COMPILE_OPTIONS -O3)
