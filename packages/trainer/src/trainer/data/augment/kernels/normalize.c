/* Planar bytes to the network's floats: normalize.py, equal bit for bit. */

#include "kernels.h"

/* planes: [count][channels][pixels]; each channel has its own scale and shift. */
WIDEST static void scale_and_shift(const uint8_t *restrict planes, int64_t pixels, float scale, float shift,
                                   float *restrict out) {
    for (int64_t i = 0; i < pixels; i++) out[i] = (float)planes[i] * scale + shift;
}

DOOR void winnow_normalize(const uint8_t *planes, int64_t count, int32_t channels, int64_t pixels, const float *scale,
                           const float *shift, float *out) {
    for (int64_t plane = 0; plane < count * channels; plane++)
        scale_and_shift(planes + plane * pixels, pixels, scale[plane % channels], shift[plane % channels],
                        out + plane * pixels);
}
