/* Damaged checkpoints: every truncation, a flipped bit at every byte, random mutants. All must be refused with a word for what is
 * wrong. Mutants whose checksums were set right afterwards reach libhdf5: they may load or not, but never crash, hang or leak. */
#include "checkpoint/internal.h"
#include "ckpt_test.h"
#include <sys/wait.h>

enum { ROUNDS = 20000 };

static char *small_file(size_t *size) {
    lth_snapshot *s = small_snapshot(7);
    lth_ckpt_facts facts = some_facts();
    assert_good(lth_ckpt_write(in_folder("good.h5"), s, &facts, e));
    lth_snapshot_free(s);
    return slurp(in_folder("good.h5"), size);
}

static void assert_refused(const char *path, const char *why) {
    lth_error err = {0};
    assert_int_equal(lth_ckpt_verify(path, NULL, &err), LT_EFORMAT);
    assert_contains(err.text, path);
    assert_contains(err.text, why);
}

static void every_truncation(void **state) {
    (void)state;
    size_t size;
    char *good = small_file(&size), need[32], have[32], text[80];
    for (size_t length = 0; length < size; length++) {
        dump(in_folder("cut.h5"), good, length);
        snprintf(text, sizeof text, "is truncated: %s of %s bytes", lth_with_commas(length, have), lth_with_commas(length < 24 ? 512 : size, need));
        assert_refused(in_folder("cut.h5"), text);
        lth_ckpt_facts facts;
        assert_int_equal(lth_ckpt_probe(in_folder("cut.h5"), &facts, NULL), LT_EFORMAT);
    }
    char *longer = lth_alloc(size + 3);
    memcpy(longer, good, size);
    dump(in_folder("cut.h5"), longer, size + 3);
    assert_refused(in_folder("cut.h5"), "3 bytes follow its end");
    lth_free(longer);
    lth_free(good);
}

static void every_flipped_byte(void **state) {
    (void)state;
    size_t size;
    uint64_t seed = 1234567;
    char *good = small_file(&size);
    assert_true(size > 2000);
    for (size_t at = 0; at < size; at++) {
        char bit = (char)(1 << (next_random(&seed) & 7));
        good[at] ^= bit;
        dump(in_folder("flip.h5"), good, size);
        assert_refused(in_folder("flip.h5"), at < 8      ? "lthost" /* no checkpoint, or a newer one */
                                             : at < 512 ? "the checksum of its header does not match"
                                                        : "the checksum of its content does not match");
        good[at] ^= bit;
    }
    lth_free(good);
}

static void what_else_is_no_checkpoint(void **state) {
    (void)state;
    size_t size;
    char *good = small_file(&size);
    unsigned char block[LTH_CKPT_BLOCK];
    lth_error err = {0};
    dump(in_folder("zip.ckpt"), "PK\3\4 and more", 13);
    assert_refused(in_folder("zip.ckpt"), "torch.save");
    dump(in_folder("text"), "epoch: 3\n", 9);
    assert_refused(in_folder("text"), "is not an lthost checkpoint");
    assert_int_equal(lth_ckpt_verify(folder, NULL, &err), LT_EFORMAT);
    assert_contains(err.text, "is a folder");
    err = (lth_error){0};
    assert_int_equal(lth_ckpt_verify(in_folder("nothing.h5"), NULL, &err), LT_EABSENT);
    assert_contains(err.text, "No such file");
    mkfifo(in_folder("fifo"), 0600);
    assert_refused(in_folder("fifo"), "pipe or device");
    memcpy(block, good, sizeof block);
    good[7] = '2';
    dump(in_folder("new.h5"), good, size);
    assert_refused(in_folder("new.h5"), "newer lthost");
    lth_free(good);
}

/* A header with its checksum right whose values are impossible or of a later format. */
static void header_values(void **state) {
    (void)state;
    lth_ckpt_header header = {.length = 512}, out;
    unsigned char block[LTH_CKPT_BLOCK];
    lth_error err = {0};
    lth_ckpt_encode(&header, block);
    assert_int_equal(lth_ckpt_decode(block, 512, 512, "p", &out, &err), LT_OK);
    block[8] = 2;
    assert_int_equal(lth_ckpt_decode(block, 512, 512, "p", &out, &err), LT_EFORMAT);
    assert_contains(err.text, "checksum of its header");
    for (int i = 0; i < 200; i++) { /* random headers: refused or decoded, no crash */
        uint64_t seed = (uint64_t)i * 7919 + 1;
        for (int k = 8; k < 512; k++) {
            block[k] = (unsigned char)next_random(&seed);
        }
        assert_int_equal(lth_ckpt_decode(block, 512, 512, "p", &out, NULL), LT_EFORMAT);
    }
}

