# lt_add_plugin(name SOURCES a.c b.c ... [OUTPUT_DIRECTORY dir])
#
# Builds name.so, a plugin of lthost: a module without "lib" prefix and SONAME that exports lt_plugin_entry_v1 alone. Id, version and
# components stand in the source (LT_PLUGIN), not here. Needs the target lt::sdk, headers only; nothing is linked.
# C and C++ sources both work. Further libraries: target_link_libraries(name PRIVATE ...).
include_guard(GLOBAL)

set(LTHOST_PLUGIN_EXPORTS "${CMAKE_CURRENT_LIST_DIR}/plugin.map" CACHE INTERNAL "Version script of plugins")

# ON where undefined symbols are expected to come from a sanitizer's runtime in the executable.
function(_lt_plugin_sanitized result)
  get_directory_property(options COMPILE_OPTIONS)
  string(JOIN " " flags ${options} ${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS} ${CMAKE_MODULE_LINKER_FLAGS})
  if(flags MATCHES "-fsanitize=")
    set(${result} ON PARENT_SCOPE)
  else()
    set(${result} OFF PARENT_SCOPE)
  endif()
endfunction()

function(lt_add_plugin name)
  cmake_parse_arguments(PARSE_ARGV 1 A "" "OUTPUT_DIRECTORY" "SOURCES")
  if(NOT A_SOURCES)
    message(FATAL_ERROR "lt_add_plugin(${name}): no SOURCES. Say lt_add_plugin(${name} SOURCES ${name}.c).")
  endif()
  if(A_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "lt_add_plugin(${name}): what is '${A_UNPARSED_ARGUMENTS}'? It takes SOURCES and OUTPUT_DIRECTORY.")
  endif()
  if(NOT TARGET lt::sdk)
    message(FATAL_ERROR "lt_add_plugin(${name}): no target lt::sdk. Call find_package(lthost) or add_subdirectory(<sdk>) before.")
  endif()

  add_library(${name} MODULE ${A_SOURCES})
  target_link_libraries(${name} PRIVATE lt::sdk)
  # Errors of the host name the plugin's source line: that needs line tables, and calls that are no jumps.
  target_compile_options(${name} PRIVATE -fno-optimize-sibling-calls -g1)
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so" NO_SONAME ON POSITION_INDEPENDENT_CODE ON
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS "${LTHOST_PLUGIN_EXPORTS}")
  target_link_options(${name} PRIVATE "LINKER:--version-script=${LTHOST_PLUGIN_EXPORTS}" LINKER:-z,now LINKER:-z,relro)
  _lt_plugin_sanitized(sanitized)
  if(NOT sanitized)
    target_link_options(${name} PRIVATE LINKER:-z,defs)
  endif()
  if(A_OUTPUT_DIRECTORY)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${A_OUTPUT_DIRECTORY}")
  endif()
endfunction()
