/* The query as machine code, for Arm chips (Thumb-1 instructions only): a block of flat planes counted without masks.
 *
 * A query's bit that is 1 would invert its plane. The code inverts nothing: that a register holds a complement is known while
 * the code is made. A sum of complements is a sum or its complement; only the OR in a full adder has to be another instruction,
 * by De Morgan. So five instructions add two planes, as in scan_thumb.S, and the XOR with a mask and the load of it go away.
 *
 * What is made is a leaf that bw_scan_compiled calls, anywhere in memory, of a length that the width alone decides:
 * r0 planes, r1 ones, r2 twos, r3 fours, r9 eights, r10 sixteens, wider counters on the stack; r8 the lanes that are left, the
 * zero flag set when there are none. r4-r7 are for work, r11 and r12 hold a carry until its partner is there. */
#include "internal.h"

#ifdef __thumb__

enum { EORS = 0x4040, ORRS = 0x4300, ANDS = 0x4000, BICS = 0x4380, STR = 0x9000, LDR = 0x9800, LDMIA_R0 = 0xC800,
       MOV = 0x4600, BNE_SKIP = 0xD100, BX_LR = 0x4770 };
enum { ONES = 1, EIGHTS = 9, HELD = 11, ALIVE = 8 };

/* Where a plane or counter is: a register's number or a word of the stack. This bit of it: what is there is a complement. Made
 * part of an instruction, it falls off the halfword. */
#define FLIP 0x80000000u

typedef struct maker {
    uint16_t *to;
    uint32_t query;              /* the bits of the planes to come, the next one lowest */
    uint32_t work[4];            /* r4-r7, by what they are for */
    uint32_t low[3], middle[2];  /* counters */
    uint32_t high[BW_HIGH];
    uint32_t held[2];
} maker;

/* *a |= *b. Where only *b is a complement the result is made in its register, which then changes its name. */
BW_INLINE uint32_t unite(uint32_t *a, uint32_t *b) {
    uint32_t first = *a, second = *b, instruction = BICS;
    if ((first ^ second) < FLIP) {
        instruction = first < FLIP ? ORRS : ANDS;
    } else if (first < FLIP) {
        *a = second;
        *b = first;
    }
    return instruction + *a + (*b << 3); /* a complement if either was, as *a is now */
}

/* *sum + *a + *b, the carry in *a. */
static void full_add(maker *maker, uint32_t *a, uint32_t *b, uint32_t *sum) {
    uint16_t *to = maker->to;
    uint32_t t = *a, u = *b, s = *sum;
    to[0] = (uint16_t)(EORS + t + (u << 3));
    t ^= u & FLIP;
    to[1] = (uint16_t)(EORS + u + (s << 3));
    u ^= s & FLIP;
    to[2] = (uint16_t)(EORS + s + (t << 3));
    s ^= t & FLIP;
    to[3] = (uint16_t)unite(&t, &u);
    to[4] = (uint16_t)(EORS + t + (s << 3));
    *a = t ^ (s & FLIP);
    *b = u;
    *sum = s;
    maker->to = to + 5;
}

/* Registers are loaded in ascending order. */
static void load(maker *maker, uint32_t *first, uint32_t *second) {
    uint32_t a = *first & 7, b = *second & 7, query = maker->query;
    if (a > b) {
        uint32_t kept = a;
        a = b;
        b = kept;
    }
    *maker->to++ = (uint16_t)(LDMIA_R0 | 1u << a | 1u << b);
    *first = a | query << 31;
    *second = b | query >> 1 << 31;
    maker->query = query >> 2;
}

/* Eight planes into ones, twos and fours; the carry is in work[0]. */
static void add8(maker *maker) {
    uint32_t *work = maker->work, *low = maker->low;
    for (uint32_t i = 0; i < 4; i++) { /* all are free */
        work[i] = (4 + i) | maker->query << 31;
        maker->query >>= 1;
    }
    *maker->to++ = LDMIA_R0 | 0xF0;
    full_add(maker, work, work + 1, low);
    full_add(maker, work + 2, work + 3, low);
    full_add(maker, work, work + 2, low + 1);
    load(maker, work + 1, work + 2);
    full_add(maker, work + 1, work + 2, low);
    load(maker, work + 2, work + 3);
    full_add(maker, work + 2, work + 3, low);
    full_add(maker, work + 1, work + 2, low + 1);
    full_add(maker, work, work + 1, low + 2);
}

