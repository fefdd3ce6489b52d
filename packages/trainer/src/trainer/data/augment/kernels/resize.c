/* Antialiased bicubic resize of a cut to a square, columns first, as Pillow does it.

   Both directions are the same loop: a weighted sum of whole lines of 16-bit values. For the columns, strips of rows
   are transposed before and after. Weights have 14 fractional bits and values 7, so that one instruction multiplies and
   rounds a full vector; the result is within one grey level of Pillow's 22-bit sums in nearly every pixel. */

#include "kernels.h"

#include <math.h>
#include <string.h>

enum { STRIP = 32, WIDE = 96, NARROW = 32, ONE = 1 << 14 };

typedef int16_t eight __attribute__((vector_size(16)));
typedef uint8_t eight_bytes __attribute__((vector_size(8)));

static double bicubic(double x) {
    x = fabs(x);
    if (x < 1.0) return (1.5 * x - 2.5) * x * x + 1.0;
    if (x < 2.0) return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0;
    return 0.0;
}

/* Inputs that one output can depend on, at most. */
static int most_taps(int in, int out) {
    double scale = in > out ? (double)in / out : 1.0;
    return (int)ceil(2.0 * scale) * 2 + 1;
}

/* For each output its first input, the number of inputs and their weights (rows of `taps`), which sum to ONE. */
static void weigh(int in, int out, int taps, int32_t *first, int32_t *count, int16_t *weights, double *row) {
    double ratio = (double)in / out, scale = ratio > 1.0 ? ratio : 1.0, support = 2.0 * scale, inverse = 1.0 / scale;
    for (int o = 0; o < out; o++) {
        double centre = (o + 0.5) * ratio, total = 0.0;
        int low = (int)(centre - support + 0.5), high = (int)(centre + support + 0.5);
        low = low < 0 ? 0 : low;
        high = high > in ? in : high;
        int16_t *w = weights + (ptrdiff_t)o * taps;
        int largest = 0, sum = 0;
        for (int t = 0; t < high - low; t++) total += row[t] = bicubic((t + low - centre + 0.5) * inverse);
        total = ONE / total;
        for (int t = 0; t < high - low; t++) {
            w[t] = (int16_t)(row[t] * total + (row[t] < 0.0 ? -0.5 : 0.5));
            sum += w[t];
            if (w[t] > w[largest]) largest = t;
        }
        w[largest] = (int16_t)(w[largest] + ONE - sum);
        first[o] = low;
        count[o] = high - low;
    }
}

/* value * weight / 2^15, rounded: one instruction on every vector unit (pmulhrsw, sqrdmulh). */
INLINE int16_t product(int16_t value, int16_t weight) {
    return (int16_t)((((int32_t)value * weight >> 14) + 1) >> 1);
}

INLINE int16_t add(int16_t a, int16_t b) { return (int16_t)(a + b); }

/* `n` weighted sums, rounded and cut to 0..255. n is a constant where this is inlined: the sums stay in registers. */
INLINE void mix_some(const int16_t *from, ptrdiff_t stride, const int16_t *weight, int taps, int n,
                     int16_t *restrict to) {
    int16_t sum[WIDE];
    if (taps % 2)
        for (int i = 0; i < n; i++) sum[i] = add(product(from[i], weight[0]), 32);
    else
        for (int i = 0; i < n; i++)
            sum[i] = add(add(product(from[i], weight[0]), product(from[stride + i], weight[1])), 32);
    for (int t = 2 - taps % 2; t < taps; t += 2) {
        const int16_t *one = from + t * stride, *other = one + stride;
        for (int i = 0; i < n; i++)
            sum[i] = add(add(product(one[i], weight[t]), product(other[i], weight[t + 1])), sum[i]);
    }
    for (int i = 0; i < n; i++) {
        int16_t level = (int16_t)(sum[i] >> 6);
        level = level < 0 ? 0 : level;
        to[i] = level > 255 ? 255 : level;
    }
}

/* Output line o = sum of lines first[o] + t times weights; lines are `stride` values, a multiple of NARROW, long. */
WIDEST static void mix_lines(const int16_t *from, ptrdiff_t stride, const int32_t *first, const int32_t *count,
                             const int16_t *weights, int taps, int outputs, int backwards, int16_t *restrict to) {
    for (int o = 0; o < outputs; o++) {
        const int16_t *start = from + first[o] * stride, *weight = weights + (ptrdiff_t)o * taps;
        int16_t *line = to + (backwards ? outputs - 1 - o : o) * stride;
        ptrdiff_t i = 0;
        for (; i + WIDE <= stride; i += WIDE) mix_some(start + i, stride, weight, count[o], WIDE, line + i);
        for (; i < stride; i += NARROW) mix_some(start + i, stride, weight, count[o], NARROW, line + i);
    }
}

#define LOW(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)

