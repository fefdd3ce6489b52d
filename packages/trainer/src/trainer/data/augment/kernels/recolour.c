/* Colour jitter, grayscale, blur and solarisation on planar bytes: pixel_ops.py, equal bit for bit.

   Steps that need no neighbours are done block by block, as 32-bit floats that hold whole grey levels. */

#include "kernels.h"

#include <math.h>

enum { BLOCK = 256 };

INLINE float whole(float x) { return (float)(int32_t)x; }
INLINE float larger(float a, float b) { return a > b ? a : b; }
INLINE float smaller(float a, float b) { return a < b ? a : b; }
INLINE float share(float x) { return smaller(larger(x, 0.0f), 1.0f); }
INLINE float luma(float r, float g, float b) {
    return whole((19595.0f * r + 38470.0f * g + 7471.0f * b + 32768.0f) * (1.0f / 65536.0f));
}
INLINE float blend(float x, float toward, float factor) {
    return whole(smaller(larger(toward + factor * (x - toward), 0.0f), 255.0f));
}

/* x / 255 and x * 6 / 255 of whole x up to 255, correctly rounded: the first product is exact. */
INLINE float by_255(float x) { return x * 0x1.01p-8f + x * 0x1.010102p-24f; }
INLINE float sixths_of_255(float x) { return x * 0x1.818p-6f + x * 0x1.818182p-22f; }

/* high * (1 - colourfulness * share(weight)), rounded; weight = the distance of the angle from `centre`, mirrored
   (`sign` -1) and moved. */
INLINE void channel_of_hue(float *restrict to, const float *restrict high, const float *restrict colourfulness,
                           const float *restrict angle, float centre, float sign, float move) {
    for (int i = 0; i < BLOCK; i++)
        to[i] = whole(high[i] * (1.0f - colourfulness[i] * share(move + sign * fabsf(angle[i] - centre))) + 0.5f);
}

/* In several short loops, of which the processor overlaps more turns than of a single long one. */
INLINE void hue(float *restrict red, float *restrict green, float *restrict blue, float shift) {
    float highest[BLOCK], colourfulness[BLOCK], angles[BLOCK];
    for (int i = 0; i < BLOCK; i++) {
        float r = red[i], g = green[i], b = blue[i];
        float high = larger(larger(r, g), b), low = smaller(smaller(r, g), b), chroma = high - low;
        float part = (high - (r + g + b - high - low)) / larger(chroma, 1.0f);
        float base = r == high ? 0.0f : g == high ? 2.0f : 4.0f;
        float before = r == high ? b : g == high ? r : g, after = r == high ? g : g == high ? b : r;
        float side = before >= after ? 1.0f : -1.0f;
        angles[i] = (base - side) + side * part;
        colourfulness[i] = chroma / larger(high, 1.0f);
        highest[i] = high;
    }
    for (int i = 0; i < BLOCK; i++) {
        float circle = angles[i] / 6.0f;
        float angle = whole((circle < 0.0f ? circle + 1.0f : circle) * 255.0f) + shift;
        angles[i] = sixths_of_255(angle > 255.0f ? angle - 256.0f : angle);
        colourfulness[i] = by_255(whole(colourfulness[i] * 255.0f));
    }
    channel_of_hue(red, highest, colourfulness, angles, 3.0f, -1.0f, 2.0f);
    channel_of_hue(green, highest, colourfulness, angles, 2.0f, 1.0f, -1.0f);
    channel_of_hue(blue, highest, colourfulness, angles, 4.0f, 1.0f, -1.0f);
}