static void take(maker *maker, uint32_t *work, const uint32_t *from) {
    uint32_t to = *work & 7;
    *maker->to++ = (uint16_t)(MOV + (*from << 3) + to);
    *work = to | (*from & FLIP);
}

static void put(maker *maker, uint32_t *to, const uint32_t *work) {
    uint32_t place = *to & 15;
    *maker->to++ = (uint16_t)(MOV + 0x80 - 8 + place + (*work << 3));
    *to = place | (*work & FLIP);
}

/* 32 planes into all five counters in registers; the carry is in work[0]. */
static void add32(maker *maker) {
    uint32_t *work = maker->work;
    for (uint32_t done = 0; done < 4; done++) {
        uint32_t i = 0;
        add8(maker);
        for (; done >> i & 1; i++) {
            take(maker, work + 1, maker->held + i);
            take(maker, work + 2, maker->middle + i);
            full_add(maker, work, work + 1, work + 2);
            put(maker, maker->middle + i, work + 2);
        }
        if (done < 3) {
            put(maker, maker->held + i, work);
        }
    }
}

/* Carry work[0] into a word of the stack: what is not carried on is in the counter's new bit. */
static void carry_into(maker *maker, uint32_t *counter) {
    uint32_t *work = maker->work, carry = work[0] ^ FLIP, bit = (work[1] & 7) | (*counter & FLIP), word = *counter & 3;
    uint16_t *to = maker->to;
    to[0] = (uint16_t)(LDR + (bit << 8) + word);
    to[1] = (uint16_t)(EORS + bit + (carry << 3));
    to[2] = (uint16_t)(STR + (bit << 8) + word);
    bit ^= work[0] & FLIP;
    *counter = word | (bit & FLIP);
    to[3] = (uint16_t)unite(&carry, &bit); /* carry & ~bit is ~(~carry | bit) */
    work[0] = carry ^ FLIP;
    work[1] = bit;
    maker->to = to + 4;
}

uint32_t bw_compile_query(const uint32_t *code, uint32_t bits, uint32_t idle, uint16_t *to) {
    maker maker;
    uint32_t *work = maker.work, flips = 0;
    maker.to = to;
    for (uint32_t i = 0; i < 3; i++) {
        maker.low[i] = ONES + i;
    }
    for (uint32_t i = 0; i < 2; i++) {
        maker.middle[i] = EIGHTS + i;
        maker.held[i] = HELD + i;
    }
    for (uint32_t i = 0; i < BW_HIGH; i++) {
        maker.high[i] = idle + i;
    }
    for (const uint32_t *end = code + bits / 32; code < end; code++) {
        maker.query = *code;
        add32(&maker);
        for (uint32_t i = 0; idle + i < BW_HIGH; i++) {
            carry_into(&maker, maker.high + i);
        }
        uint32_t alive = work[1] & 7;
        uint16_t *check = maker.to;
        check[0] = (uint16_t)(MOV + (ALIVE << 3) + alive);
        check[1] = (uint16_t)((work[0] < FLIP ? BICS : ANDS) + alive + (work[0] << 3));
        check[2] = (uint16_t)(MOV + 0x80 + ALIVE - 8 + (alive << 3));
        check[3] = BNE_SKIP;
        check[4] = BX_LR;
        maker.to = check + 5;
    }
    maker.to[-2] = BX_LR;
    __asm__ volatile("dsb\n\tisb" ::: "memory"); /* what was written is what is fetched */
    for (const uint32_t *counter = maker.high + BW_HIGH; counter-- > maker.low;) {
        flips = flips << 1 | *counter >> 31;
    }
    return flips;
}

#endif
