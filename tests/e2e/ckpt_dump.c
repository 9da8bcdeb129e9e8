/* Lists what a checkpoint holds, one line an entry: path, dtype (0 a text), shape, hash of the bytes. For tests that
 * compare two checkpoints without any reader of HDF5.  ckpt_dump FILE          ckpt_dump FILE PATH: the entry's bytes, raw */
#include "base/hash.h"
#include "checkpoint/checkpoint.h"
#include <inttypes.h>
#include <stdio.h>

static void print(const lth_item *item) {
    char hex[33];

    lth_hash_hex(lth_hash(item->data, item->size), hex);
    printf("%s\t%d\t", item->path, (int)item->dtype);
    for (int i = 0; i < item->ndim; i++) {
        printf("%s%" PRId64, i ? "," : "", item->shape[i]);
    }
    printf("\t%s\n", hex);
}

int main(int argc, char **argv) {
    lth_snapshot *in = NULL;
    lth_ckpt_facts facts;
    lth_error error = {0};
    int status = 0;

    if (argc < 2 || lth_ckpt_read(argv[1], &in, &facts, &error)) {
        fprintf(stderr, "%s\n", argc < 2 ? "usage: ckpt_dump FILE [PATH]" : error.text);
        return 1;
    }
    if (argc == 2) {
        for (size_t i = 0; i < lth_snapshot_count(in); i++) {
            print(lth_snapshot_at(in, i));
        }
    } else {
        const lth_item *item = lth_snapshot_get(in, argv[2]);

        status = !item || fwrite(item->data, 1, item->size, stdout) != item->size;
    }
    lth_snapshot_free(in);
    return status;
}
