/* The inner loops of both searches in C, for chips that are not Arm: a carry-save adder over 32 lanes (Harley and Seal). */
#include "internal.h"

#ifndef __thumb__

BW_INLINE uint32_t add2(uint32_t *low, const uint32_t *planes, const uint32_t *masks) {
    return bw_add(&low[0], planes[0] ^ masks[0], planes[1] ^ masks[1]);
}

BW_INLINE uint32_t add4(uint32_t *low, const uint32_t *planes, const uint32_t *masks) {
    uint32_t twos = add2(low, planes, masks);
    return bw_add(&low[1], twos, add2(low, planes + 2, masks + 2));
}

BW_INLINE uint32_t add8(uint32_t *low, const uint32_t *planes, const uint32_t *masks) {
    uint32_t fours = add4(low, planes, masks);
    return bw_add(&low[2], fours, add4(low, planes + 4, masks + 4));
}

BW_INLINE uint32_t add16(uint32_t *low, const uint32_t *planes, const uint32_t *masks) {
    uint32_t eights = add8(low, planes, masks);
    return bw_add(&low[3], eights, add8(low, planes + 8, masks + 8));
}

/* Count 32 planes. Returns the lanes whose low five bits carry out. */
BW_INLINE uint32_t add32(uint32_t *low, const uint32_t *planes, const uint32_t *masks) {
    uint32_t sixteens = add16(low, planes, masks);
    return bw_add(&low[4], sixteens, add16(low, planes + 16, masks + 16));
}

void bw_spread(const uint32_t *code, uint32_t *masks, const uint32_t *end) {
    while (masks < end) {
        uint32_t word = *code++;
        for (uint32_t bit = 0; bit < 32; bit += 4, word >>= 4, masks += 4) {
            masks[0] = 0u - (word & 1);
            masks[1] = 0u - (word >> 1 & 1);
            masks[2] = 0u - (word >> 2 & 1);
            masks[3] = 0u - (word >> 3 & 1);
        }
    }
}

BW_INLINE uint32_t carry_into(uint32_t *counter, uint32_t carry) {
    uint32_t plane = *counter;
    *counter = plane ^ carry;
    return plane & carry;
}

uint32_t bw_scan_blocks(const uint32_t *planes, uint32_t blocks, bw_scan *scan) {
    const uint32_t *live = scan->live, *end = live + blocks;
    const uint8_t *block = (const uint8_t *)planes;
    for (; live < end; live++, block += scan->stride) {
        /* What a block begins with stays in memory: registers are for the counters, or they would spill in every step. */
        __asm__ volatile("" ::: "memory");
        const uint32_t *plane = (const uint32_t *)(const void *)block, *mask = scan->masks, *masks_end = scan->masks_end;
        const bw_counters *start = &scan->start;
        uint32_t low[BW_LOW] = {start->low[0], start->low[1], start->low[2], start->low[3], start->low[4]};
        uint32_t high0 = start->high[0], high1 = start->high[1], high2 = start->high[2], high3 = start->high[3];
        uint32_t high4 = start->high[4];
        uint32_t alive = *live;
        int32_t wide = 2 - (int32_t)scan->idle;
        if (alive == 0) {
            continue;
        }
        do {
            uint32_t carry = add32(low, plane, mask);
            plane += 32;
            mask += 32;
            if (wide >= 0) {
                if (wide != 0) {
                    if (wide != 1) {
                        carry = carry_into(&high0, carry);
                    }
                    carry = carry_into(&high1, carry);
                }
                carry = carry_into(&high2, carry);
                carry = carry_into(&high3, carry);
            } else if (wide == -1) {
                carry = carry_into(&high3, carry);
            }
            alive &= ~carry_into(&high4, carry);
        } while (alive != 0 && mask != masks_end);
        if (alive != 0) {
            bw_counters *count = &scan->count;
            for (uint32_t j = 0; j < BW_LOW; j++) {
                count->low[j] = low[j];
            }
            count->high[0] = high0;
            count->high[1] = high1;
            count->high[2] = high2;
            count->high[3] = high3;
            count->high[4] = high4;
            scan->over = ~alive;
            break;
        }
    }
    return (uint32_t)(live - scan->live);
}

/* Eight planes into the counters. Returns whether a lane is left. */
static uint32_t count_chunk(bw_tally *tally) {
    uint32_t alive = 0;
    tally->to = tally->buffer;
    tally->counted += BW_PLANES;
    for (uint32_t g = 0; g < tally->groups; g++) {
        bw_lanes *lanes = &tally->lanes[g];
        uint32_t *counter = lanes->counter;
        const uint32_t *plane = tally->buffer + g;
        uint32_t low[BW_FOURS] = {counter[0], counter[1], counter[2]};
        uint32_t a = bw_add(&low[0], plane[0], plane[BW_GROUPS]), b = bw_add(&low[0], plane[2 * BW_GROUPS], plane[3 * BW_GROUPS]);
        uint32_t fours = bw_add(&low[1], a, b);
        a = bw_add(&low[0], plane[4 * BW_GROUPS], plane[5 * BW_GROUPS]);
        b = bw_add(&low[0], plane[6 * BW_GROUPS], plane[7 * BW_GROUPS]);
        /* Adding complements to complements gives the complement. */
        uint32_t carry = bw_add(&low[2], fours, bw_add(&low[1], a, b)) ^ tally->flip;
        counter[0] = low[0];
        counter[1] = low[1];
        counter[2] = low[2];
        for (uint32_t *at = counter + BW_FOURS, *end = at + tally->ripples; at < end; at++) {
            carry = carry_into(at, carry);
        }
        lanes->dead |= carry;
        alive |= ~lanes->dead;
    }
    return alive;
}

uint32_t bw_count_planes(uint32_t mask, const uint32_t *planes, bw_tally *tally) {
    uint32_t *to = tally->to, *full = tally->buffer + BW_BUFFER, second = tally->groups - 1;
    if (to == full) {
        return count_chunk(tally) != 0;
    }
    for (; mask != 0; mask &= mask - 1) {
        uint32_t place = tally->places[(mask & (0u - mask)) * BW_DE_BRUIJN >> 27];
        const uint32_t *from = (const uint32_t *)(const void *)((const uint8_t *)planes + place);
        to[0] = from[0];
        to[1] = from[second];
        to += BW_GROUPS;
        if (to == full) {
            if (count_chunk(tally) == 0) {
                return 0;
            }
            to = tally->buffer;
        }
    }
    tally->to = to;
    return 1;
}

#endif
