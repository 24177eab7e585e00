/* What the sliced search is compared with: codes row by row, the ones of each XOR counted in the ways known for a chip
 * without a popcount instruction. Every loop is specialised for its width, which the core's is not. */
#include "../internal.h"
#include "bench.h"

static __attribute__((noinline)) uint32_t insert(bw_hit *hits, uint32_t found, uint32_t k, uint32_t distance, uint32_t slot) {
    uint32_t at = found < k ? found++ : k - 1;
    for (; at > 0 && hits[at - 1].distance > distance; at--) {
        hits[at].distance = hits[at - 1].distance;
        hits[at].slot = hits[at - 1].slot;
    }
    hits[at].distance = distance;
    hits[at].slot = slot;
    return found;
}

BW_INLINE uint32_t in_nibbles(uint32_t x) {
    x -= x >> 1 & 0x55555555;
    return (x & 0x33333333) + (x >> 2 & 0x33333333);
}

BW_INLINE uint32_t in_bytes(uint32_t nibbles) {
    return (nibbles & 0x0F0F0F0F) + (nibbles >> 4 & 0x0F0F0F0F);
}

/* The sum of four bytes; of 256 bits and more it does not fit into one. */
BW_INLINE uint32_t total(uint32_t bytes, uint32_t words) {
    if (words < 8) {
        return bytes * 0x01010101 >> 24;
    }
    bytes = (bytes & 0x00FF00FF) + (bytes >> 8 & 0x00FF00FF);
    return bytes * 0x00010001 >> 16;
}

BW_INLINE uint32_t ones(uint32_t x) {
    x = in_nibbles(x);
    return ((x + (x >> 4)) & 0x0F0F0F0F) * 0x01010101 >> 24;
}

/* One bit after the other. */
BW_INLINE uint32_t naive(const uint32_t *a, const uint32_t *b, uint32_t words, const uint8_t *table) {
    uint32_t distance = 0;
    (void)table;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t x = a[i] ^ b[i];
        for (uint32_t bit = 0; bit < 32; bit++, x >>= 1) {
            distance += x & 1;
        }
    }
    return distance;
}

/* A table of the ones in each byte. */
BW_INLINE uint32_t bytes(const uint32_t *a, const uint32_t *b, uint32_t words, const uint8_t *table) {
    uint32_t distance = 0;
    for (uint32_t i = 0; i < words; i++) {
        uint32_t x = a[i] ^ b[i];
        distance += table[x & 0xFF] + table[x >> 8 & 0xFF] + table[x >> 16 & 0xFF] + table[x >> 24];
    }
    return distance;
}

/* Each word's bits added up in ever wider fields. */
BW_INLINE uint32_t swar(const uint32_t *a, const uint32_t *b, uint32_t words, const uint8_t *table) {
    uint32_t distance = 0;
    (void)table;
    for (uint32_t i = 0; i < words; i++) {
        distance += ones(a[i] ^ b[i]);
    }
    return distance;
}

/* The same, three words joined as soon as their fields have room. */
BW_INLINE uint32_t merged(const uint32_t *a, const uint32_t *b, uint32_t words, const uint8_t *table) {
    uint32_t sum = 0, i = 0, distance = 0;
    (void)table;
    for (; i + 3 <= words; i += 3) {
        sum += in_bytes(in_nibbles(a[i] ^ b[i]) + in_nibbles(a[i + 1] ^ b[i + 1]) + in_nibbles(a[i + 2] ^ b[i + 2]));
        if (i == 27) { /* 960 bits: more could be too much for a byte */
            distance = total(sum, words);
            sum = 0;
        }
    }
    for (; i < words; i++) {
        sum += in_bytes(in_nibbles(a[i] ^ b[i]));
    }
    return distance + total(sum, words);
}

/* A carry-save adder within the row: ones, twos, fours, and an eight for every eight words. */
BW_INLINE uint32_t harley_seal(const uint32_t *a, const uint32_t *b, uint32_t words, const uint8_t *table) {
    uint32_t one = 0, two = 0, four = 0, distance = 0;
    (void)table;
    if (words < 8) {
        for (uint32_t i = 0; i < words; i += 2) {
            uint32_t carry = bw_add(&one, a[i] ^ b[i], a[i + 1] ^ b[i + 1]), kept = two & carry;
            two ^= carry;
            four ^= kept;
        }
    } else {
        for (uint32_t i = 0; i < words; i += 8) {
            uint32_t two1 = bw_add(&one, a[i] ^ b[i], a[i + 1] ^ b[i + 1]);
            uint32_t four1 = bw_add(&two, two1, bw_add(&one, a[i + 2] ^ b[i + 2], a[i + 3] ^ b[i + 3]));
            uint32_t two2 = bw_add(&one, a[i + 4] ^ b[i + 4], a[i + 5] ^ b[i + 5]);
            uint32_t four2 = bw_add(&two, two2, bw_add(&one, a[i + 6] ^ b[i + 6], a[i + 7] ^ b[i + 7]));
            distance += 8 * ones(bw_add(&four, four1, four2));
        }
    }
    return distance + total(in_bytes(in_nibbles(one) + 2 * in_nibbles(two)) + 4 * in_bytes(in_nibbles(four)), words);
}

#define SCAN(name, bits)                                                                                          \
    int bench_##name##_##bits(const bench_job *job) {                                                             \
        const uint32_t *row = (const uint32_t *)(const void *)job->data, *query = job->query;                     \
        uint32_t found = 0, k = job->number, below = bits + 1;                                                    \
        bw_hit *hits = job->out;                                                                                  \
        for (uint32_t slot = 0; slot < job->size; slot++, row += bits / 32) {                                     \
            uint32_t distance = name(row, query, bits / 32, job->work);                                           \
            if (__builtin_expect(distance < below, 0)) {                                                          \
                found = insert(hits, found, k, distance, slot);                                                   \
                below = found == k ? hits[k - 1].distance : below;                                                \
            }                                                                                                     \
        }                                                                                                         \
        return (int)found;                                                                                        \
    }

#define WIDTHS(name) SCAN(name, 64) SCAN(name, 128) SCAN(name, 256) SCAN(name, 512) SCAN(name, 1024)

WIDTHS(naive)
WIDTHS(bytes)
WIDTHS(swar)
WIDTHS(merged)
WIDTHS(harley_seal)
