/* Files: path arithmetic, whole reads with a limit, atomic writes that leave the old file on failure. */
#include "base_test.h"
#include "base/fs.h"
#include <fcntl.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/lthost-fs-XXXXXX";

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[200];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static char *in_folder(const char *name) { return lth_path_join(folder, name); }

static size_t files_in(const char *path) {
    size_t count = 0;
    DIR *dir = opendir(path);
    for (struct dirent *entry; (entry = readdir(dir));) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(dir);
    return count;
}

static void assert_text(char *owned, const char *expected) {
    assert_string_equal(owned, expected);
    lth_free(owned);
}

static void path_arithmetic(void **state) {
    (void)state;
    setenv("HOME", "/users/me", 1);
    assert_text(lth_path_join("a", "b"), "a/b");
    assert_text(lth_path_join("a/", "b"), "a/b");
    assert_text(lth_path_join("a", "/b"), "/b");
    assert_text(lth_path_join("", "b"), "b");
    assert_text(lth_path_join(NULL, "b"), "b");
    assert_text(lth_path_join("a", "~/b"), "/users/me/b");
    assert_text(lth_path_join("a", "~"), "/users/me");
    assert_text(lth_path_join("a", "~no-such-user-here/b"), "~no-such-user-here/b");
    assert_text(lth_path_dir("a/b/c"), "a/b");
    assert_text(lth_path_dir("a/b//"), "a");
    assert_text(lth_path_dir("a"), ".");
    assert_text(lth_path_dir("/a"), "/");
    assert_text(lth_path_dir("/"), "/");
    assert_text(lth_path_dir(""), ".");
    assert_string_equal(lth_path_base("a/b.c"), "b.c");
    assert_string_equal(lth_path_base("b.c"), "b.c");
    assert_string_equal(lth_path_base("a/"), "");
}

static void absolute_paths(void **state) {
    (void)state;
    char here[PATH_MAX], expected[PATH_MAX + 32];
    setenv("HOME", "/users/me", 1);
    assert_non_null(getcwd(here, sizeof here));
    snprintf(expected, sizeof expected, "%s/x/../y", strcmp(here, "/") ? here : "");
    assert_text(lth_path_absolute("./x//./../y/"), expected);
    assert_text(lth_path_absolute("/a/./b//c/."), "/a/b/c");
    assert_text(lth_path_absolute("/"), "/");
    assert_text(lth_path_absolute("//"), "/");
    assert_text(lth_path_absolute("/."), "/");
    assert_text(lth_path_absolute("/.hidden/..x"), "/.hidden/..x");
    assert_text(lth_path_absolute("~/m"), "/users/me/m");
    snprintf(expected, sizeof expected, "%s/~no-such-user-here", strcmp(here, "/") ? here : "");
    assert_text(lth_path_absolute("~no-such-user-here"), expected);
}

static void folders(void **state) {
    (void)state;
    lth_error err = {0};
    char *deep = in_folder("a/b//c/d/"), *file = in_folder("a/file"), *below = in_folder("a/file/x");
    assert_int_equal(lth_make_dirs(deep, &err), LT_OK);
    assert_int_equal(lth_make_dirs(deep, &err), LT_OK);
    assert_true(lth_path_is_dir(deep));
    assert_int_equal(lth_write_file(file, "x", 1, &err), LT_OK);
    assert_true(lth_path_exists(file));
    assert_false(lth_path_is_dir(file));
    assert_int_equal(lth_make_dirs(below, &err), LT_EIO);
    assert_contains(err.text, "a/file");
    assert_contains(err.text, "in the way");
    lth_error_clear(&err);
    assert_int_equal(lth_make_dirs("", &err), LT_EINVAL);
    lth_error_clear(&err);
    assert_int_equal(lth_sync_dir("/no/such", &err), LT_EABSENT);
    lth_free(deep);
    lth_free(file);
    lth_free(below);
}

