/* checkpoint/hdf5/module.c - the module's table: one call at a time, libhdf5's error printing silenced for its length, its error stack
 * turned into a message. It never changes what other users of libhdf5 in this process see, but that no filter plugins are loaded. */
#include "checkpoint/hdf5/parts.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* libhdf5 may be built without its own lock. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

lt_status lth_h5_fail(lth_h5_call *call, lt_status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    code = call->host->vfail(call->err, code, format, args);
    va_end(args);
    return code;
}

/* ---- libhdf5's failures ---- */

typedef struct story {
    char text[400];
    size_t used;
    bool memory;
} story;

/* From the cause outwards; two entries say enough. */
static herr_t tell(unsigned n, const H5E_error2_t *entry, void *user) {
    story *s = user;
    s->memory |= entry->maj_num == H5E_RESOURCE && entry->min_num == H5E_NOSPACE;
    if (n < 2 && entry->desc && s->used < sizeof s->text) {
        int length = snprintf(s->text + s->used, sizeof s->text - s->used, "%s%s", n ? "; " : "", entry->desc);
        s->used += length > 0 ? (size_t)length : 0;
    }
    return 0;
}

lt_status lth_h5_fail_library(lth_h5_call *call, const char *doing, const char *path) {
    story s = {.used = 0};
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, tell, &s);
    if (s.memory && !call->writing) {
        /* A damaged size asks for memory too: reading, both are possible. */
        return lth_h5_fail(call, LT_EFORMAT, "cannot %s %s: %s (out of memory, or a damaged size)", doing, path, s.text);
    }
    return lth_h5_fail(call, s.memory ? LT_ENOMEM : call->writing ? LT_EIO : LT_EFORMAT, "cannot %s %s: %s", doing, path,
                       s.text[0] ? s.text : "libhdf5 gives no reason");
}

/* ---- types ---- */

/* libhdf5 1.10 has no 16-bit floats; these are IEEE half and bfloat16 as h5py and newer libraries read them. */
static hid_t small_float(size_t exponent_bits, size_t exponent_bias) {
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    size_t mantissa_bits = 15 - exponent_bits;
    if (type >= 0 && (H5Tset_fields(type, 15, mantissa_bits, exponent_bits, 0, mantissa_bits) < 0 || H5Tset_size(type, 2) < 0 ||
                      H5Tset_ebias(type, exponent_bias) < 0)) {
        H5Tclose(type);
        type = H5I_INVALID_HID;
    }
    return type;
}

/* What h5py makes of numpy.bool and reads as such. */
static hid_t boolean(void) {
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    int8_t no = 0, yes = 1;
    if (type >= 0 && (H5Tenum_insert(type, "FALSE", &no) < 0 || H5Tenum_insert(type, "TRUE", &yes) < 0)) {
        H5Tclose(type);
        type = H5I_INVALID_HID;
    }
    return type;
}

lt_status lth_h5_types_open(lth_h5_call *call) {
    call->types[LT_F64] = H5Tcopy(H5T_IEEE_F64LE);
    call->types[LT_F32] = H5Tcopy(H5T_IEEE_F32LE);
    call->types[LT_F16] = small_float(5, 15);
    call->types[LT_BF16] = small_float(8, 127);
    call->types[LT_I64] = H5Tcopy(H5T_STD_I64LE);
    call->types[LT_I32] = H5Tcopy(H5T_STD_I32LE);
    call->types[LT_U8] = H5Tcopy(H5T_STD_U8LE);
    call->types[LT_BOOL] = boolean();
    for (int i = 1; i < TYPE_COUNT; i++) {
        if (call->types[i] < 0) {
            return lth_h5_fail_library(call, "make", "an HDF5 type");
        }
    }
    return LT_OK;
}

void lth_h5_types_close(lth_h5_call *call) {
    for (int i = 1; i < TYPE_COUNT; i++) {
        if (call->types[i] > 0) {
            H5Tclose(call->types[i]);
        }
    }
}

size_t lth_h5_type_size(lt_dtype dtype) {
    static const uint8_t sizes[TYPE_COUNT] = {1, 8, 4, 2, 2, 8, 4, 1, 1};
    return sizes[dtype];
}

/* ---- the table ---- */

typedef struct quiet {
    H5E_auto2_t print;
    void *data;
} quiet;

static lt_status begin(lth_h5_call *call, quiet *before) {
    pthread_mutex_lock(&one_at_a_time);
    if (H5open() < 0) {
        return lth_h5_fail(call, LT_EIO, "libhdf5 does not start");
    }
    H5Eget_auto2(H5E_DEFAULT, &before->print, &before->data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5PLset_loading_state(0); /* no file may bring code in */
    return lth_h5_types_open(call);
}

static void end(lth_h5_call *call, const quiet *before) {
    lth_h5_types_close(call);
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, before->print, before->data);
    pthread_mutex_unlock(&one_at_a_time);
}

static lt_status write_stream(const lth_hdf5_host *host, lth_hdf5_stream *stream, uint64_t user_block, const lth_hdf5_source *source,
                              lth_error *err) {
    lth_h5_call call = {.host = host, .stream = stream, .err = err, .writing = true};
    quiet before = {0};
    lt_status status = begin(&call, &before);
    if (status == LT_OK) {
        status = lth_h5_put(&call, user_block, source);
    }
    end(&call, &before);
    stream->size = call.eof;
    return call.failed ? lth_h5_fail(&call, LT_EIO, "cannot write") : status;
}

static lt_status read_stream(const lth_hdf5_host *host, lth_hdf5_stream *stream, uint64_t user_block, const lth_hdf5_sink *sink,
                             lth_error *err) {
    lth_h5_call call = {.host = host, .stream = stream, .err = err};
    quiet before = {0};
    lt_status status = begin(&call, &before);
    if (status == LT_OK) {
        status = lth_h5_get(&call, user_block, sink);
    }
    end(&call, &before);
    return status;
}

extern const lth_hdf5_api lth_hdf5_module;
__attribute__((visibility("default"))) const lth_hdf5_api lth_hdf5_module = {
    .struct_size = sizeof(lth_hdf5_api), .version = LTH_HDF5_API_VERSION, .write = write_stream, .read = read_stream};
