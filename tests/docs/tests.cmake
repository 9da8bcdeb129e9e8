# Documentation: what it names exists, what is generated is up to date, what it shows as code compiles, runs and says what is shown.
find_package(Python3 COMPONENTS Interpreter)
find_program(LTHOST_TEST_CXX NAMES c++ g++ clang++)
if(Python3_FOUND)
  add_test(NAME docs.hooks COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/gen_hooks_doc.py --check)
  add_test(NAME docs.names COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/check_docs.py ${CMAKE_SOURCE_DIR})
  add_test(NAME docs.names_self COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/check_docs.py --self-test)
  add_test(NAME docs.contracts COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/check_contracts.py ${CMAKE_SOURCE_DIR})
  add_test(NAME docs.contracts_self COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/scripts/check_contracts.py --self-test)
  set(cxx "")
  if(LTHOST_TEST_CXX)
    set(cxx ${LTHOST_TEST_CXX})
  endif()
  add_test(NAME docs.examples COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/docs/check_examples.py ${CMAKE_SOURCE_DIR}
           $<TARGET_FILE:lthost> ${CMAKE_BINARY_DIR}/tests/docs ${CMAKE_C_COMPILER} ${cxx})
  set_tests_properties(docs.hooks docs.names docs.names_self docs.contracts docs.contracts_self docs.examples PROPERTIES
                       LABELS docs TIMEOUT 300 ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
endif()
