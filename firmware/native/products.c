/* Products of small integers, two in each multiplication.
 *
 * A layer's rows of int8 weights times its int8 input: modulo 2^32, (a + b 2^16) (y + x 2^16) has a x + b y in its upper half if
 * that and a y are below 2^16: if nothing is negative, a and b are below 2^8, and x and y 2^7 at most. So the input is packed once
 * a layer, as magnitudes; and its signs go into a word that is XORed to four weights, which become w + 128 for an input that is
 * not negative and 127 - w for one that is. What that adds to each row's sum depends on the input alone. */
#include "internal.h"

enum { FIELDS = 0x00FF00FF };

static inline uint32_t swap_halves(uint32_t fields) {
    return fields >> 16 | fields << 16;
}

static inline uint32_t add_halves(uint32_t fields) {
    return (fields & 0xFFFF) + (fields >> 16);
}

#if defined(__ARM_FEATURE_DSP)

/* These chips multiply two pairs of int16 at once: values 0 and 2, then 1 and 3. */
void bw_pack(const int8_t *input, uint32_t count, uint32_t *packed) {
    *packed++ = 0;
    for (uint32_t i = 0; i < count; i += 4) {
        uint32_t four = *(const bw_word *)(const void *)(input + i);
        __asm__("sxtb16 %0, %1" : "=r"(packed[0]) : "r"(four));
        __asm__("sxtb16 %0, %1, ror #8" : "=r"(packed[1]) : "r"(four));
        packed += 2;
    }
}

#else

void bw_pack(const int8_t *input, uint32_t count, uint32_t *packed) {
    uint32_t *constant = packed++, all = 0, negative = 0; /* sums of magnitudes, in halves of a word */
    for (uint32_t i = 0; i < count; i += 4) {
        uint32_t four = *(const bw_word *)(const void *)(input + i);
        uint32_t signs = four >> 7 & 0x01010101, flip = (signs << 8) - signs;
        four = (four ^ flip) + signs;
        flip &= four;
        uint32_t even = four & FIELDS, odd = four >> 8 & FIELDS;
        all += even + odd;
        negative += (flip & FIELDS) + (flip >> 8 & FIELDS);
        packed[0] = 0x80808080 - signs;
        packed[1] = swap_halves(even);
        packed[2] = swap_halves(odd);
        packed += 3;
    }
    *constant = add_halves(negative) - 128 * add_halves(all);
}

#endif

/* A lane holds two fields' sums, which lie 16 bits apart in the row and there. */
void bw_add_fields(uint32_t *lanes, const bw_word *row, uint32_t words, uint32_t bits, uint32_t scale) {
    uint32_t fields = ((1u << bits) - 1) * 0x00010001;
    for (const bw_word *end = row + words; row < end; row++) {
        uint32_t rest = *row, left = 8;
        do {
            lanes[0] += (rest & fields) * scale;
            rest >>= bits;
            lanes[1] += (rest & fields) * scale;
            rest >>= bits;
            lanes += 2;
        } while ((left -= bits) > 0);
    }
}

#ifndef __thumb__ /* for Arm it is in products_thumb.S */

/* The products of four weights and four inputs. */
BW_INLINE uint32_t four_products(uint32_t weights, uint32_t signs, uint32_t even, uint32_t odd) {
    weights ^= signs;
    return ((weights & FIELDS) * even >> 16) + ((weights >> 8 & FIELDS) * odd >> 16);
}

/* How many rows share the loads of the input: as many as there are registers for. */
#ifdef __xtensa__
enum { ROWS = 2 };
#else
enum { ROWS = 4 };
#endif

/* A constant number of rows. */
BW_INLINE void multiply_rows(const bw_word *weights, const uint32_t *packed, uint32_t count, uint32_t *sums, int rows) {
    const uint32_t *end = packed + 1 + count / 4 * 3;
    uint32_t added[ROWS];
#pragma GCC unroll 4
    for (int row = 0; row < rows; row++) {
        added[row] = *packed;
    }
    for (packed++; packed < end; packed += 3, weights++) {
        uint32_t signs = packed[0], even = packed[1], odd = packed[2];
#pragma GCC unroll 4
        for (int row = 0; row < rows; row++) {
            added[row] += four_products(weights[(uint32_t)row * (count / 4)], signs, even, odd);
        }
    }
#pragma GCC unroll 4
    for (int row = 0; row < rows; row++) {
        sums[row] += added[row];
    }
}

void bw_multiply(const bw_word *weights, const uint32_t *packed, uint32_t count, uint32_t *sums, uint32_t rows) {
    for (; rows >= ROWS; rows -= ROWS) {
        multiply_rows(weights, packed, count, sums, ROWS);
        weights += ROWS * (count / 4);
        sums += ROWS;
    }
    for (; rows > 0; rows--) {
        multiply_rows(weights, packed, count, sums++, 1);
        weights += count / 4;
    }
}

#endif
