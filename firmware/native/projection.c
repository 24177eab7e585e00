/* An embedding to a code: signs of a pseudo-random projection that is computed, not stored. docs/format.md, "Projection". */
#include "internal.h"

void bw_project(const int8_t *embedding, uint32_t units, const int8_t *centre, int32_t origin, const bw_encoder *encoder,
                int32_t *sums, uint32_t *code) {
    uint32_t state = encoder->seed, flips = 0, word = 0, size = 1;
    while (size < units && size < encoder->bits) {
        size *= 2;
    }
    for (uint32_t bit = 0; bit < encoder->bits;) {
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
            int32_t value = embedding[i] - (centre ? centre[i] : origin);
            sums[i & (size - 1)] += flips & 1 ? -value : value;
        }
        int32_t *end = sums + size;
        for (uint32_t half = 1; half < size; half *= 2) {
            for (int32_t *low = sums; low < end; low += half) {
                for (int32_t *high = low + half, *stop = high; low < stop; low++, high++) {
                    int32_t a = *low, b = *high;
                    *low = a + b;
                    *high = a - b;
                }
            }
        }
        for (int32_t *sum = sums; sum < end; sum++) {
            word = word >> 1 | ((uint32_t)-*sum & 1u << 31);
            if (++bit % 32 == 0) {
                *code++ = word;
            }
        }
    }
}
