# The IDX reader is compiled into its tests; .gz files need zlib.
foreach(target test_plugins_idx test_plugins_idx_mnist)
  target_link_libraries(${target} PRIVATE ZLIB::ZLIB)
endforeach()
