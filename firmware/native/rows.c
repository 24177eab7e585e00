/* Codes that lie row by row: the ones of each XOR, counted by an instruction where the processor has one. */
#include "internal.h"

/* Ones of each byte. */
BW_INLINE uint32_t ones_by_byte(uint32_t x) {
    x -= x >> 1 & 0x55555555;
    x = (x & 0x33333333) + (x >> 2 & 0x33333333);
    return (x + (x >> 4)) & 0x0F0F0F0F;
}

/* Two words at a time: one count of ones for each pair's carry, one for all that is left. A byte of carries' ones holds the share
 * of 1024 bits, 128. */
uint32_t bw_distance(const uint32_t *a, const uint32_t *b, uint32_t words) {
    uint32_t ones = 0, twos = 0;
    for (const uint32_t *end = a + words; a < end; a += 2, b += 2) {
        twos += ones_by_byte(bw_add(&ones, a[0] ^ b[0], a[1] ^ b[1]));
    }
    uint32_t pairs = (twos & 0x00FF00FF) + (twos >> 8 & 0x00FF00FF);
    ones = ones_by_byte(ones);
    pairs = 2 * pairs + ((ones + (ones >> 8)) & 0x00FF00FF);
    return (pairs & 0xFFFF) + (pairs >> 16);
}

#ifdef BW_POPCOUNT

/* Ones of the XOR of two words each. A row of 64 bits need not lie at a multiple of 8. */
#ifdef __x86_64__
typedef struct word_pair {
    uint64_t words;
} __attribute__((packed, may_alias)) word_pair;

BW_INLINE uint32_t ones2(const uint32_t *a, const uint32_t *b) {
    const word_pair *x = (const word_pair *)(const void *)a, *y = (const word_pair *)(const void *)b;
    return (uint32_t)__builtin_popcountll(x->words ^ y->words);
}
#else
BW_INLINE uint32_t ones2(const uint32_t *a, const uint32_t *b) {
    return (uint32_t)(__builtin_popcount(a[0] ^ b[0]) + __builtin_popcount(a[1] ^ b[1]));
}
#endif

BW_INLINE uint32_t ones4(const uint32_t *a, const uint32_t *b) {
    return ones2(a, b) + ones2(a + 2, b + 2);
}

BW_INLINE uint32_t ones8(const uint32_t *a, const uint32_t *b) {
    return ones4(a, b) + ones4(a + 4, b + 4);
}

BW_INLINE uint32_t ones16(const uint32_t *a, const uint32_t *b) {
    return ones8(a, b) + ones8(a + 8, b + 8);
}

BW_INLINE uint32_t ones32(const uint32_t *a, const uint32_t *b) {
    return ones16(a, b) + ones16(a + 16, b + 16);
}

#if defined __x86_64__ && !defined __POPCNT__
int bw_has_popcount(void) {
    uint32_t a = 1, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return c >> 23 & 1;
}

#define HERE __attribute__((target("popcnt")))
#else
int bw_has_popcount(void) {
    return 1;
}

#define HERE
#endif

/* Not inline: its query is too long for the registers, and would drive those of the others out. */
static __attribute__((noinline)) HERE uint32_t pass_rows32(const uint32_t *rows, const uint32_t *end, const uint32_t *code,
                                                           uint32_t below) {
    const uint32_t *row = rows;
    for (; row < end && ones32(row, code) >= below; row += 32) {
    }
    return (uint32_t)(row - rows) / 32;
}

/* A loop for each width, so that the query stays in registers. */
HERE uint32_t bw_pass_rows(const uint32_t *rows, uint32_t count, const uint32_t *code, uint32_t words, uint32_t below) {
    const uint32_t *row = rows, *end = rows + count * words;
    if (words == 2) {
        for (; row < end && ones2(row, code) >= below; row += 2) {
        }
        return (uint32_t)(row - rows) / 2;
    }
    if (words == 4) {
        for (; row < end && ones4(row, code) >= below; row += 4) {
        }
        return (uint32_t)(row - rows) / 4;
    }
    if (words == 8) {
        for (; row < end && ones8(row, code) >= below; row += 8) {
        }
        return (uint32_t)(row - rows) / 8;
    }
    if (words == 32) {
        return pass_rows32(rows, end, code, below);
    }
    for (; row < end && ones16(row, code) >= below; row += 16) {
    }
    return (uint32_t)(row - rows) / 16;
}

#endif
