/* Faults: folders that take no files, full disks, limits on file size at every point of a write, kill -9 at any instant, memory that
 * runs out at every allocation. After each the old file is as it was and no temporary file is left by a living process. */
#include "ckpt_test.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { SKIPPED = 77 };

/* In a child, which may drop rights, take limits and die. body returns 0 for good. */
static int in_child(int (*body)(void)) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        _exit(body());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, err.text); \
            return 1; \
        } \
    } while (0)

/* ---- folders ---- */

static int write_without_rights(void) {
    lth_error err = {0};
    lth_snapshot *s = small_snapshot(2);
    EXPECT(geteuid() != 0 || setuid(65534) == 0);
    EXPECT(lth_ckpt_write(in_folder("a.h5"), s, NULL, &err) == LT_EIO);
    EXPECT(strstr(err.text, "a.h5: Permission denied"));
    return 0;
}

static void folder_is_read_only(void **state) {
    (void)state;
    lth_snapshot *s = small_snapshot(1);
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, NULL, e));
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(in_child(write_without_rights), 0);
    assert_int_equal(chmod(folder, 0755), 0);
    assert_good(lth_ckpt_verify(in_folder("a.h5"), NULL, e));
    lth_snapshot_free(s);
}

static void name_is_a_folder(void **state) {
    (void)state;
    lth_error err = {0};
    lth_snapshot *s = small_snapshot(1);
    assert_int_equal(lth_ckpt_write(folder, s, NULL, &err), LT_EINVAL);
    assert_contains(err.text, "names a folder");
    lth_snapshot_free(s);
}

/* ---- room ---- */

static lth_snapshot *large_snapshot(void) {
    lth_snapshot *s = small_snapshot(3);
    add_noise(s, "state_dict/big.weight", LT_F32, 2, (int64_t[]){512, 1024}); /* 2 MiB */
    return s;
}

static int write_on_a_full_disk(void) {
    lth_error err = {0};
    lth_snapshot *s = small_snapshot(1), *big = large_snapshot();
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=1m") != 0) {
        return SKIPPED;
    }
    EXPECT(lth_ckpt_write(in_folder("last.h5"), s, NULL, &err) == LT_OK);
    EXPECT(lth_ckpt_write(in_folder("last.h5"), big, NULL, &err) == LT_ENOSPC);
    EXPECT(strstr(err.text, "last.h5: No space left on device; it needs 2,09"));
    EXPECT(strstr(err.text, "are free in"));
    err = (lth_error){0};
    EXPECT(lth_ckpt_verify(in_folder("last.h5"), NULL, &err) == LT_OK);
    EXPECT(count_files(folder, true) == 0);
    EXPECT(lth_ckpt_write(in_folder("next.h5"), s, NULL, &err) == LT_OK); /* libhdf5 is in order afterwards */
    return 0;
}

static void disk_is_full(void **state) {
    (void)state;
    int result = in_child(write_on_a_full_disk);
    if (result == SKIPPED) {
        print_message("no right to mount: skipped, the limits on file size stand in\n");
        return;
    }
    assert_int_equal(result, 0);
}

/* The write that fails may be any: data, metadata at close, header. */
static int write_with_every_limit(void) {
    lth_error err = {0};
    size_t size, bad = 0;
    lth_snapshot *s = small_snapshot(2);
    char *old = slurp(in_folder("last.h5"), &size);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t limit = 0; limit < size; limit += 97) {
        struct rlimit most = {.rlim_cur = limit, .rlim_max = RLIM_INFINITY};
        EXPECT(setrlimit(RLIMIT_FSIZE, &most) == 0);
        err = (lth_error){0};
        EXPECT(lth_ckpt_write(in_folder("last.h5"), s, NULL, &err) == LT_ENOSPC);
        EXPECT(strstr(err.text, "File too large"));
        bad++;
    }
    size_t now;
    char *kept = slurp(in_folder("last.h5"), &now);
    EXPECT(bad > 20 && now == size && memcmp(kept, old, size) == 0 && count_files(folder, true) == 0);
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    err = (lth_error){0};
    EXPECT(setrlimit(RLIMIT_FSIZE, &all) == 0 && lth_ckpt_write(in_folder("last.h5"), s, NULL, &err) == LT_OK);
    return 0;
}

static void file_size_is_limited(void **state) {
    (void)state;
    lth_snapshot *s = small_snapshot(1);
    assert_good(lth_ckpt_write(in_folder("last.h5"), s, NULL, e));
    assert_int_equal(in_child(write_with_every_limit), 0);
    lth_snapshot_free(s);
}

/* ---- kill ---- */

static _Atomic int64_t *safe; /* shared with the child: the last step known to be on disk */

static int write_for_ever(void) {
    for (int64_t step = *safe + 1;; step++) {
        lth_snapshot *s = small_snapshot(step);
        lth_ckpt_facts facts = {.global_step = step};
        if (lth_ckpt_write(in_folder(step & 1 ? "odd.h5" : "even.h5"), s, &facts, NULL) != LT_OK) {
            return 1;
        }
        *safe = step;
        lth_snapshot_free(s);
    }
}

