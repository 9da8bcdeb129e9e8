# The IDX reader is compiled into its tests; .gz files need zlib.
foreach(target test_plugins_idx test_plugins_idx_mnist)
  target_link_libraries(${target} PRIVATE ZLIB::ZLIB)
endforeach()

# The other data plugins are linked into their tests whole, with the mock host of the SDK.
function(lth_data_test test plugin)
  if(TARGET ${plugin})
    get_target_property(sources ${plugin} SOURCES)
    target_sources(test_plugins_${test} PRIVATE ${sources})
    target_include_directories(test_plugins_${test} PRIVATE ${CMAKE_SOURCE_DIR}/sdk/testing)
    get_target_property(libraries ${plugin} LINK_LIBRARIES)
    target_link_libraries(test_plugins_${test} PRIVATE ${libraries} m)
  else() # a library of the plugin is absent
    set_target_properties(test_plugins_${test} PROPERTIES EXCLUDE_FROM_ALL ON)
    set_tests_properties(plugins.${test} PROPERTIES DISABLED ON)
  endif()
endfunction()
foreach(plugin cifar10 csv_table hdf5_dataset image_folder npy_dataset text_file)
  lth_data_test(${plugin} ${plugin})
endforeach()
lth_data_test(text_file_bpe text_file)
