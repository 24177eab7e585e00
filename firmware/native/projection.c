/* An embedding to a code: signs of a pseudo-random projection that is computed, not stored. docs/format.md, "Projection". */
#include "internal.h"

/* Walsh-Hadamard transform in place, in natural order. Not inline, as below: the registers are just enough. */
static __attribute__((noinline)) void transform(int32_t *sums, uint32_t size) {
    for (uint32_t half = 1; half < size; half *= 2) {
        for (uint32_t i = 0; (i += i & half) < size; i++) {
            int32_t a = sums[i], b = sums[i + half];
            sums[i] = a + b;
            sums[i + half] = a - b;
        }
    }
}

/* Add inputs to `size` buckets, their signs flipped by xorshift32's next words. Returns its state. */
static __attribute__((noinline)) uint32_t fold(const int16_t *inputs, uint32_t units, uint32_t state, int32_t *sums, uint32_t size) {
    uint32_t flips = 0;
    for (uint32_t i = 0; i < size; i++) {
        sums[i] = 0;
    }
    for (uint32_t i = 0; i < units; i++, flips >>= 1) {
        if (i % 32 == 0) {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            flips = state;
        }
        sums[i & (size - 1)] += flips & 1 ? -inputs[i] : inputs[i];
    }
    return state;
}

void bw_project(const int8_t *embedding, uint32_t units, const int8_t *centre, int32_t origin, const bw_encoder *encoder,
                int16_t *inputs, int32_t *sums, uint32_t *code) {
    uint32_t state = encoder->seed, size = 1;
    while (size < units && size < encoder->bits) {
        size *= 2;
    }
    for (uint32_t i = 0; i < units; i++) {
        inputs[i] = (int16_t)(embedding[i] - (centre ? centre[i] : origin));
    }
    for (uint32_t bit = 0, word = 0; bit < encoder->bits;) {
        state = fold(inputs, units, state, sums, size);
        transform(sums, size);
        for (uint32_t i = 0; i < size; i++) {
            word = word >> 1 | ((uint32_t)-sums[i] & 1u << 31);
            if (++bit % 32 == 0) {
                *code++ = word;
            }
        }
    }
}
