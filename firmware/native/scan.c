/* The inner loop of the flat search in C, for chips that are not Arm: a carry-save adder over 32 lanes (Harley and Seal). */
#include "internal.h"

#ifndef __thumb__

#define INLINE static inline __attribute__((always_inline)) /* calls and spilled counters would double the cost of a plane */

/* sum + a + b of each lane: the sum's bit stays, the carry is returned. Five two-operand instructions. */
INLINE uint32_t add(uint32_t *sum, uint32_t a, uint32_t b) {
    uint32_t s = *sum;
    a ^= b;
    b ^= s;
    s ^= a;
    a |= b;
    *sum = s;
    return a ^ s;
}

INLINE uint32_t add2(uint32_t *low, const uint32_t *planes, const uint32_t *masks) {
    return add(&low[0], planes[0] ^ masks[0], planes[1] ^ masks[1]);
}

INLINE uint32_t add4(uint32_t *low, const uint32_t *planes, const uint32_t *masks) {
    uint32_t twos = add2(low, planes, masks);
    return add(&low[1], twos, add2(low, planes + 2, masks + 2));
}

INLINE uint32_t add8(uint32_t *low, const uint32_t *planes, const uint32_t *masks) {
    uint32_t fours = add4(low, planes, masks);
    return add(&low[2], fours, add4(low, planes + 4, masks + 4));
}

INLINE uint32_t add16(uint32_t *low, const uint32_t *planes, const uint32_t *masks) {
    uint32_t eights = add8(low, planes, masks);
    return add(&low[3], eights, add8(low, planes + 8, masks + 8));
}

/* Count 32 planes. Returns the lanes whose low five bits carry out. */
INLINE uint32_t add32(uint32_t *low, const uint32_t *planes, const uint32_t *masks) {
    uint32_t sixteens = add16(low, planes, masks);
    return add(&low[4], sixteens, add16(low, planes + 16, masks + 16));
}

INLINE uint32_t carry_into(uint32_t *counter, uint32_t carry) {
    uint32_t plane = *counter;
    *counter = plane ^ carry;
    return plane & carry;
}

uint32_t bw_scan_blocks(const uint32_t *planes, uint32_t blocks, bw_scan *scan) {
    const uint32_t idle = scan->idle, stride = scan->stride / 4;
    for (uint32_t block = 0; block < blocks; block++, planes += stride) {
        const uint32_t *plane = planes, *mask = scan->masks;
        bw_counters count = scan->start; /* whose words the compiler keeps in registers */
        uint32_t over = ~scan->live[block];
        while (over != UINT32_MAX) {
            uint32_t carry = add32(count.low, plane, mask);
            if (idle < 3) {
                if (idle < 2) {
                    if (idle < 1) {
                        carry = carry_into(&count.high[0], carry);
                    }
                    carry = carry_into(&count.high[1], carry);
                }
                carry = carry_into(&count.high[2], carry);
            }
            over |= carry_into(&count.high[3], carry);
            plane += 32;
            mask += 32;
            if (mask == scan->masks_end) {
                break;
            }
        }
        if (over != UINT32_MAX) {
            scan->count = count;
            scan->over = over;
            return block;
        }
    }
    return blocks;
}

#endif
