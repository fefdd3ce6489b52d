/* Antialiased bicubic resize of a cut to a square, columns first, as Pillow does it.

   Both directions are the same loop: a weighted sum of whole lines of 16-bit values. For the columns, strips of rows
   are transposed before and after. Weights have 14 fractional bits and values 7, so that one instruction multiplies and
   rounds a full vector; the result is within one grey level of Pillow's 22-bit sums in nearly every pixel. */

#include "kernels.h"

#include <math.h>
#include <string.h>

enum { STRIP = 32, NARROW = 32, ONE = 1 << 14 };

typedef int16_t eight __attribute__((vector_size(16)));
typedef int16_t pair __attribute__((vector_size(32)));
typedef uint8_t pair_bytes __attribute__((vector_size(16)));

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

/* `n` weighted sums of `taps` lines, rounded and cut to 0..255. A constant number of taps lets sums stay in registers. */
INLINE void mix_taps(const int16_t *from, ptrdiff_t stride, const int16_t *weight, int taps, ptrdiff_t n,
                     int16_t *restrict to) {
    for (ptrdiff_t i = 0; i < n; i++) {
        int16_t sum = 32;
        for (int t = 0; t < taps; t++) sum = add(sum, product(from[t * stride + i], weight[t]));
        sum >>= 6;
        sum = sum < 0 ? 0 : sum;
        to[i] = sum > 255 ? 255 : sum;
    }
}

/* The same for any number of taps, a few values at a time. */
INLINE void mix_many(const int16_t *from, ptrdiff_t stride, const int16_t *weight, int taps, ptrdiff_t n,
                     int16_t *restrict to) {
    for (ptrdiff_t i = 0; i < n; i += NARROW) {
        int16_t sum[NARROW];
        for (int j = 0; j < NARROW; j++) sum[j] = 32;
        for (int t = 0; t < taps; t++)
            for (int j = 0; j < NARROW; j++) sum[j] = add(sum[j], product(from[t * stride + i + j], weight[t]));
        for (int j = 0; j < NARROW; j++) {
            int16_t level = (int16_t)(sum[j] >> 6);
            level = level < 0 ? 0 : level;
            to[i + j] = level > 255 ? 255 : level;
        }
    }
}

/* Output line o = sum of lines first[o] + t times weights; lines are `stride` values, a multiple of NARROW, long. */
WIDEST static void mix_lines(const int16_t *from, ptrdiff_t stride, const int32_t *first, const int32_t *count,
                             const int16_t *weights, int taps, int outputs, int backwards, int16_t *restrict to) {
    ptrdiff_t n = stride & -NARROW;
    for (int o = 0; o < outputs; o++) {
        const int16_t *start = from + first[o] * stride, *weight = weights + (ptrdiff_t)o * taps;
        int16_t *line = to + (backwards ? outputs - 1 - o : o) * stride;
        switch (count[o]) {
        case 4: mix_taps(start, stride, weight, 4, n, line); break;
        case 5: mix_taps(start, stride, weight, 5, n, line); break;
        case 6: mix_taps(start, stride, weight, 6, n, line); break;
        case 7: mix_taps(start, stride, weight, 7, n, line); break;
        case 8: mix_taps(start, stride, weight, 8, n, line); break;
        case 9: mix_taps(start, stride, weight, 9, n, line); break;
        case 10: mix_taps(start, stride, weight, 10, n, line); break;
        default: mix_many(start, stride, weight, count[o], n, line);
        }
    }
}

/* Two blocks of 8 x 8 values side by side, each in its half of the vectors. */
#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 8, 24, 9, 25, 10, 26, 11, 27)
#define HIGH(a, b) __builtin_shufflevector(a, b, 4, 20, 5, 21, 6, 22, 7, 23, 12, 28, 13, 29, 14, 30, 15, 31)

#define BESIDE(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define LEFT(a) __builtin_shufflevector(a, a, 0, 1, 2, 3, 4, 5, 6, 7)
#define RIGHT(a) __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15)

/* Transpose both blocks in registers. */
INLINE void turn(pair *a) {
    for (int round = 0; round < 3; round++) {
        pair b[8];
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
        for (; x + 16 <= columns; x += 16) {
            pair v[8];
            for (int i = 0; i < 8; i++) {
                pair_bytes narrow;
                memcpy(&narrow, line[i] + x, sizeof narrow);
                v[i] = __builtin_convertvector(narrow, pair) << 7;
            }
            turn(v);
            for (int i = 0; i < 8; i++) {
                eight left = LEFT(v[i]), right = RIGHT(v[i]);
                memcpy(to + (ptrdiff_t)(x + i) * STRIP + y, &left, sizeof left);
                memcpy(to + (ptrdiff_t)(x + 8 + i) * STRIP + y, &right, sizeof right);
            }
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
        for (; x + 16 <= columns; x += 16) {
            pair v[8];
            for (int i = 0; i < 8; i++) {
                eight left, right;
                memcpy(&left, from + (x + i) * from_stride + y, sizeof left);
                memcpy(&right, from + (x + 8 + i) * from_stride + y, sizeof right);
                v[i] = BESIDE(left, right) << 7;
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
