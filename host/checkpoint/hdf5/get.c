/* checkpoint/hdf5/get.c - an HDF5 file to items, in the order they were written. Takes only what put.c writes: groups and contiguous
 * datasets of the known types, each with one hard link. Refuses soft and external links, second links, attributes, filters, chunks,
 * virtual and external storage, variable-length and named types, and sizes or places beyond the file: all before any data is read. */
#include "checkpoint/hdf5/parts.h"
#include <stdio.h>
#include <string.h>

enum { SLAB = 8 << 20, NAME = 4096 };

typedef struct reader {
    lth_h5_call *call;
    const lth_hdf5_sink *sink;
    uint64_t front, bytes; /* the user block's size; data seen so far: more than the file holds would be data shared between datasets */
    size_t objects;
    int depth;
    lt_status status;
    size_t length;
    char path[NAME]; /* of the object at hand */
} reader;

#define REFUSE(r, ...) ((r)->status = lth_h5_fail((r)->call, LT_EFORMAT, __VA_ARGS__))

static lt_status fail_library(reader *r, const char *doing) { return r->status = lth_h5_fail_library(r->call, doing, r->path); }

/* ---- one dataset ---- */

typedef struct found {
    lt_dtype dtype;
    int32_t ndim;
    int64_t shape[LT_MAX_DIMS];
    size_t size;
    haddr_t at;
} found;

static lt_status look_at_type(reader *r, hid_t type, found *f) {
    if (H5Tcommitted(type) != 0) {
        return REFUSE(r, "%s has a named type", r->path);
    }
    if (H5Tget_class(type) == H5T_STRING) {
        f->dtype = 0;
        f->size = H5Tget_size(type);
        return H5Tis_variable_str(type) != 0 || !f->size ? REFUSE(r, "%s is a text of variable length", r->path) : LT_OK;
    }
    for (lt_dtype i = 1; i < TYPE_COUNT; i++) {
        if (H5Tequal(type, r->call->types[i]) > 0) {
            f->dtype = i;
            f->size = lth_h5_type_size(i);
            return LT_OK;
        }
    }
    return REFUSE(r, "%s has a type that lthost does not write (HDF5 class %d, %zu bytes)", r->path, (int)H5Tget_class(type),
                  H5Tget_size(type));
}

static lt_status look_at_shape(reader *r, hid_t space, found *f) {
    hsize_t dims[H5S_MAX_RANK], most[H5S_MAX_RANK];
    H5S_class_t kind = H5Sget_simple_extent_type(space);
    int ndim = kind == H5S_SCALAR ? 0 : kind == H5S_SIMPLE ? H5Sget_simple_extent_dims(space, dims, most) : -1;
    if (ndim < 0 || ndim > LT_MAX_DIMS || (f->dtype == 0 && ndim > 0)) {
        return REFUSE(r, "%s has %d dimensions; 0 to %d are possible, a text has none", r->path, ndim, LT_MAX_DIMS);
    }
    bool empty = false, large = false;
    for (int i = 0; i < ndim; i++) {
        large |= dims[i] > INT64_MAX;
        empty |= dims[i] == 0;
        large |= !empty && __builtin_mul_overflow(f->size, (size_t)dims[i], &f->size);
        f->shape[i] = (int64_t)dims[i];
        if (most[i] != dims[i]) {
            return REFUSE(r, "%s can grow", r->path);
        }
    }
    f->ndim = ndim;
    f->size = empty ? 0 : f->size;
    return large && !empty ? REFUSE(r, "%s is larger than any file", r->path) : LT_OK;
}

