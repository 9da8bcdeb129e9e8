/* checkpoint/hdf5/put.c - items to an HDF5 file: groups and contiguous datasets, creation order tracked, no times, so that equal items
 * make equal bytes. libhdf5 writes the metadata only: data goes to the places it has allotted, in slabs, outside its global lock.
 * Refuses what get.c would not read. */
#include "checkpoint/hdf5/parts.h"
#include <string.h>

enum { SLAB = 8 << 20, NAME = 4096 };

typedef struct writer {
    lth_h5_call *call;
    hid_t file, group; /* group: that of the last item */
    hid_t group_list, link_list, data_list;
    char parent[NAME]; /* path of group */
} writer;

static lt_status fail_path(writer *w, const char *doing, const char *path) { return lth_h5_fail_library(w->call, doing, path); }

/* The member `name` of group, made if absent. */
static hid_t enter(writer *w, hid_t group, const char *name) {
    htri_t there = H5Lexists(group, name, H5P_DEFAULT);
    if (there < 0) {
        return H5I_INVALID_HID;
    }
    return there ? H5Gopen2(group, name, H5P_DEFAULT) : H5Gcreate2(group, name, w->link_list, w->group_list, H5P_DEFAULT);
}

/* Makes w->group the one that holds path; *name: the last part. */
static lt_status enter_parent(writer *w, const char *path, const char **name) {
    char parent[NAME];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    if (strlen(path) >= NAME) {
        return lth_h5_fail(w->call, LT_EINVAL, "the snapshot path %.60s... is longer than %d bytes", path, NAME - 1);
    }
    memcpy(parent, path, length);
    parent[length] = 0;
    if (w->group >= 0 && !strcmp(parent, w->parent)) {
        return LT_OK;
    }
    if (w->group >= 0) {
        H5Gclose(w->group);
    }
    w->group = H5Gopen2(w->file, "/", H5P_DEFAULT);
    memcpy(w->parent, parent, length + 1);
    int depth = 1;
    for (char *part = parent, *next; w->group >= 0 && *part; part = next, depth++) {
        next = part + strcspn(part, "/");
        next += *next ? (*next = 0, 1) : 0;
        hid_t inner = enter(w, w->group, part);
        if (inner < 0) {
            return fail_path(w, "make the group of", path);
        }
        H5Gclose(w->group);
        w->group = inner;
    }
    if (depth > LTH_HDF5_MAX_DEPTH) {
        return lth_h5_fail(w->call, LT_EINVAL, "the snapshot path %s has more than %d parts", path, LTH_HDF5_MAX_DEPTH);
    }
    return w->group < 0 ? fail_path(w, "open the root group for", path) : LT_OK;
}

static hid_t text_type(size_t size) {
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, size ? size : 1) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0 ||
                      H5Tset_strpad(type, H5T_STR_NULLPAD) < 0)) {
        H5Tclose(type);
        type = H5I_INVALID_HID;
    }
    return type;
}

static hid_t item_space(const lth_item *item) {
    hsize_t dims[LT_MAX_DIMS];
    for (int i = 0; i < item->ndim; i++) {
        dims[i] = (hsize_t)item->shape[i];
    }
    return item->dtype == 0 || item->ndim == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(item->ndim, dims, NULL);
}

static lt_status put_bytes(writer *w, hid_t dataset, const lth_item *item) {
    lth_h5_call *call = w->call;
    bool empty_text = item->dtype == 0 && item->size == 0;
    size_t size = empty_text ? 1 : item->size;
    const char *from = empty_text ? "" : item->data;
    haddr_t at = size ? H5Dget_offset(dataset) : 0;
    if (size && (at == HADDR_UNDEF || H5Dget_storage_size(dataset) != size)) {
        return fail_path(w, "allot room for", item->path);
    }
    for (size_t done = 0; done < size && !call->failed;) {
        size_t slab = size - done < SLAB ? size - done : SLAB;
        call->failed = !call->stream->write(call->stream->self, at + done, from + done, slab);
        done += slab;
    }
    call->eof = size && at + size > call->eof ? at + size : call->eof;
    return LT_OK;
}

