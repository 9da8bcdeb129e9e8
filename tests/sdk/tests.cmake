# The SDK from an author's side: headers in all dialects, the template in all ways to build it.
find_package(Python3 COMPONENTS Interpreter)
if(Python3_FOUND)
  add_test(NAME sdk.headers COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/sdk/check_headers.py ${CMAKE_SOURCE_DIR}/sdk)
  set_tests_properties(sdk.headers PROPERTIES LABELS sdk TIMEOUT 300 SKIP_RETURN_CODE 77)
endif()
add_test(NAME sdk.template COMMAND sh ${CMAKE_CURRENT_SOURCE_DIR}/sdk/check_template.sh ${CMAKE_SOURCE_DIR}/sdk ${CMAKE_BINARY_DIR}/tests/sdk/template)
set_tests_properties(sdk.template PROPERTIES LABELS sdk TIMEOUT 300)
# A plugin in its own test, as an author's.
target_include_directories(test_sdk_mock_layers PRIVATE ${CMAKE_SOURCE_DIR}/sdk/testing)
target_link_libraries(test_sdk_mock_layers PRIVATE m)