static lt_status look_at_storage(reader *r, hid_t dataset, found *f) {
    hid_t list = H5Dget_create_plist(dataset);
    if (list < 0) {
        return fail_library(r, "read the properties of");
    }
    bool plain = H5Pget_layout(list) == H5D_CONTIGUOUS && H5Pget_external_count(list) == 0 && H5Pget_nfilters(list) == 0;
    H5Pclose(list);
    if (!plain) {
        return REFUSE(r, "%s is not stored in one piece inside the file (chunks, filters, external or virtual storage)", r->path);
    }
    if (f->size == 0) {
        return LT_OK;
    }
    uint64_t end = r->call->stream->size;
    f->at = H5Dget_offset(dataset);
    if (f->at == HADDR_UNDEF || f->at < r->front || f->at > end || f->size > end - f->at || H5Dget_storage_size(dataset) != f->size) {
        return REFUSE(r, "the data of %s (%zu bytes) does not lie inside the file", r->path, f->size);
    }
    r->bytes += f->size;
    return r->bytes > end ? REFUSE(r, "%s shares its data with another dataset", r->path) : LT_OK;
}

static lt_status look_at(reader *r, hid_t dataset, found *f) {
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    if (type < 0 || space < 0) {
        fail_library(r, "read the type of");
    } else if (look_at_type(r, type, f) == LT_OK && look_at_shape(r, space, f) == LT_OK) {
        look_at_storage(r, dataset, f);
    }
    if (type >= 0) {
        H5Tclose(type);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    return r->status;
}

/* A text without content takes one byte, which is zero. */
static bool is_empty_text(reader *r, const found *f) {
    char byte = 1;
    return f->dtype == 0 && f->size == 1 && r->call->stream->read(r->call->stream->self, f->at, &byte, 1) && byte == 0;
}

/* One slab to where the sink wants it. A text must not hold a zero byte: in C it would end there. */
static bool fetch_slab(reader *r, const found *f, size_t offset) {
    const lth_hdf5_sink *sink = r->sink;
    lth_hdf5_stream *stream = r->call->stream;
    size_t size = f->size - offset < SLAB ? f->size - offset : SLAB;
    void *to = sink->slab(sink->self, offset, size);
    if (!to || !stream->read(stream->self, f->at + offset, to, size)) {
        return false;
    }
    if (f->dtype == 0 && memchr(to, 0, size)) {
        REFUSE(r, "the text %s holds a zero byte", r->path);
        return false;
    }
    return sink->filled(sink->self, offset, size);
}

static lt_status fetch(reader *r, found *f) {
    f->size = is_empty_text(r, f) ? 0 : f->size;
    if (f->dtype == 0) {
        f->ndim = 1;
        f->shape[0] = (int64_t)f->size;
    }
    bool good = r->sink->begin(r->sink->self, r->path, f->dtype, f->ndim, f->shape, f->size);
    for (size_t offset = 0; good && offset < f->size; offset += SLAB) {
        good = fetch_slab(r, f, offset);
    }
    if (!good) {
        r->status = lth_h5_fail(r->call, LT_EIO, "cannot read %s", r->path); /* the reason, if known, is kept already */
    }
    return r->status;
}

/* ---- the tree ---- */

/* How many links and attributes an object has. */
static bool object_facts(hid_t object, uint64_t *links, uint64_t *attributes) {
#if H5_VERSION_GE(1, 12, 0)
    H5O_info2_t info;
    bool good = H5Oget_info3(object, &info, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS) >= 0;
#else
    H5O_info_t info;
    bool good = H5Oget_info2(object, &info, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS) >= 0;
#endif
    *links = good ? info.rc : 0;
    *attributes = good ? (uint64_t)info.num_attrs : 0;
    return good;
}

static lt_status walk(reader *r, hid_t group);

static lt_status visit(reader *r, hid_t object) {
    uint64_t links, attributes;
    H5I_type_t kind = H5Iget_type(object);
    found f = {0};
    if (!object_facts(object, &links, &attributes)) {
        return fail_library(r, "read the header of");
    }
    if (links != 1 || attributes != 0) {
        return REFUSE(r, "%s has %llu names and %llu attributes; lthost writes one and none", r->path, (unsigned long long)links,
                      (unsigned long long)attributes);
    }
    if (kind == H5I_GROUP) {
        return walk(r, object);
    }
    if (kind != H5I_DATASET) {
        return REFUSE(r, "%s is neither a group nor a dataset", r->path);
    }
    return look_at(r, object, &f) == LT_OK ? fetch(r, &f) : r->status;
}

static bool push(reader *r, const char *name) {
    size_t length = strlen(name), before = r->length;
    if (length == 0 || before + 1 + length >= NAME || strchr(name, '/')) {
        REFUSE(r, "a name below \"%.200s\" is empty, too long or holds a slash", r->path);
        return false;
    }
    if (++r->objects > LTH_HDF5_MAX_OBJECTS) {
        REFUSE(r, "more than %d objects", LTH_HDF5_MAX_OBJECTS);
        return false;
    }
    r->length += (size_t)snprintf(r->path + before, NAME - before, before ? "/%s" : "%s", name);
    return true;
}

static herr_t member(hid_t group, const char *name, const H5L_info_t *link, void *user) {
    reader *r = user;
    size_t before = r->length;
    if (!push(r, name)) {
        return 1;
    }
    if (link->type != H5L_TYPE_HARD) {
        REFUSE(r, "%s is a link to somewhere else (soft or external)", r->path);
        return 1;
    }
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    if (object < 0) {
        fail_library(r, "open");
    } else {
        visit(r, object);
        H5Oclose(object);
    }
    if (r->status == LT_OK) { /* else the path stays for messages */
        r->length = before;
        r->path[before] = 0;
    }
    return r->status != LT_OK;
}

static lt_status walk(reader *r, hid_t group) {
    if (r->depth >= LTH_HDF5_MAX_DEPTH) {
        return REFUSE(r, "%s lies deeper than %d groups", r->path, LTH_HDF5_MAX_DEPTH);
    }
    r->depth++;
    hsize_t at = 0;
    if (H5Literate(group, H5_INDEX_CRT_ORDER, H5_ITER_INC, &at, member, r) < 0 && r->status == LT_OK) {
        fail_library(r, "list the group");
    }
    r->depth--;
    return r->status;
}

/* Told before anything is closed: every call clears libhdf5's failures. */
static hid_t open_stream(reader *r) {
    hid_t access = lth_h5_access(r->call), file = access < 0 ? H5I_INVALID_HID : H5Fopen("lthost", H5F_ACC_RDONLY, access);
    if (file < 0) {
        r->status = lth_h5_fail_library(r->call, "open", "the HDF5 part");
    }
    if (access >= 0) {
        H5Pclose(access);
    }
    return file;
}

/* libhdf5 looks for its signature at 0, 512, 1024, ...: another place than ours is no file of ours. */
static lt_status check_front(reader *r, hid_t file) {
    hsize_t size = 0;
    hid_t list = H5Fget_create_plist(file);
    bool good = list >= 0 && H5Pget_userblock(list, &size) >= 0 && size == r->front;
    if (list >= 0) {
        H5Pclose(list);
    }
    return good ? LT_OK
                : REFUSE(r, "the HDF5 data begins at byte %llu instead of %llu", (unsigned long long)size, (unsigned long long)r->front);
}

lt_status lth_h5_get(lth_h5_call *call, uint64_t user_block, const lth_hdf5_sink *sink) {
    reader *r = call->host->alloc(sizeof *r);
    if (!r) {
        return lth_h5_fail(call, LT_ENOMEM, "out of memory reading HDF5");
    }
    *r = (reader){.call = call, .sink = sink, .front = user_block};
    hid_t file = open_stream(r), root = file < 0 ? H5I_INVALID_HID : H5Gopen2(file, "/", H5P_DEFAULT);
    if (file >= 0 && root < 0) {
        r->status = lth_h5_fail_library(call, "open", "the HDF5 part");
    } else if (file >= 0 && check_front(r, file) == LT_OK) {
        walk(r, root);
    }
    if (root >= 0) {
        H5Gclose(root);
    }
    if (file >= 0) {
        H5Fclose(file);
    }
    lt_status status = r->status;
    call->host->free(r);
    return status;
}
