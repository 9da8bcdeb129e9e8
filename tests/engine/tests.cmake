# What the tests of the engine need beyond one entry per file. Included by tests/CMakeLists.txt.
# ResNet-18 in f64 for 100 steps, which takes a while: `ctest -L long`. Under a sanitizer the short form says the same of memory.
if(NOT LTHOST_SANITIZE AND NOT LTHOST_TSAN)
  add_test(NAME engine.ops_resnet64_long COMMAND test_engine_ops_resnet64)
  set_tests_properties(engine.ops_resnet64_long PROPERTIES LABELS "ops;long" TIMEOUT 900 ENVIRONMENT LTHOST_LONG=1)
endif()
