/* The note reader against sound, damaged and random files: it may refuse, it may not read outside of the file, hang or crash. */
#include "base/fs.h"
#include "base/mem.h"
#include "registry/note.h"
#include <elf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#define GOOD PLUGINS "/test_good.so"

static char *good;
static size_t good_size;

static int load_good(void **state) {
    lth_error err = {0};
    (void)state;
    return lth_read_file(GOOD, 1 << 24, &good, &good_size, &err);
}
static int drop_good(void **state) {
    (void)state;
    lth_free(good);
    return 0;
}

/* A file without a name that holds these bytes. */
static int file_of(const void *data, size_t size) {
    int fd = memfd_create("note", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    return fd;
}

static lth_note_result read_bytes(const void *data, size_t size, lth_arena *arena, lth_note *note, lth_error *err) {
    int fd = file_of(data, size);
    lth_note_result result = lth_note_read_fd(fd, arena, note, err);
    close(fd);
    return result;
}

static size_t note_offset(void) {
    for (size_t i = 0; i + 7 < good_size; i++) {
        if (!memcmp(good + i, "lthost\0", 7) && i >= 12 && good[i - 12] == 7) {
            return i - 12;
        }
    }
    fail_msg("no note in " GOOD);
    return 0;
}

static void expect_broken(const char *data, size_t size, const char *words) {
    lth_arena arena = {0};
    lth_note note;
    lth_error err = {0};

    assert_int_not_equal(read_bytes(data, size, &arena, &note, &err), LTH_NOTE_FOUND);
    assert_true(err.code < 0);
    if (!strstr(err.text, words)) {
        fail_msg("\"%s\" does not say \"%s\"", err.text, words);
    }
    lth_arena_release(&arena);
}

static void reads_a_good_one(void **state) {
    lth_arena arena = {0};
    lth_note note;
    lth_error err = {0};

    (void)state;
    assert_int_equal(lth_note_read(GOOD, &arena, &note, &err), LTH_NOTE_FOUND);
    assert_string_equal(note.id, "org.lthost.test-good");
    assert_string_equal(note.version, "1.2.3");
    assert_int_equal(note.n_components, 4);
    assert_string_equal(note.components[0], "lt.callback/1:Watcher");
    assert_string_equal(note.components[3], "lt.logger/1:Lines");
    assert_int_equal(note.abi_minor, LT_ABI_MINOR);
    lth_arena_release(&arena);
}

static void names_what_is_no_plugin(void **state) {
    lth_arena arena = {0};
    lth_note note;
    lth_error err = {0};

    (void)state;
    expect_broken("hello, this is text\n", 20, "no ELF file");
    expect_broken("", 0, "no ELF file");
    assert_int_equal(lth_note_read(HOSTILE "/no_note.so", &arena, &note, &err), LTH_NOTE_ABSENT);
    assert_non_null(strstr(err.text, "LT_PLUGIN"));
    lth_error_clear(&err);
    assert_int_equal(lth_note_read("/", &arena, &note, &err), LTH_NOTE_ABSENT);
    lth_error_clear(&err);
    assert_int_equal(lth_note_read("/dev/null", &arena, &note, &err), LTH_NOTE_ABSENT);
    lth_error_clear(&err);
    assert_int_equal(lth_note_read(PLUGINS "/absent.so", &arena, &note, &err), LTH_NOTE_BROKEN);
    assert_int_equal(err.code, LT_EABSENT);
    lth_arena_release(&arena);
}

static void names_what_is_damaged(void **state) {
    char *copy = malloc(good_size);
    size_t at = note_offset();
    uint32_t value;

    (void)state;
    assert_non_null(copy);
    expect_broken(good, 70, "cut off");
    expect_broken(good, at + 20, "cut off");
    memcpy(copy, good, good_size);
    copy[EI_CLASS] = ELFCLASS32;
    expect_broken(copy, good_size, "another machine");
    memcpy(copy, good, good_size);
    value = 0xfffffff0u; /* descsz */
    memcpy(copy + at + 4, &value, sizeof value);
    expect_broken(copy, good_size, "damaged");
    memcpy(copy, good, good_size);
    value = 8;
    memcpy(copy + at + 4, &value, sizeof value);
    expect_broken(copy, good_size, "too short");
    memcpy(copy, good, good_size);
    value = 2; /* format */
    memcpy(copy + at + 8, &value, sizeof value);
    expect_broken(copy, good_size, "update lthost");
    memcpy(copy, good, good_size);
    copy[at + 20 + 16] = '\033'; /* an escape sequence in the id */
    expect_broken(copy, good_size, "no plugin id");
    free(copy);
}

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

/* Bytes changed where they matter (headers and note), cut off and grown: the reader answers, and says why. */
static void survives_mutations(void **state) {
    size_t at = note_offset(), answers[3] = {0};
    char *copy = malloc(good_size);
    uint64_t seed = 20261121;

    (void)state;
    assert_non_null(copy);
    for (int round = 0; round < 2000; round++) {
        lth_arena arena = {0};
        lth_note note;
        lth_error err = {0};
        size_t size = good_size;
        lth_note_result result;

        memcpy(copy, good, good_size);
        for (uint64_t n = 1 + next_random(&seed) % 8; n > 0; n--) {
            uint64_t where = next_random(&seed) % 3;
            size_t spot = where == 0 ? next_random(&seed) % 64 : where == 1 ? next_random(&seed) % 1024 : at + next_random(&seed) % 160;
            copy[spot % good_size] = (char)(next_random(&seed) % 3 ? next_random(&seed) : 0xff);
        }
        if (next_random(&seed) % 4 == 0) {
            size = next_random(&seed) % good_size;
        }
        result = read_bytes(copy, size, &arena, &note, &err);
        answers[result]++;
        if (result == LTH_NOTE_FOUND) {
            assert_true(strlen(note.id) > 0 && strlen(note.version) > 0 && note.n_components <= 64);
            for (size_t i = 0; i < note.n_components; i++) {
                assert_non_null(strchr(note.components[i], ':'));
            }
        } else {
            assert_true(err.code < 0 && err.text[0] != 0);
        }
        lth_arena_release(&arena);
    }
    free(copy);
    assert_true(answers[LTH_NOTE_FOUND] > 0 && answers[LTH_NOTE_ABSENT] > 0 && answers[LTH_NOTE_BROKEN] > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_a_good_one), cmocka_unit_test(names_what_is_no_plugin),
                                       cmocka_unit_test(names_what_is_damaged), cmocka_unit_test(survives_mutations)};
    return cmocka_run_group_tests(tests, load_good, drop_good);
}
