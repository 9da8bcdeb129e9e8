/* A shared object that is no plugin. */
int lthost_test_nothing(void);
int lthost_test_nothing(void) { return 0; }
