/* Exact top-k over flat bit-sliced blocks: 32 documents side by side, counted by a carry-save adder (Harley and Seal). */
#include "internal.h"

enum { LOW_PLANES = 5, MAX_PLANES = 9, WORD_BYTES = 4 * BW_LANES };

#define INLINE static inline __attribute__((always_inline)) /* calls and spilled counters would double the cost of a plane */

/* 32 counters, one a lane: bit j of a lane's count is the lane's bit in plane[j]. */
typedef struct counters {
    uint32_t plane[MAX_PLANES];
} counters;

typedef struct search {
    bw_source *source;
    const uint32_t *code;
    uint32_t bits, planes; /* bits = 2^planes */
    bw_hit *hits;          /* sorted by (distance, slot) */
    uint32_t wanted, found;
} search;

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

/* Where the documents' bits differ from the query's. `bit` is a constant, so the mask of all its bits is two shifts. */
INLINE uint32_t differing(const uint32_t *planes, uint32_t query, uint32_t bit) {
    return planes[bit] ^ (uint32_t)((int32_t)(query << (31 - bit)) >> 31);
}

INLINE uint32_t add2(counters *count, const uint32_t *planes, uint32_t query, uint32_t bit) {
    return add(&count->plane[0], differing(planes, query, bit), differing(planes, query, bit + 1));
}

INLINE uint32_t add4(counters *count, const uint32_t *planes, uint32_t query, uint32_t bit) {
    uint32_t twos = add2(count, planes, query, bit);
    return add(&count->plane[1], twos, add2(count, planes, query, bit + 2));
}

INLINE uint32_t add8(counters *count, const uint32_t *planes, uint32_t query, uint32_t bit) {
    uint32_t fours = add4(count, planes, query, bit);
    return add(&count->plane[2], fours, add4(count, planes, query, bit + 4));
}

INLINE uint32_t add16(counters *count, const uint32_t *planes, uint32_t query, uint32_t bit) {
    uint32_t eights = add8(count, planes, query, bit);
    return add(&count->plane[3], eights, add8(count, planes, query, bit + 8));
}

/* Count 32 planes against a word of the query. Returns the lanes whose low five bits carry out. */
INLINE uint32_t add32(counters *count, const uint32_t *planes, uint32_t query) {
    uint32_t sixteens = add16(count, planes, query, 0);
    return add(&count->plane[4], sixteens, add16(count, planes, query, 16));
}

/* Add what the low five planes carried to the rest. Returns the lanes whose counter overflows. */
static uint32_t ripple(counters *count, uint32_t planes, uint32_t carry) {
    for (uint32_t j = LOW_PLANES; j < planes; j++) {
        uint32_t plane = count->plane[j];
        count->plane[j] = plane ^ carry;
        carry &= plane;
    }
    return carry;
}

static void insert(search *search, uint32_t distance, uint32_t slot) {
    uint32_t at = search->found;
    bw_hit *hits = search->hits;
    if (at == search->wanted) {
        at--;
        if (distance >= hits[at].distance) {
            return; /* slots ascend, so the one that is there wins a tie */
        }
    } else {
        search->found++;
    }
    for (; at > 0 && hits[at - 1].distance > distance; at--) {
        hits[at].distance = hits[at - 1].distance;
        hits[at].slot = hits[at - 1].slot;
    }
    hits[at].distance = distance;
    hits[at].slot = slot;
}

/* Insert the distances of the lanes in `lanes`: counter - start, plus 2^planes where the counter overflowed. */
static void insert_lanes(search *search, const counters *count, uint32_t lanes, uint32_t over, uint32_t start,
                         uint32_t slot) {
    for (uint32_t lane = 0; lanes > 0; lane++, lanes >>= 1) {
        if (lanes & 1) {
            uint32_t value = (over >> lane & 1) << search->planes;
            for (uint32_t j = 0; j < search->planes; j++) {
                value |= (count->plane[j] >> lane & 1) << j;
            }
            insert(search, value - start, slot + lane);
        }
    }
}