INLINE void one_step(enum step_kind kind, float value, float mean, float *restrict r, float *restrict g,
                     float *restrict b) {
    switch (kind) {
    case BRIGHTNESS:
    case CONTRAST:
        for (int i = 0; i < BLOCK; i++) r[i] = blend(r[i], mean, value);
        for (int i = 0; i < BLOCK; i++) g[i] = blend(g[i], mean, value);
        for (int i = 0; i < BLOCK; i++) b[i] = blend(b[i], mean, value);
        break;
    case SATURATION:
        for (int i = 0; i < BLOCK; i++) {
            float gray = luma(r[i], g[i], b[i]);
            r[i] = blend(r[i], gray, value);
            g[i] = blend(g[i], gray, value);
            b[i] = blend(b[i], gray, value);
        }
        break;
    case HUE: hue(r, g, b, value); break;
    case GRAYSCALE:
        for (int i = 0; i < BLOCK; i++) r[i] = g[i] = b[i] = luma(r[i], g[i], b[i]);
        break;
    case SOLARIZE:
        for (int i = 0; i < BLOCK; i++) r[i] = r[i] >= value ? 255.0f - r[i] : r[i];
        for (int i = 0; i < BLOCK; i++) g[i] = g[i] >= value ? 255.0f - g[i] : g[i];
        for (int i = 0; i < BLOCK; i++) b[i] = b[i] >= value ? 255.0f - b[i] : b[i];
        break;
    default: break;
    }
}

INLINE int32_t sum_of_gray(const float *restrict r, const float *restrict g, const float *restrict b, int n) {
    int32_t sum = 0;
    for (int i = 0; i < n; i++) sum += (int32_t)luma(r[i], g[i], b[i]);
    return sum;
}

INLINE void load(float *restrict to, const uint8_t *restrict from, int n) {
    if (n == BLOCK)
        for (int i = 0; i < BLOCK; i++) to[i] = from[i];
    else
        for (int i = 0; i < BLOCK; i++) to[i] = i < n ? from[i] : 0.0f;
}

INLINE void store(uint8_t *restrict to, const float *restrict from, int n) {
    if (n == BLOCK)
        for (int i = 0; i < BLOCK; i++) to[i] = (uint8_t)(int32_t)from[i];
    else
        for (int i = 0; i < n; i++) to[i] = (uint8_t)(int32_t)from[i];
}

/* Some steps in one pass over the pixels. `mean` is what CONTRAST, if it is the first step, mixes with.
   Returns the sum of all gray values after the steps if it is asked for. */
WIDEST static int64_t pointwise(uint8_t *planes, ptrdiff_t pixels, const int32_t *kinds, const float *values, int steps,
                                float mean, int want_gray) {
    float r[BLOCK], g[BLOCK], b[BLOCK];
    int64_t gray = 0;
    for (ptrdiff_t at = 0; at < pixels; at += BLOCK) {
        int n = pixels - at < BLOCK ? (int)(pixels - at) : BLOCK;
        uint8_t *red = planes + at, *green = red + pixels, *blue = green + pixels;
        load(r, red, n);
        load(g, green, n);
        load(b, blue, n);
        for (int s = 0; s < steps; s++) one_step(kinds[s], values[s], kinds[s] == CONTRAST ? mean : 0.0f, r, g, b);
        if (steps) {
            store(red, r, n);
            store(green, g, n);
            store(blue, b, n);
        }
        if (want_gray) gray += n == BLOCK ? sum_of_gray(r, g, b, BLOCK) : sum_of_gray(r, g, b, n);
    }
    return gray;
}

static int mirrored(int i, int n) {
    while (i < 0 || i >= n) i = i < 0 ? -i : 2 * n - 2 - i;
    return i;
}

/* value * weight / 2^15, rounded: one instruction on every vector unit (pmulhrsw, sqrdmulh). */
INLINE int16_t product(int16_t value, int16_t weight) {
    return (int16_t)((((int32_t)value * weight >> 14) + 1) >> 1);
}

/* Weighted sums of lines that mirror each other around a middle one; 6 fractional bits leave room for a pair. A
   constant reach where it is inlined lets the sums stay in registers. */
