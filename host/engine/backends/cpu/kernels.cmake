# Kernels compiled once per instruction set; device.c chooses at start. Included by host/CMakeLists.txt after lth_cpu exists.
function(lth_cpu_set name number folder)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/engine/backends/cpu/${folder}/*.c)
  add_library(lth_cpu_${name} OBJECT ${sources})
  target_include_directories(lth_cpu_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(lth_cpu_${name} PRIVATE lt_sdk)
  target_compile_definitions(lth_cpu_${name} PRIVATE LTH_ISA=${number})
  target_compile_options(lth_cpu_${name} PRIVATE ${ARGN} $<$<NOT:$<CONFIG:Debug>>:-O3>) # beyond the build type's -O2: the tiles must unroll
  target_sources(lth_cpu PRIVATE $<TARGET_OBJECTS:lth_cpu_${name}>)
endfunction()

lth_cpu_set(baseline 0 isa)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  lth_cpu_set(avx2 1 isa -mavx2 -mfma)
  set(avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma)
  lth_cpu_set(avx512 2 isa ${avx512})
  lth_cpu_set(avx512_bf16 2 isa/bf16 ${avx512} -mavx512bf16) # what differs from avx512
endif()
target_include_directories(lth_cpu PRIVATE ${DNNL_INCLUDE_DIR})
target_link_libraries(lth_cpu PUBLIC ${DNNL_LIBRARY} m)

# Microbenchmarks of the kernels at the shapes of the example models.
if(EXISTS ${PROJECT_SOURCE_DIR}/bench/kernels.c AND NOT TARGET bench_kernels)
  add_executable(bench_kernels EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/bench/kernels.c)
  target_link_libraries(bench_kernels PRIVATE lth_engine)
endif()

foreach(net IN ITEMS "resnet resnet" "mnist_cnn cnn" "lenet lenet") # folder of the plugin, its type
  string(REPLACE " " ";" net ${net})
  list(GET net 0 folder)
  list(GET net 1 type)
  if(EXISTS ${PROJECT_SOURCE_DIR}/bench/nets.c AND NOT TARGET bench_nets_${type})
    add_executable(bench_nets_${type} EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/bench/nets.c)
    target_link_libraries(bench_nets_${type} PRIVATE lth_engine)
    target_compile_definitions(bench_nets_${type} PRIVATE "NET=\"../plugins/${folder}/${folder}.c\"" SELF=${type})
    target_compile_options(bench_nets_${type} PRIVATE -Wno-unused-function)
  endif()
endforeach()

# The kernels for f64: beyond the build type's -O2, so that their plain loops become vectors.
file(GLOB wide_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/engine/backends/cpu/wide/*.c)
set_source_files_properties(${wide_sources} PROPERTIES COMPILE_OPTIONS $<$<NOT:$<CONFIG:Debug>>:-O3>)
