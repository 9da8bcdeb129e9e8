/* hdf5_dataset/array.c - see array.h. */
#include "array.h"
#include "../shared/whole.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every thread has an error stack of its own, which prints unless told not to. */
static void be_quiet(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

/* The innermost reason that libhdf5 gives. */
static herr_t note_reason(unsigned n, const H5E_error2_t *error, void *out) {
    (void)n;
    if (error->desc && *error->desc) {
        *(const char **)out = error->desc;
    }
    return 0;
}

static lt_status fail(const h5_array *array, lt_status code, char why[FILE_WHY_MAX], const char *what) {
    const char *reason = NULL;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, note_reason, &reason);
    file_fail(code, why, "%.3500s: %s '%.300s'%s%.200s", array->file ? array->file : "", what, array->path ? array->path : "", reason ? ": " : "",
              reason ? reason : "");
    H5Eclear2(H5E_DEFAULT);
    return code;
}

void h5_array_close(h5_array *array) {
    be_quiet();
    if (array->space > 0) {
        H5Sclose(array->space);
    }
    if (array->id > 0) {
        H5Dclose(array->id);
    }
    if (array->file_id > 0) {
        H5Fclose(array->file_id);
    }
    free(array->file);
    free(array->path);
    *array = (h5_array){0};
}

static lt_status read_type(h5_array *array, char why[FILE_WHY_MAX]) {
    hid_t type = H5Dget_type(array->id);
    H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    if (type >= 0) {
        H5Tclose(type);
    }
    if (class != H5T_INTEGER && class != H5T_FLOAT) {
        return file_fail(LT_EDTYPE, why, "%s: dataset '%s' holds neither integers nor floats", array->file, array->path);
    }
    array->integer = class == H5T_INTEGER;
    return LT_OK;
}

static lt_status read_shape(h5_array *array, char why[FILE_WHY_MAX]) {
    hsize_t dims[H5S_MAX_RANK];
    array->space = H5Dget_space(array->id);
    int ndim = array->space < 0 ? -1 : H5Sget_simple_extent_ndims(array->space);
    if (ndim < 0) {
        return fail(array, LT_EFORMAT, why, "cannot read the shape of");
    }
    if (ndim < 1 || ndim > LT_MAX_DIMS) {
        return file_fail(LT_ESHAPE, why, "%s: dataset '%s' has %d dimensions, 1 to %d can be read", array->file, array->path, ndim, LT_MAX_DIMS);
    }
    H5Sget_simple_extent_dims(array->space, dims, NULL);
    array->ndim = ndim;
    array->row = 1;
    for (int i = 0; i < ndim; i++) {
        array->shape[i] = (int64_t)dims[i];
        if (dims[i] > INT64_MAX / 16 || (i && __builtin_mul_overflow(array->row, array->shape[i], &array->row)) || array->row > INT64_MAX / 16) {
            return file_fail(LT_EFORMAT, why, "%s: dataset '%s' claims more numbers than there can be", array->file, array->path);
        }
    }
    return array->shape[0] && array->row ? LT_OK : file_fail(LT_EFORMAT, why, "%s: dataset '%s' is empty", array->file, array->path);
}

static lt_status open_dataset(h5_array *array, int64_t cache_bytes, char why[FILE_WHY_MAX]) {
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    H5Pset_chunk_cache(access, 12421, (size_t)cache_bytes, 0.75);
    array->id = H5Dopen2(array->file_id, array->path, access);
    H5Pclose(access);
    if (array->id < 0) {
        return fail(array, LT_EABSENT, why, "there is no dataset");
    }
    lt_status status = read_type(array, why);
    return status ? status : read_shape(array, why);
}

lt_status h5_array_open(h5_array *array, const char *file, const char *path, int64_t cache_bytes, char why[FILE_WHY_MAX]) {
    hbool_t safe = false;
    mapped_file probe;
    h5_array_close(array);
    lt_status status = file_map(&probe, file, why); /* a plain message for what is no file, before libhdf5's */
    if (status) {
        return status;
    }
    file_unmap(&probe);
    H5open();
    be_quiet();
    if (H5is_library_threadsafe(&safe) < 0 || !safe) {
        return file_fail(LT_EUNSUPPORTED, why, "this libhdf5 was built without thread safety, which reading beside a run needs");
    }
    array->file = strdup(file);
    array->path = strdup(path);
    array->file_id = array->file && array->path ? H5Fopen(file, H5F_ACC_RDONLY, H5P_DEFAULT) : -1;
    status = !array->file || !array->path ? file_fail(LT_ENOMEM, why, "no memory to open %s", file)
             : array->file_id < 0         ? fail(array, LT_EFORMAT, why, "no HDF5 file that can be read, looking for")
                                          : open_dataset(array, cache_bytes, why);
    if (status) {
        h5_array_close(array);
    }
    return status;
}