static int64_t newest(void) {
    int64_t found = 0;
    const char *const names[] = {"odd.h5", "even.h5"};
    for (int i = 0; i < 2; i++) {
        lth_snapshot *s = NULL;
        lth_ckpt_facts facts = {0};
        if (!lth_path_exists(in_folder(names[i]))) {
            continue;
        }
        assert_good(lth_ckpt_read(in_folder(names[i]), &s, &facts, e));
        assert_int_equal(lth_snapshot_i64(s, "loops/fit/global_step", -1), facts.global_step);
        found = facts.global_step > found ? facts.global_step : found;
        lth_snapshot_free(s);
    }
    return found;
}

static void killed_at_any_instant(void **state) {
    (void)state;
    uint64_t seed = 99;
    safe = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 60; i++) {
        pid_t child = fork();
        if (child == 0) {
            _exit(write_for_ever());
        }
        usleep((useconds_t)(next_random(&seed) % 60000));
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        assert_in_range(newest(), *safe, *safe + 1);
    }
    print_message("%lld checkpoints, 60 kills, %zu temporary files left\n", (long long)*safe, count_files(folder, true));
    DIR *list = opendir(folder);
    for (struct dirent *entry; (entry = readdir(list));) {
        if (entry->d_name[0] == '.') {
            unlinkat(dirfd(list), entry->d_name, 0);
        }
    }
    closedir(list);
    munmap((void *)safe, 4096);
}

/* ---- memory ---- */

static void assert_no_memory(lt_status status, const lth_error *err) {
    if (status != LT_OK && status != LT_ENOMEM) {
        fail_msg("%d: %s", status, err->text);
    }
}

static void out_of_memory_writing(void **state) {
    (void)state;
    size_t size, now;
    lth_snapshot *s = small_snapshot(2);
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, NULL, e));
    char *old = slurp(in_folder("a.h5"), &size);
    lt_status status = LT_ENOMEM;
    int64_t n = 0;
    for (; status != LT_OK; n++) {
        lth_error err = {0};
        int64_t live = lth_alloc_live();
        lth_alloc_budget(n);
        status = lth_ckpt_write(in_folder("a.h5"), s, NULL, &err);
        lth_alloc_budget(-1);
        assert_int_equal(lth_alloc_live(), live);
        assert_no_memory(status, &err);
        assert_int_equal(status, err.code);
        assert_int_equal(count_files(folder, true), 0);
        char *kept = slurp(in_folder("a.h5"), &now);
        assert_true(now == size && memcmp(kept, old, size) == 0);
        lth_free(kept);
    }
    assert_true(n > 4);
    lth_free(old);
    lth_snapshot_free(s);
}

static void out_of_memory_reading(void **state) {
    (void)state;
    lth_snapshot *s = small_snapshot(2);
    assert_good(lth_ckpt_write(in_folder("a.h5"), s, NULL, e));
    lt_status status = LT_ENOMEM;
    for (int64_t n = 0; status != LT_OK; n++) {
        lth_error err = {0};
        lth_snapshot *out = NULL;
        int64_t live = lth_alloc_live();
        lth_alloc_budget(n);
        status = lth_ckpt_read(in_folder("a.h5"), &out, NULL, &err);
        lth_alloc_budget(-1);
        assert_no_memory(status, &err);
        assert_true((status == LT_OK) == (out != NULL));
        lth_snapshot_free(out);
        assert_int_equal(lth_alloc_live(), live);
    }
    lth_snapshot_free(s);
}

static void out_of_memory_in_the_writer(void **state) {
    (void)state;
    lt_status status = LT_ENOMEM;
    for (int64_t n = 0; status != LT_OK; n++) {
        lth_error err = {0};
        lth_ckpt_writer *w = NULL;
        lth_snapshot *s = small_snapshot(1);
        int64_t live = lth_alloc_live();
        lth_alloc_budget(n);
        status = lth_ckpt_writer_new(&w, &err);
        if (status == LT_OK) {
            status = lth_ckpt_writer_save(w, in_folder("a.h5"), s, NULL, &err); /* takes s over in any case */
            lt_status end = lth_ckpt_writer_free(w, &err);
            status = status ? status : end;
            s = NULL;
        }
        lth_alloc_budget(-1);
        assert_no_memory(status, &err);
        assert_true(s ? lth_alloc_live() == live : lth_alloc_live() < live);
        lth_snapshot_free(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(folder_is_read_only),   TEST(name_is_a_folder),      TEST(disk_is_full),
                                       TEST(file_size_is_limited),  TEST(killed_at_any_instant), TEST(out_of_memory_writing),
                                       TEST(out_of_memory_reading), TEST(out_of_memory_in_the_writer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