INLINE void weigh_lines(const int16_t *const *before, const int16_t *middle, const int16_t *const *after,
                        const int16_t *half, int reach, int n, int16_t *restrict to) {
    for (int x = 0; x < n; x++) {
        int16_t sum = product(middle[x], half[0]);
        for (int k = 0; k < reach; k++)
            sum = (int16_t)(sum + product((int16_t)(before[k][x] + after[k][x]), half[k + 1]));
        to[x] = sum;
    }
}

/* Blur one plane: rows into `rows`, then columns; `line` holds one row and its borders. */
INLINE void blur_plane(uint8_t *plane, int size, const int16_t *half, int reach, int16_t *restrict line,
                       int16_t *restrict rows) {
    const int16_t *before[64], *after[64];
    for (int k = 0; k < reach; k++) {
        before[k] = line + reach - 1 - k;
        after[k] = line + reach + 1 + k;
    }
    for (int y = 0; y < size; y++) {
        const uint8_t *bytes = plane + (ptrdiff_t)y * size;
        for (int x = 0; x < size; x++) line[reach + x] = (int16_t)(bytes[x] << 6);
        for (int k = 1; k <= reach; k++) {
            line[reach - k] = (int16_t)(bytes[mirrored(-k, size)] << 6);
            line[reach + size - 1 + k] = (int16_t)(bytes[mirrored(size - 1 + k, size)] << 6);
        }
        weigh_lines(before, line + reach, after, half, reach, size, rows + (ptrdiff_t)y * size);
    }
    for (int y = 0; y < size; y++) {
        uint8_t *bytes = plane + (ptrdiff_t)y * size;
        for (int k = 0; k < reach; k++) {
            before[k] = rows + (ptrdiff_t)mirrored(y - 1 - k, size) * size;
            after[k] = rows + (ptrdiff_t)mirrored(y + 1 + k, size) * size;
        }
        weigh_lines(before, rows + (ptrdiff_t)y * size, after, half, reach, size, line);
        for (int x = 0; x < size; x++) bytes[x] = (uint8_t)((line[x] + 32) >> 6);
    }
}

WIDEST static void blur(uint8_t *planes, int channels, int size, const int16_t *half, int reach, int16_t *scratch) {
    int16_t *rows = scratch + size + 2 * reach;
    for (int c = 0; c < channels; c++) {
        uint8_t *plane = planes + (ptrdiff_t)c * size * size;
        if (reach == 4)
            blur_plane(plane, size, half, 4, scratch, rows);
        else
            blur_plane(plane, size, half, reach, scratch, rows);
    }
}

size_t recolour_scratch(int size, int reach) {
    return sizeof(int16_t) * ((size_t)size * size + size + 2 * (size_t)reach);
}

void recolour(const struct crop *crop, int channels, int reach, int16_t *scratch) {
    ptrdiff_t pixels = (ptrdiff_t)crop->size * crop->size;
    float mean = 0.0f;
    for (int from = 0, to; from < MOST_STEPS && crop->kinds[from] != STOP; from = to) {
        to = from + 1;
        if (crop->kinds[from] == BLUR) {
            blur(crop->planes, channels, crop->size, crop->half, reach, scratch);
            continue;
        }
        if (crop->kinds[from] == CONTRAST && from == 0)
            mean = (float)(int)((double)pointwise(crop->planes, pixels, 0, 0, 0, 0.0f, 1) / (double)pixels + 0.5);
        while (to < MOST_STEPS && crop->kinds[to] != STOP && crop->kinds[to] != BLUR && crop->kinds[to] != CONTRAST) to++;
        int next_is_contrast = to < MOST_STEPS && crop->kinds[to] == CONTRAST;
        int64_t gray = pointwise(crop->planes, pixels, crop->kinds + from, crop->values + from, to - from, mean,
                                 next_is_contrast);
        if (next_is_contrast) mean = (float)(int)((double)gray / (double)pixels + 0.5);
    }
}