static hid_t memory_type(lt_dtype dtype) {
    return dtype == LT_F32 ? H5T_NATIVE_FLOAT : dtype == LT_F64 ? H5T_NATIVE_DOUBLE : dtype == LT_I64 ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT8;
}

/* Numbers that were read as doubles become whole ones, in their place. */
static lt_status make_whole(const h5_array *array, const int64_t *rows, int64_t count, void *out, char why[FILE_WHY_MAX]) {
    for (int64_t i = 0; i < count * array->row; i++) {
        double value;
        int64_t whole;
        memcpy(&value, (char *)out + (size_t)i * sizeof value, sizeof value);
        if (!whole_number(value, &whole)) {
            return file_fail(LT_EFORMAT, why, "%s: row %lld of '%s' holds %.9g, which is no whole number: its dtype must be f32", array->file,
                             (long long)rows[i / array->row], array->path, value);
        }
        memcpy((char *)out + (size_t)i * sizeof whole, &whole, sizeof whole);
    }
    return LT_OK;
}

/* libhdf5 would put the nearest number there is, silently. */
static H5T_conv_ret_t refuse_beyond(H5T_conv_except_t what, hid_t from, hid_t to, void *from_at, void *to_at, void *beyond) {
    (void)from, (void)to, (void)from_at, (void)to_at;
    if (what != H5T_CONV_EXCEPT_RANGE_HI && what != H5T_CONV_EXCEPT_RANGE_LOW) {
        return H5T_CONV_UNHANDLED;
    }
    *(bool *)beyond = true;
    return H5T_CONV_ABORT;
}

/* Why a run of rows was not read. */
static void explain(const h5_array *array, int64_t first, int64_t count, bool beyond, lt_dtype dtype, char why[FILE_WHY_MAX]) {
    char what[100];
    if (beyond) {
        H5Eclear2(H5E_DEFAULT);
        file_fail(LT_EFORMAT, why, "%s: a number in rows %lld to %lld of '%s' is outside %s; convert it to f32", array->file, (long long)first,
                  (long long)(first + count - 1), array->path, dtype == LT_U8 ? "0 to 255, what u8 holds" : "what i64 holds");
        return;
    }
    snprintf(what, sizeof what, "cannot read row %lld of", (long long)first);
    fail(array, LT_EFORMAT, why, what);
}

lt_status h5_array_read(const h5_array *array, const int64_t *rows, int64_t count, lt_dtype dtype, void *out, char why[FILE_WHY_MAX]) {
    size_t row_bytes = (size_t)array->row * (dtype == LT_U8 ? 1 : dtype == LT_F32 ? 4 : 8);
    hsize_t start[LT_MAX_DIMS] = {0}, size[LT_MAX_DIMS];
    const bool makes_whole = dtype == LT_I64 && !array->integer; /* libhdf5 would cut fractions off */
    bool beyond = false;
    be_quiet();
    hid_t file_space = H5Scopy(array->space), how = H5Pcreate(H5P_DATASET_XFER); /* a selection of this thread's own */
    herr_t result = file_space < 0 || how < 0 ? -1 : 0;
    if (result >= 0 && array->integer && (dtype == LT_U8 || dtype == LT_I64)) {
        result = H5Pset_type_conv_cb(how, refuse_beyond, &beyond);
    }
    for (int64_t i = 0, run; result >= 0 && i < count; i += run) {
        for (run = 1; i + run < count && rows[i + run] == rows[i] + run; run++) {
        }
        for (int32_t d = 0; d < array->ndim; d++) {
            size[d] = d ? (hsize_t)array->shape[d] : (hsize_t)run;
        }
        start[0] = (hsize_t)rows[i];
        hsize_t numbers = (hsize_t)(run * array->row);
        hid_t memory_space = H5Screate_simple(1, &numbers, NULL);
        result = memory_space < 0 ? -1 : H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, size, NULL);
        if (result >= 0) {
            result = H5Dread(array->id, memory_type(makes_whole ? LT_F64 : dtype), memory_space, file_space, how, (char *)out + (size_t)i * row_bytes);
        }
        if (memory_space >= 0) {
            H5Sclose(memory_space);
        }
        if (result < 0) {
            explain(array, rows[i], run, beyond, dtype, why);
        }
    }
    if (how >= 0) {
        H5Pclose(how);
    }
    if (file_space >= 0) {
        H5Sclose(file_space);
    }
    return result < 0 ? LT_EFORMAT : makes_whole ? make_whole(array, rows, count, out, why) : LT_OK;
}