/* Transpose 8 x 8 values in registers. */
INLINE void turn(eight *a) {
    for (int round = 0; round < 3; round++) {
        eight b[8];
        for (int i = 0; i < 4; i++) {
            b[2 * i] = LOW(a[i], a[i + 4]);
            b[2 * i + 1] = HIGH(a[i], a[i + 4]);
        }
        memcpy(a, b, sizeof b);
    }
}

/* to[x][y] = from[y][x] with 7 fractional bits, for the y of one strip; rows past the last repeat the first. */
WIDEST static void turn_bytes(const uint8_t *from, ptrdiff_t stride, int rows, int columns, int16_t *to) {
    for (int y = 0; y < rows; y += 8) {
        const uint8_t *line[8];
        int x = 0;
        for (int i = 0; i < 8; i++) line[i] = from + (y + i < rows ? y + i : 0) * stride;
        for (; x + 8 <= columns; x += 8) {
            eight v[8];
            for (int i = 0; i < 8; i++) {
                eight_bytes narrow;
                memcpy(&narrow, line[i] + x, sizeof narrow);
                v[i] = __builtin_convertvector(narrow, eight) << 7;
            }
            turn(v);
            for (int i = 0; i < 8; i++) memcpy(to + (ptrdiff_t)(x + i) * STRIP + y, &v[i], sizeof v[i]);
        }
        for (; x < columns; x++)
            for (int i = 0; i < 8; i++) to[(ptrdiff_t)x * STRIP + y + i] = (int16_t)(line[i][x] << 7);
    }
}

/* to[y][x] = from[x][y] with 7 fractional bits. */
WIDEST static void turn_levels(const int16_t *from, ptrdiff_t from_stride, int columns, int rows, int16_t *to,
                               ptrdiff_t stride) {
    for (int y = 0; y < rows; y += 8) {
        int high = rows - y < 8 ? rows - y : 8, x = 0;
        for (; x + 8 <= columns; x += 8) {
            eight v[8];
            for (int i = 0; i < 8; i++) {
                memcpy(&v[i], from + (x + i) * from_stride + y, sizeof v[i]);
                v[i] <<= 7;
            }
            turn(v);
            if (high == 8)
                for (int i = 0; i < 8; i++) memcpy(to + (y + i) * stride + x, &v[i], sizeof v[i]);
            else
                for (int i = 0; i < high; i++) memcpy(to + (y + i) * stride + x, &v[i], sizeof v[i]);
        }
        for (; x < columns; x++)
            for (int i = 0; i < high; i++)
                to[(y + i) * stride + x] = (int16_t)(from[x * from_stride + y + i] << 7);
    }
}

WIDEST static void narrow_line(const int16_t *restrict from, int n, uint8_t *restrict to) {
    for (int i = 0; i < n; i++) to[i] = (uint8_t)from[i];
}

/* All channels of one line of the result, end to end, padded to whole vectors. */
static ptrdiff_t line_length(int channels, int size) { return ((ptrdiff_t)channels * size + NARROW - 1) / NARROW * NARROW; }

size_t resize_scratch(int height, int width, int channels, int size) {
    size_t taps = (size_t)most_taps(height > width ? height : width, size);
    size_t line = (size_t)line_length(channels, size), strip = (size_t)channels * STRIP;
    size_t words = taps * size + strip * (width + size) + line * (height + 1);
    return taps * sizeof(double) + 2 * size * sizeof(int32_t) + words * sizeof(int16_t);
}

void resize(const uint8_t *cut, ptrdiff_t stride, const struct crop *crop, int channels, void *scratch) {
    int height = crop->height, width = crop->width, size = crop->size;
    int row_taps = most_taps(height, size), column_taps = most_taps(width, size);
    int taps = row_taps > column_taps ? row_taps : column_taps;
    ptrdiff_t strip = (ptrdiff_t)channels * STRIP, line = line_length(channels, size);
    double *row = scratch;
    int32_t *first = (int32_t *)(row + taps), *count = first + size;
    int16_t *weights = (int16_t *)(count + size), *turned = weights + (ptrdiff_t)taps * size;
    int16_t *mixed = turned + strip * width, *narrow = mixed + strip * size, *result = narrow + line * height;

    weigh(width, size, column_taps, first, count, weights, row);
    for (int y = 0; y < height; y += STRIP) {
        int rows = height - y < STRIP ? height - y : STRIP;
        turn_bytes(cut + y * stride, stride, rows, width * channels, turned);
        mix_lines(turned, strip, first, count, weights, column_taps, size, crop->flip, mixed);
        for (int c = 0; c < channels; c++)
            turn_levels(mixed + c * STRIP, strip, size, rows, narrow + y * line + c * size, line);
    }
    weigh(height, size, row_taps, first, count, weights, row);
    for (int y = 0; y < size; y++) {
        mix_lines(narrow, line, first + y, count + y, weights + (ptrdiff_t)y * row_taps, row_taps, 1, 0, result);
        for (int c = 0; c < channels; c++)
            narrow_line(result + c * size, size, crop->planes + ((ptrdiff_t)c * size + y) * size);
    }
}
