/* Shared by the kernels, which make the crops of an image in C: the same operations as crops.py and pixel_ops.py.

   Plain C without Python's headers, called through ctypes. Compiled on installation where there is a C compiler. */
#ifndef WINNOW_KERNELS_H
#define WINNOW_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* One build for every x86-64: the loader picks the widest version that the processor has. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__linux__)
#define WIDEST __attribute__((target_clones("avx2", "default")))
#else
#define WIDEST
#endif
#define INLINE static inline __attribute__((always_inline))
/* What compiled.py calls. */
#if defined(_WIN32)
#define DOOR __declspec(dllexport)
#else
#define DOOR __attribute__((visibility("default")))
#endif

enum step_kind { STOP, BRIGHTNESS, CONTRAST, SATURATION, HUE, GRAYSCALE, BLUR, SOLARIZE };
enum { MOST_STEPS = 8 };

/* One crop, packed by compiled.py. Lengths in pixels; `half` is half a blur kernel of reach + 1 weights with
   15 fractional bits, or null. */
struct crop {
    int32_t top, left, height, width, size, flip;
    int32_t kinds[MOST_STEPS];
    float values[MOST_STEPS];
    const int16_t *half;
    uint8_t *planes; /* [channels][size][size] */
};

size_t resize_scratch(int height, int width, int channels, int size);
void resize(const uint8_t *cut, ptrdiff_t stride, const struct crop *crop, int channels, void *scratch);

size_t recolour_scratch(int size, int reach);
void recolour(const struct crop *crop, int channels, int reach, int16_t *scratch);

#endif