static lt_status put_item(writer *w, const lth_item *item) {
    const char *name;
    if (item->dtype == 0 && memchr(item->data, 0, item->size)) {
        return lth_h5_fail(w->call, LT_EINVAL, "the text %s holds a zero byte; save it as bytes", item->path);
    }
    lt_status status = enter_parent(w, item->path, &name);
    if (status != LT_OK) {
        return status;
    }
    hid_t type = item->dtype ? w->call->types[item->dtype] : text_type(item->size), space = item_space(item);
    hid_t dataset = type < 0 || space < 0 ? H5I_INVALID_HID
                                          : H5Dcreate2(w->group, name, type, space, w->link_list, w->data_list, H5P_DEFAULT);
    status = dataset < 0 ? fail_path(w, "make the dataset", item->path) : put_bytes(w, dataset, item);
    if (dataset >= 0) {
        H5Dclose(dataset);
    }
    if (space >= 0) {
        H5Sclose(space);
    }
    if (!item->dtype && type >= 0) {
        H5Tclose(type);
    }
    return status;
}

/* ---- the file ---- */

static lt_status make_lists(writer *w) {
    const unsigned ordered = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    w->group_list = H5Pcreate(H5P_GROUP_CREATE);
    w->link_list = H5Pcreate(H5P_LINK_CREATE);
    w->data_list = H5Pcreate(H5P_DATASET_CREATE);
    bool good = w->group_list >= 0 && w->link_list >= 0 && w->data_list >= 0 && H5Pset_link_creation_order(w->group_list, ordered) >= 0 &&
                H5Pset_obj_track_times(w->group_list, 0) >= 0 && H5Pset_char_encoding(w->link_list, H5T_CSET_UTF8) >= 0 &&
                H5Pset_obj_track_times(w->data_list, 0) >= 0 && H5Pset_layout(w->data_list, H5D_CONTIGUOUS) >= 0 &&
                H5Pset_alloc_time(w->data_list, H5D_ALLOC_TIME_EARLY) >= 0 && H5Pset_fill_time(w->data_list, H5D_FILL_TIME_NEVER) >= 0;
    return good ? LT_OK : lth_h5_fail_library(w->call, "prepare", "an HDF5 file");
}

static lt_status create(writer *w, uint64_t user_block) {
    hid_t access = lth_h5_access(w->call), creation = H5Pcreate(H5P_FILE_CREATE);
    if (access >= 0 && creation >= 0 && H5Pset_userblock(creation, user_block) >= 0 && H5Pset_obj_track_times(creation, 0) >= 0 &&
        H5Pset_link_creation_order(creation, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0) {
        w->file = H5Fcreate("lthost", H5F_ACC_TRUNC, creation, access);
    }
    lt_status status = w->file < 0 ? lth_h5_fail_library(w->call, "make", "an HDF5 file") : LT_OK;
    if (access >= 0) {
        H5Pclose(access);
    }
    if (creation >= 0) {
        H5Pclose(creation);
    }
    return status;
}

static void close_list(hid_t list) {
    if (list >= 0) {
        H5Pclose(list);
    }
}

lt_status lth_h5_put(lth_h5_call *call, uint64_t user_block, const lth_hdf5_source *source) {
    writer w = {.call = call, .file = H5I_INVALID_HID, .group = H5I_INVALID_HID, .group_list = H5I_INVALID_HID,
                .link_list = H5I_INVALID_HID, .data_list = H5I_INVALID_HID};
    lt_status status = source->count > LTH_HDF5_MAX_OBJECTS / 2 ? lth_h5_fail(call, LT_EINVAL, "%zu items are too many", source->count)
                                                                : make_lists(&w);
    if (status == LT_OK) {
        status = create(&w, user_block);
    }
    for (size_t i = 0; i < source->count && status == LT_OK && !call->failed; i++) {
        status = put_item(&w, source->at(source->self, i));
    }
    if (w.group >= 0) {
        H5Gclose(w.group);
    }
    if (w.file >= 0 && H5Fclose(w.file) < 0 && status == LT_OK) {
        status = lth_h5_fail_library(call, "close", "the HDF5 file");
    }
    close_list(w.group_list);
    close_list(w.link_list);
    close_list(w.data_list);
    return status;
}