static void write_and_read_back(void **state) {
    (void)state;
    lth_error err = {0};
    char *path = in_folder("data.bin"), *data;
    char bytes[70000];
    size_t size;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 31);
    }
    static const size_t sizes[] = {0, 1, 4095, 4096, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(lth_write_file(path, bytes, sizes[i], &err), LT_OK);
        assert_int_equal(lth_read_file(path, sizes[i], &data, &size, &err), LT_OK);
        assert_int_equal(size, sizes[i]);
        assert_memory_equal(data, bytes, size);
        assert_int_equal(data[size], 0);
        lth_free(data);
    }
    assert_int_equal(lth_read_file(path, 69999, &data, &size, &err), LT_EFORMAT);
    assert_null(data);
    assert_contains(err.text, "data.bin");
    assert_contains(err.text, "69999");
    lth_free(path);
}

static void a_rewrite_keeps_the_mode(void **state) {
    (void)state;
    lth_error err = {0};
    char *path = in_folder("private");
    struct stat info;
    assert_int_equal(lth_write_file(path, "1", 1, &err), LT_OK);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(lth_write_file(path, "2", 1, &err), LT_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    lth_free(path);
}

static void failures_name_the_path(void **state) {
    (void)state;
    lth_error err = {0};
    char *data;
    size_t size;
    assert_int_equal(lth_read_file("/no/such/file.yaml", 100, &data, &size, &err), LT_EABSENT);
    assert_string_equal(err.text, "cannot open /no/such/file.yaml: No such file or directory");
    lth_error_clear(&err);
    assert_int_equal(lth_read_file(folder, 100, &data, &size, &err), LT_EIO);
    assert_contains(err.text, "it is a folder");
    lth_error_clear(&err);
    assert_int_equal(lth_write_file("/no/such/file", "x", 1, &err), LT_EABSENT);
    lth_error_clear(&err);
    assert_int_equal(lth_write_file("folder/", "x", 1, &err), LT_EINVAL);
}

static void a_failed_write_leaves_the_old_file(void **state) {
    (void)state;
    lth_error err = {0};
    char *path = in_folder("taken"), *below = in_folder("taken/x");
    assert_int_equal(lth_make_dirs(below, &err), LT_OK); /* rename onto a folder that is not empty fails */
    size_t before = files_in(folder);
    assert_int_equal(lth_write_file(path, "x", 1, &err), LT_EIO);
    assert_contains(err.text, "taken");
    assert_true(lth_path_is_dir(below));
    assert_int_equal(files_in(folder), before); /* and no temporary file */
    lth_free(path);
    lth_free(below);
}

static void reads_what_has_no_size(void **state) {
    (void)state;
    lth_error err = {0};
    char *data, *path = in_folder("pipe");
    size_t size;
    assert_int_equal(lth_read_file("/proc/self/status", 1 << 20, &data, &size, &err), LT_OK);
    assert_true(size > 100);
    assert_contains(data, "VmRSS");
    lth_free(data);
    assert_int_equal(lth_read_file("/dev/zero", 100000, &data, &size, &err), LT_EFORMAT);
    lth_free(path);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char *path = in_folder("memory"), *data;
    size_t size;
    for (int64_t budget = 0;; budget++) {
        assert_true(budget < 50);
        lth_error err = {0};
        lth_alloc_budget(budget);
        lt_status wrote = lth_write_file(path, "abc", 3, &err);
        lt_status read = wrote == LT_OK ? lth_read_file(path, 10, &data, &size, &err) : wrote;
        lth_alloc_budget(-1);
        if (read == LT_OK) {
            assert_memory_equal(data, "abc", 3);
            lth_free(data);
            break;
        }
        assert_int_equal(read, LT_ENOMEM);
        assert_int_equal(err.code, LT_ENOMEM);
    }
    lth_free(path);
}

static void the_executables_folder(void **state) {
    (void)state;
    assert_int_equal(lth_exe_dir()[0], '/');
    assert_true(lth_path_is_dir(lth_exe_dir()));
    assert_ptr_equal(lth_exe_dir(), lth_exe_dir());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(path_arithmetic),
        TEST(absolute_paths),
        TEST(folders),
        TEST(write_and_read_back),
        TEST(a_rewrite_keeps_the_mode),
        TEST(failures_name_the_path),
        TEST(a_failed_write_leaves_the_old_file),
        TEST(reads_what_has_no_size),
        TEST(every_allocation_may_fail),
        TEST(the_executables_folder),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
