/* checkpoint/hdf5/driver.c - a file driver for libhdf5 whose file is a stream of the host. With it errors keep their errno, what was
 * verified and what is parsed are the same open file, and no lock of libhdf5's is needed (file systems without locks work).
 * A failed write is not passed on: libhdf5 1.10 cannot close a file after one and hangs or crashes at exit. */
#include "checkpoint/hdf5/parts.h"
#include <string.h>

typedef struct file {
    H5FD_t base; /* first: libhdf5's part */
    lth_h5_call *call;
    haddr_t eoa;
} file;

typedef struct access_info {
    lth_h5_call *call;
} access_info;

static H5FD_t *open_file(const char *name, unsigned flags, hid_t access, haddr_t max_address) {
    (void)name, (void)max_address;
    const access_info *info = H5Pget_driver_info(access);
    file *f = info ? info->call->host->alloc(sizeof *f) : NULL;
    if (!f) {
        if (info) {
            lth_h5_fail(info->call, LT_ENOMEM, "out of memory for an HDF5 file");
        }
        return NULL;
    }
    f->call = info->call;
    f->call->writing = (flags & H5F_ACC_TRUNC) != 0;
    f->call->eof = f->call->writing ? 0 : f->call->stream->size;
    return &f->base;
}

static herr_t close_file(H5FD_t *base) {
    file *f = (file *)base;
    f->call->host->free(f);
    return 0;
}

/* Without it libhdf5 takes every two files of a driver for the same. */
static int compare_files(const H5FD_t *a, const H5FD_t *b) {
    uintptr_t left = (uintptr_t)a, right = (uintptr_t)b;
    return (left > right) - (left < right);
}

static herr_t query(const H5FD_t *base, unsigned long *flags) {
    (void)base;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA |
             H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t get_eoa(const H5FD_t *base, H5FD_mem_t type) {
    (void)type;
    return ((const file *)base)->eoa;
}

static herr_t set_eoa(H5FD_t *base, H5FD_mem_t type, haddr_t address) {
    (void)type;
    ((file *)base)->eoa = address;
    return 0;
}

static haddr_t get_eof(const H5FD_t *base, H5FD_mem_t type) {
    (void)type;
    return ((const file *)base)->call->eof;
}

/* Beyond the end there are zeros, as in libhdf5's own drivers: it reads ahead. */
static herr_t read_file(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size, void *to) {
    (void)type, (void)transfer;
    lth_h5_call *call = ((file *)base)->call;
    size_t there = at >= call->eof ? 0 : call->eof - at < size ? (size_t)(call->eof - at) : size;
    memset((char *)to + there, 0, size - there);
    if (call->failed) {
        memset(to, 0, there);
        return 0;
    }
    return !there || call->stream->read(call->stream->self, at, to, there) ? 0 : -1;
}

static herr_t write_file(H5FD_t *base, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t size, const void *from) {
    (void)type, (void)transfer;
    lth_h5_call *call = ((file *)base)->call;
    if (!call->failed && !call->stream->write(call->stream->self, at, from, size)) {
        call->failed = true;
    }
    call->eof = at + size > call->eof ? at + size : call->eof;
    return 0;
}

/* The last allocated byte must be in the file, written or not. */
static herr_t truncate_file(H5FD_t *base, hid_t transfer, hbool_t closing) {
    (void)transfer, (void)closing;
    file *f = (file *)base;
    lth_h5_call *call = f->call;
    if (call->writing && call->eof < f->eoa) {
        return write_file(base, H5FD_MEM_DEFAULT, 0, f->eoa - 1, 1, "");
    }
    return 0;
}

static const H5FD_class_t driver = {
#ifdef H5FD_CLASS_VERSION
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)0x4c54, /* any that is not reserved for libhdf5's own */
#endif
    .name = "lthost",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(access_info),
    .open = open_file,
    .close = close_file,
    .cmp = compare_files,
    .query = query,
    .get_eoa = get_eoa,
    .set_eoa = set_eoa,
    .get_eof = get_eof,
    .read = read_file,
    .write = write_file,
    .truncate = truncate_file,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* Registered per call: an id kept over H5close() of some plugin would be stale. */
hid_t lth_h5_access(lth_h5_call *call) {
    access_info info = {.call = call};
    hid_t id = H5FDregister(&driver), list = id < 0 ? H5I_INVALID_HID : H5Pcreate(H5P_FILE_ACCESS);
    if (list >= 0 && (H5Pset_driver(list, id, &info) < 0 || H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0 ||
                      H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) < 0)) {
        H5Pclose(list);
        list = H5I_INVALID_HID;
    }
    if (id >= 0) {
        H5FDunregister(id); /* the list keeps it alive */
    }
    return list;
}
