/* Planar bytes to the network's floats: normalize.py, equal bit for bit. */

#include "kernels.h"

#ifdef __SSE2__
#include <xmmintrin.h>
#endif

enum { BLOCK = 256 };

/* Write a block past the caches where the processor can: a batch of floats is larger than they are, is not read soon,
   and would push out the images that are being worked on. */
INLINE void store_block(const float *restrict from, float *restrict to) {
#ifdef __SSE2__
    if ((uintptr_t)to % 16 == 0) {
        for (int i = 0; i < BLOCK; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
        return;
    }
#endif
    for (int i = 0; i < BLOCK; i++) to[i] = from[i];
}

WIDEST static void scale_and_shift(const uint8_t *restrict planes, int64_t pixels, float scale, float shift,
                                   float *restrict out) {
    int64_t at = 0;
    for (; at + BLOCK <= pixels; at += BLOCK) {
        float values[BLOCK];
        for (int i = 0; i < BLOCK; i++) values[i] = (float)planes[at + i] * scale + shift;
        store_block(values, out + at);
    }
    for (; at < pixels; at++) out[at] = (float)planes[at] * scale + shift;
}

/* planes: [count][channels][pixels]; each channel has its own scale and shift. */
DOOR void winnow_normalize(const uint8_t *planes, int64_t count, int32_t channels, int64_t pixels, const float *scale,
                           const float *shift, float *out) {
    for (int64_t plane = 0; plane < count * channels; plane++)
        scale_and_shift(planes + plane * pixels, pixels, scale[plane % channels], shift[plane % channels],
                        out + plane * pixels);
#ifdef __SSE2__
    _mm_sfence();
#endif
}
