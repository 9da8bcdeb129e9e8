/* engine/backends/array.c - facts about lth_array that every backend and the engine need.
 * Pure functions of the header: no memory, no device. Blocked layouts are never "contiguous" here. */
#include "engine/backends/backend.h"

int64_t lth_array_numel(const lth_array *array) {
    int64_t n = 1;
    for (int d = 0; d < array->ndim; d++) {
        n *= array->shape[d];
    }
    return n;
}

/* Strides of dimensions of size 1 are never stepped along, so any value will do; an empty array is contiguous. */
bool lth_array_contiguous(const lth_array *array) {
    if (array->layout != LTH_STRIDED) {
        return false;
    }
    int64_t expected = 1;
    for (int d = array->ndim - 1; d >= 0; d--) {
        if (array->shape[d] == 0) {
            return true;
        }
        if (array->shape[d] != 1 && array->strides[d] != expected) {
            expected = -1;
            break;
        }
        expected *= array->shape[d];
    }
    return expected != -1 || lth_array_numel(array) == 0;
}