/* ---- mutants ---- */

static void mutate(char *data, size_t from, size_t size, uint64_t *seed) {
    int count = 1 + (int)(next_random(seed) & 3);
    for (int i = 0; i < count; i++) {
        size_t at = from + next_random(seed) % (size - from);
        switch (next_random(seed) % 4) {
        case 0: data[at] ^= (char)(1 << (next_random(seed) & 7)); break;
        case 1: data[at] = (char)0xff; break;
        case 2: data[at] = 0; break;
        default: data[at] = (char)next_random(seed); break;
        }
    }
}

static void mutants_are_refused(void **state) {
    (void)state;
    size_t size;
    uint64_t seed = 42;
    char *good = small_file(&size), *mutant = lth_alloc(size);
    for (int i = 0; i < ROUNDS; i++) {
        lth_snapshot *out = NULL;
        memcpy(mutant, good, size);
        mutate(mutant, 0, size, &seed);
        if (memcmp(mutant, good, size) == 0) {
            continue;
        }
        dump(in_folder("m.h5"), mutant, size);
        lth_error err = {0};
        assert_int_equal(lth_ckpt_read(in_folder("m.h5"), &out, NULL, &err), LT_EFORMAT);
        assert_null(out);
    }
    lth_free(good);
    lth_free(mutant);
}

/* Like an attacker, who can compute a checksum as well: what libhdf5 and get.c make of it. Returns how many loaded, -1 on a fault. */
static int try_mutants(const char *good, size_t size, uint64_t seed, int rounds) {
    int loaded = 0;
    char *mutant = lth_alloc(size);
    int64_t live = lth_alloc_live();
    for (int i = 0; i < rounds; i++) {
        lth_snapshot *out = NULL;
        lth_error err = {0};
        size_t cut = i % 8 == 0 ? 512 + next_random(&seed) % (size - 512) : size;
        memcpy(mutant, good, size);
        mutate(mutant, 512, size, &seed);
        lth_ckpt_header header = {.length = cut, .hash = lth_hash(mutant + 512, cut - 512)};
        lth_ckpt_encode(&header, (unsigned char *)mutant);
        dump(in_folder("m.h5"), mutant, cut);
        lt_status status = lth_ckpt_read(in_folder("m.h5"), &out, NULL, &err);
        loaded += status == LT_OK;
        lth_snapshot_free(out);
        if (status != err.code || lth_alloc_live() != live) {
            fprintf(stderr, "mutant %d: status %d, %s\n", i, status, err.text);
            return -1;
        }
    }
    return loaded;
}

/* In children: libhdf5 1.10 leaks inside itself when it meets a damaged object header, and complains about it at exit. */
static void mutants_with_a_right_hash(void **state) {
    (void)state;
    enum { CHILDREN = 20, EACH = ROUNDS / CHILDREN };
    size_t size;
    char *good = small_file(&size);
    int pipes[2], loaded = 0, part = 0;
    assert_int_equal(pipe(pipes), 0);
    for (int i = 0; i < CHILDREN; i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
            alarm(120); /* a hang is a failure */
            int result = try_mutants(good, size, 4242 + (uint64_t)i * 7919, EACH);
            _exit(write(pipes[1], &result, sizeof result) == sizeof result && result >= 0 ? 0 : 1);
        }
        waitpid(child, &status, 0);
        if (status != 0) {
            fail_msg("child %d of the fuzz ended with status 0x%x", i, status);
        }
        assert_int_equal(read(pipes[0], &part, sizeof part), sizeof part);
        loaded += part;
    }
    close(pipes[0]);
    close(pipes[1]);
    print_message("%d of %d mutants with a right hash loaded (changed data, or unused bytes)\n", loaded, ROUNDS);
    lth_free(good);
}

int main(void) {
    const struct CMUnitTest tests[] = {TEST(every_truncation), TEST(every_flipped_byte), TEST(what_else_is_no_checkpoint), TEST(header_values),
                                       TEST(mutants_are_refused), TEST(mutants_with_a_right_hash)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
