# Plugins for the registry's tests, sound and hostile ones, in a folder of their own.
set(registry_plugins ${CMAKE_BINARY_DIR}/tests/registry/plugins)
set(registry_hostile ${CMAKE_BINARY_DIR}/tests/registry/hostile)
set(registry_twins ${CMAKE_BINARY_DIR}/tests/registry/twins)
set(registry_sources ${CMAKE_CURRENT_SOURCE_DIR}/registry/plugins)

function(registry_plugin name source folder)
  lt_add_plugin(${name} SOURCES ${registry_sources}/${source} OUTPUT_DIRECTORY ${folder})
  target_compile_options(${name} PRIVATE -Wno-missing-prototypes)
  add_dependencies(test_registry_registry ${name})
endfunction()
registry_plugin(test_good good.c ${registry_plugins})
registry_plugin(test_twin twin.c ${registry_twins})

set(cases no_entry null other_id twice small_struct huge_struct no_schema wrong_default no_components other_kind other_sizes fewer no_component_size)
set(number 0)
foreach(case ${cases})
  math(EXPR number "${number} + 1")
  registry_plugin(bad_${case} bad_entry.c ${registry_hostile})
  target_compile_definitions(bad_${case} PRIVATE CASE=${number})
endforeach()
registry_plugin(bad_major bad_entry.c ${registry_hostile})
target_compile_definitions(bad_major PRIVATE CASE=9 NOTE_MAJOR=7 NOTE_MINOR=3)
registry_plugin(bad_minor bad_entry.c ${registry_hostile})
target_compile_definitions(bad_minor PRIVATE CASE=9 NOTE_MAJOR=0 NOTE_MINOR=99)
registry_plugin(bad_undefined undefined.c ${registry_hostile})
target_link_options(bad_undefined PRIVATE LINKER:-z,undefs)
registry_plugin(no_note no_note.c ${registry_hostile})

# A C++ plugin: its rules are in a project of their own, since lthost itself is C.
find_program(LTHOST_TEST_CXX NAMES c++ g++ clang++)
if(LTHOST_TEST_CXX AND NOT LTHOST_SANITIZE AND NOT LTHOST_TSAN)
  file(GLOB sdk_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/sdk/include/lt/*.h)
  set(watch ${registry_plugins}/test_watch.so)
  add_custom_command(OUTPUT ${watch}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${registry_plugins}
    COMMAND ${LTHOST_TEST_CXX} -std=c++11 -O2 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fPIC -shared -fvisibility=hidden
            -I${CMAKE_SOURCE_DIR}/sdk/include -o ${watch} ${registry_sources}/watch.cpp
    DEPENDS ${registry_sources}/watch.cpp ${sdk_headers} VERBATIM)
  add_custom_target(test_watch DEPENDS ${watch})
  add_dependencies(test_registry_registry test_watch)
endif()
foreach(test registry note)
  target_compile_definitions(test_registry_${test} PRIVATE PLUGINS="${registry_plugins}" HOSTILE="${registry_hostile}" TWINS="${registry_twins}")
endforeach()
add_dependencies(test_registry_note test_good)