/* One block. The counters start at 2^planes - T, T the distance to beat, so that an overflow means "not nearer", and the
 * block is left when no live lane is without one. While hits are wanting T is 2^planes, which only the overflowed have. */
static int scan_block(search *search, uint32_t at, uint32_t ahead, uint32_t live, uint32_t slot) {
    uint32_t scratch[BW_LANES];
    uint32_t full = search->found == search->wanted;
    uint32_t start = full ? search->bits - search->hits[search->wanted - 1].distance : 0;
    counters count;
    for (uint32_t j = 0; j < search->planes; j++) {
        count.plane[j] = 0u - (start >> j & 1);
    }
    uint32_t over = 0;
    for (uint32_t word = 0; word < search->bits / 32; word++) {
        const uint8_t *planes = bw_fetch(search->source, at, WORD_BYTES, ahead, (uint8_t *)scratch);
        if (!planes) {
            return BW_ERR_READ;
        }
        uint32_t carry = add32(&count, (const uint32_t *)(const void *)planes, search->code[word]);
        over |= ripple(&count, search->planes, carry);
        if (full && (live & ~over) == 0) {
            return BW_OK;
        }
        at += WORD_BYTES;
        ahead -= WORD_BYTES;
    }
    insert_lanes(search, &count, full ? live & ~over : live, over, start, slot);
    return BW_OK;
}

/* Live words of the blocks from `first` on, copied since the next fetch may overwrite them. Lanes past the last slot are dead. */
static int read_live(bw_source *source, const bw_table *table, uint32_t first, uint32_t blocks, uint32_t *live) {
    const uint8_t *at = bw_fetch(source, table->live.offset + 4 * first, 4 * blocks, 4 * blocks, (uint8_t *)live);
    if (!at) {
        return BW_ERR_READ;
    }
    for (uint32_t i = 0; i < blocks; i++) {
        live[i] = bw_load32(at + 4 * i);
        uint32_t slots = table->count - BW_LANES * (first + i);
        if (slots < BW_LANES) {
            live[i] &= (1u << slots) - 1;
        }
    }
    return BW_OK;
}

static int search_flat(bw_source *source, const bw_table *table, const uint32_t *code, uint32_t k, bw_hit *hits) {
    uint32_t live[BW_LANES];
    uint32_t blocks = (table->count + BW_LANES - 1) / BW_LANES, block_bytes = 4 * table->bits;
    search search;
    search.source = source;
    search.code = code;
    search.bits = table->bits;
    search.planes = table->bits == 64 ? 6 : table->bits == 128 ? 7 : table->bits == 256 ? 8 : 9;
    search.hits = hits;
    search.wanted = bw_min(k, table->count);
    search.found = 0;
    for (uint32_t block = 0; block < blocks; block++) {
        uint32_t in_batch = block % BW_LANES;
        int status = BW_OK;
        if (in_batch == 0) {
            status = read_live(source, table, block, bw_min(blocks - block, BW_LANES), live);
        }
        if (status == BW_OK && live[in_batch] != 0) {
            status = scan_block(&search, table->codes.offset + block * block_bytes, (blocks - block) * block_bytes,
                                live[in_batch], BW_LANES * block);
        }
        if (status < 0) {
            return status;
        }
        if (search.found == search.wanted && hits[search.found - 1].distance == 0) {
            break; /* nothing can be nearer */
        }
    }
    return (int)search.found;
}

int bw_search_effort(bw_source *source, const bw_table *table, const uint32_t *code, uint32_t k, uint32_t effort, bw_hit *hits) {
    if (k == 0 || effort == 0) {
        return BW_ERR_ARGUMENT;
    }
    return table->layout == BW_RESIDUAL ? bw_search_residual(source, table, code, k, effort, hits)
                                        : search_flat(source, table, code, k, hits);
}

int bw_search(bw_source *source, const bw_table *table, const uint32_t *code, uint32_t k, bw_hit *hits) {
    return bw_search_effort(source, table, code, k, 100, hits);
}
