target_link_libraries(mnist PRIVATE ZLIB::ZLIB) # .gz files
