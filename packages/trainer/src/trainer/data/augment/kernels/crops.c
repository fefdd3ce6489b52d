/* All crops of one image in one call. */

#include "kernels.h"

/* Bytes of scratch that winnow_make_crops needs for these crops; a call needs no more than the largest crop does. */
DOOR int64_t winnow_scratch_bytes(const struct crop *crops, int32_t count, int32_t channels, int32_t reach) {
    size_t most = 0;
    for (int i = 0; i < count; i++) {
        size_t shape = resize_scratch(crops[i].height, crops[i].width, channels, crops[i].size);
        size_t colour = recolour_scratch(crops[i].size, reach);
        most = shape > most ? shape : most;
        most = colour > most ? colour : most;
    }
    return (int64_t)most;
}

/* image: interleaved bytes [height][width][channels], `stride` bytes from row to row. */
DOOR void winnow_make_crops(const uint8_t *image, int64_t stride, int32_t channels, const struct crop *crops,
                            int32_t count, int32_t reach, void *scratch) {
    for (int i = 0; i < count; i++) {
        const uint8_t *cut = image + crops[i].top * stride + (int64_t)crops[i].left * channels;
        resize(cut, (ptrdiff_t)stride, &crops[i], channels, scratch);
        recolour(&crops[i], channels, reach, scratch);
    }
}
