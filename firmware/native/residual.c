/* Exact top-k over the residual layout: blocks of like documents, each stored as y = x XOR p, p the block's majority code.
 *
 * With q the query, e = q XOR p, D the ones of e and m those of y, either of these alone is the distance (docs/residual.md):
 *     D - m + 2 (ones of y where e is 0)        m - D + 2 (zeros of y where e is 1)
 * so a lane starts at |D - m|, only the planes on one side are read, and each one (or zero) found adds 2. */
#include "internal.h"

enum {
    BATCH = 1024, /* blocks that are put in order together: 65,536 documents */
    NONE = BATCH,
    WIDE = 3, /* the place in the order: the pivot's distance less the largest weight >> WIDE */
    MOST_WIDE = BW_MAX_RESIDUAL >> WIDE,
    WORDS = BW_MAX_RESIDUAL / 32,
    PIECE = 32 * BW_GROUPS, /* words of planes that are fetched together */
    HEAD = WORDS + (BW_COUNTERS * BW_GROUPS)
};

/* Blocks of a batch by their place, plus MOST_WIDE: a list for each, the last block of equals first. */
typedef struct order {
    uint16_t first[MOST_WIDE + BW_MAX_RESIDUAL + 1], next[BATCH];
} order;

typedef char order_fits[sizeof(order) <= BW_SEARCH_WORK ? 1 : -1];

typedef struct scan {
    bw_source *source;
    const bw_table *table;
    const bw_changes *changes;
    const uint32_t *code;
    bw_nearest *nearest;
    uint32_t limit;          /* a distance above it is of no interest */
    uint32_t words, groups;  /* of a code, of a plane */
    uint32_t record, stride; /* bytes of a pivot's record and of a block's body */
    uint32_t spent;          /* bytes fetched */
    uint32_t differs[WORDS], early[WORDS];
    bw_tally tally;
    uint32_t scratch[PIECE];
} scan;

typedef char scratch_fits_heads[PIECE >= HEAD ? 1 : -1];

/* Which of a word's bits is x's only one: the upper five bits of x times a de Bruijn sequence say it (Leiserson, Prokop and
 * Randall 1998). Here as the byte at which that bit's plane begins, for planes of one word and of two. */
static const uint8_t PLACES[BW_GROUPS][32] = {
    {0,   4,   112, 8,   116, 56,  96,  12, 120, 88,  80,  60,  100, 68,  16,  32,
     124, 108, 52,  92,  84,  76,  64,  28, 104, 48,  72,  24,  44,  20,  40,  36},
    {0,   8,   224, 16,  232, 112, 192, 24, 240, 176, 160, 120, 200, 136, 32,  64,
     248, 216, 104, 184, 168, 152, 128, 56, 208, 96,  144, 48,  88,  40,  80,  72}};

static const uint32_t *fetch(scan *scan, uint32_t offset, uint32_t words, uint32_t ahead) {
    scan->spent += 4 * words;
    return (const uint32_t *)(const void *)bw_fetch(scan->source, offset, 4 * words, ahead, (uint8_t *)scan->scratch);
}

/* Would zeros, where query and pivot differ, need fewer planes than ones, where they agree? toolchain/bitwren/residual_scan.py
 * explains the rates. Products in place of quotients: Cortex-M0+ cannot divide. */
static uint32_t zeros_side(const scan *scan, uint32_t away, uint32_t mean) {
    int32_t width = (int32_t)scan->table->bits, agree = width - (int32_t)away;
    int32_t gap_ones = 10 * ((int32_t)scan->limit + 1 - (int32_t)away) + 9 * (int32_t)mean;
    int32_t gap_zeros = 10 * ((int32_t)scan->limit + 1 + (int32_t)away) - 9 * (int32_t)mean;
    int32_t rate_ones = 12 * (int32_t)mean, rate_zeros = 20 * width - 22 * (int32_t)mean;
    gap_ones = gap_ones < 0 ? 0 : gap_ones;
    gap_zeros = gap_zeros < 0 ? 0 : gap_zeros;
    rate_zeros = rate_zeros < 0 ? 0 : rate_zeros;
    int beats_ones = gap_zeros * rate_ones < gap_ones * rate_zeros || (int32_t)away * rate_ones < gap_ones * width;
    int beats_all = gap_zeros * width < agree * rate_zeros || (int32_t)away < agree;
    return beats_ones && beats_all;
}

static uint32_t bit_length(uint32_t value) {
    uint32_t length = 0;
    for (; value > 0; value >>= 1) {
        length++;
    }
    return length;
}

/* start + r, or start - r with `negate` all ones, r a lane's weight above the minimum: in two's complement, each of `width`
 * planes to `sum` where there is one. Returns the lanes where it is negative. Not inline: it is called twice. */
static __attribute__((noinline)) uint32_t budget(const scan *scan, const uint32_t *weights, uint32_t spread, uint32_t start,
                                                 uint32_t negate, uint32_t width, uint32_t *sum) {
    uint32_t carry = negate, s = 0;
    for (uint32_t j = 0; j < width; j++, weights += scan->groups) {
        uint32_t r = j < spread ? *weights ^ negate : negate;
        uint32_t a = 0u - (start & 1), t = a ^ r;
        start >>= 1;
        s = t ^ carry;
        carry = (a & r) | (t & carry);
        if (sum) {
            sum[j] = s;
        }
    }
    return s;
}

/* What each lane may still add, from the weights. Returns whether a live lane is within the limit. */
static int start_lanes(scan *scan, const uint32_t *weights, uint32_t spread, uint32_t away, uint32_t least, uint32_t most) {
    int32_t left = (int32_t)(scan->limit + least) - (int32_t)away, right = (int32_t)(scan->limit + away) - (int32_t)least;
    int32_t range = (1 << spread) - 1; /* a lane's weight above the minimum, whatever the file says, is no larger */
    uint32_t alive = 0, negate = scan->tally.flip, other = scan->tally.flip ? left < 0 : right < (int32_t)(most - least);
    int32_t start = negate ? right : left, end = negate ? right - range : left + range;
    uint32_t width = bit_length((uint32_t)((start < 0 ? -start : start) | (end < 0 ? -end : end))) + 1;
    width = width < BW_FOURS + 3 ? BW_FOURS + 3 : width; /* at least one counter ripples */
    scan->tally.ripples = width - 2 - BW_FOURS;
    for (uint32_t g = 0; g < scan->groups; g++) {
        uint32_t sum[BW_COUNTERS + 2];
        bw_lanes *lanes = &scan->tally.lanes[g];
        lanes->dead |= budget(scan, weights + g, spread, (uint32_t)start, negate, width, sum);
        if (other) { /* a bound that rarely says more */
            lanes->dead |= budget(scan, weights + g, spread, (uint32_t)(negate ? left : right), ~negate, BW_COUNTERS + 2, NULL);
        }
        lanes->odd = sum[0];
        for (uint32_t j = 0; j < width - 2; j++) {
            lanes->counter[j] = sum[j + 1] ^ (j < BW_FOURS ? ~negate : ~0u);
        }
        alive |= ~lanes->dead;
    }
    return alive != 0;
}

/* All planes of the side, uneven ones first where ones are counted, last where zeros are. Returns 1, 0 when no lane is left,
 * or an error. */
static int count_side(scan *scan, uint32_t at) {
    bw_tally *tally = &scan->tally;
    const uint8_t *body;
    uint32_t bytes = 128 * scan->groups, total = scan->words * bytes;
    uint32_t together = bw_span(scan->source, at, &body) >= total;
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t word = 0, done = 0; word < scan->words; word++, done += bytes) {
            uint32_t mask = (scan->differs[word] ^ ~tally->flip) & (pass ? ~scan->early[word] : scan->early[word]);
            if (mask != 0) {
                const uint8_t *from =
                    together ? body + done : bw_fetch(scan->source, at + done, bytes, total - done, (uint8_t *)scan->scratch);
                if (!from) {
                    return BW_ERR_READ;
                }
                if (!bw_count_planes(mask, (const uint32_t *)(const void *)from, tally)) {
                    return 0;
                }
            }
        }
    }
    if (tally->to == tally->buffer) {
        return 1;
    }
    for (; tally->to < tally->buffer + BW_BUFFER; tally->to += BW_GROUPS) {
        tally->to[0] = tally->to[1] = tally->flip;
        tally->counted--;
    }
    return (int)bw_count_planes(0, NULL, tally);
}

static int insert_lanes(scan *scan, uint32_t slot) {
    uint32_t counters = BW_FOURS + scan->tally.ripples;
    uint32_t spent_all = ((1u << counters) - 1) & ~(scan->tally.flip & ((1u << BW_FOURS) - 1));
    for (uint32_t g = 0; g < scan->groups; g++, slot += BW_LANES) {
        const bw_lanes *lanes = &scan->tally.lanes[g];
        uint32_t alive = ~lanes->dead;
        for (uint32_t lane = 0; alive != 0; lane++, alive >>= 1) {
            if (alive & 1) {
                uint32_t left = spent_all;
                for (uint32_t j = 0; j < counters; j++) {
                    left ^= (lanes->counter[j] >> lane & 1) << j;
                }
                uint32_t below = 2 * left + (lanes->odd >> lane & 1);
                if (below > scan->limit) {
                    return BW_ERR_FORMAT; /* the weights are not those of the planes */
                }
                bw_take(scan->nearest, scan->limit - below, slot + lane);
            }
        }
    }
    return BW_OK;
}

/* Marks what is deleted, or past the last slot, as dead. Returns whether any lane is live, or an error. */
static int read_live(scan *scan, uint32_t slot) {
    const bw_table *table = scan->table;
    uint32_t words = bw_min(scan->groups, (table->count - slot + BW_LANES - 1) / BW_LANES), any = 0;
    const uint32_t *live = bw_live_words(scan->source, table, scan->changes, slot / BW_LANES, words, scan->scratch);
    if (!live) {
        return BW_ERR_READ;
    }
    for (uint32_t g = 0; g < scan->groups; g++, slot += BW_LANES) {
        uint32_t word = g < words ? live[g] : 0;
        if (g < words && table->count - slot < BW_LANES) {
            word &= (1u << (table->count - slot)) - 1;
        }
        scan->tally.lanes[g].dead = ~word;
        any |= word;
    }
    return any != 0;
}

/* One block, and its place in the order. */
static int visit(scan *scan, uint32_t block, uint32_t place) {
    const bw_table *table = scan->table;
    uint32_t at = table->pivots.offset + block * scan->record, slot = block * table->lanes;
    const uint32_t *record = fetch(scan, at, 1, scan->record);
    if (!record) {
        return BW_ERR_READ;
    }
    uint32_t least = *record & 1023, most = *record >> 10 & 1023, mean = *record >> 20 & 1023;
    scan->limit = bw_min(bw_farthest(scan->nearest), table->bits);
    uint32_t away = place + (most >> WIDE) - MOST_WIDE;
    if (away > most + scan->limit || least > away + scan->limit) {
        return BW_OK;
    }
    uint32_t spread = bit_length(most - least);
    int status = spread > table->weight_planes ? BW_ERR_FORMAT : read_live(scan, slot);
    if (status <= 0) {
        return status;
    }
    const uint32_t *pivot = fetch(scan, at + 4, scan->words, scan->record - 4);
    if (!pivot) {
        return BW_ERR_READ;
    }
    for (uint32_t i = 0; i < scan->words; i++) {
        scan->differs[i] = pivot[i] ^ scan->code[i];
    }
    at = table->codes.offset + block * scan->stride;
    const uint32_t *head = fetch(scan, at, scan->words + spread * scan->groups, scan->stride);
    if (!head) {
        return BW_ERR_READ;
    }
    scan->tally.flip = zeros_side(scan, away, mean) ? ~0u : 0;
    scan->tally.to = scan->tally.buffer;
    scan->tally.counted = 0;
    for (uint32_t i = 0; i < scan->words; i++) {
        scan->early[i] = head[i] ^ scan->tally.flip;
    }
    if (!start_lanes(scan, head + scan->words, spread, away, least, most)) {
        return BW_OK;
    }
    status = count_side(scan, at + 4 * (scan->words + table->weight_planes * scan->groups));
    scan->spent += 4 * scan->groups * scan->tally.counted;
    return status <= 0 ? status : insert_lanes(scan, slot);
}

/* Put a batch's blocks in order: nearest pivots first, and wide blocks a little sooner, since their documents reach farther. */
static int read_pivots(scan *scan, uint32_t first, uint32_t blocks, order *order) {
    uint32_t bits = scan->table->bits, at = scan->table->pivots.offset + first * scan->record;
    for (uint32_t place = 0; place <= MOST_WIDE + bits; place++) {
        order->first[place] = NONE;
    }
    for (uint32_t i = 0; i < blocks; i++, at += scan->record) {
        const uint32_t *record = fetch(scan, at, scan->words + 1, (blocks - i) * scan->record);
        if (!record) {
            return BW_ERR_READ;
        }
        uint32_t least = *record & 1023, most = *record >> 10 & 1023, mean = *record >> 20 & 1023;
        if (least > most || most > bits || mean > bits) {
            return BW_ERR_FORMAT;
        }
        uint16_t *list = order->first + bw_distance(record + 1, scan->code, scan->words) + MOST_WIDE - (most >> WIDE);
        order->next[i] = *list;
        *list = (uint16_t)i;
    }
    return BW_OK;
}

/* effort percent of the codes' bytes, to a few in a thousand, without a division. */
static uint32_t allowance(uint32_t bytes, uint32_t effort) {
    return effort < 100 ? (bytes >> 8) * (41 * effort) >> 4 : UINT32_MAX;
}

int bw_search_residual(bw_source *source, const bw_table *table, const bw_changes *changes, const uint32_t *code,
                       bw_nearest *nearest, uint32_t effort, uint8_t *work) {
    order *order = (void *)work;
    scan scan;
    uint32_t blocks = (table->count + table->lanes - 1) >> (table->lanes == 64 ? 6 : 5);
    scan.source = source;
    scan.table = table;
    scan.changes = changes;
    scan.code = code;
    scan.nearest = nearest;
    scan.spent = 0;
    scan.words = table->bits / 32;
    scan.groups = table->lanes / BW_LANES;
    scan.record = 4 * (scan.words + 1);
    scan.stride = bw_residual_stride(table);
    scan.tally.places = PLACES[scan.groups - 1];
    scan.tally.groups = scan.groups;
    for (uint32_t first = 0; first < blocks; first += BATCH) {
        uint32_t here = bw_min(blocks - first, BATCH);
        uint32_t enough = allowance((first + here) * table->lanes * (table->bits / 8), effort); /* each batch has its share */
        int status = read_pivots(&scan, first, here, order);
        for (uint32_t place = 0, enough_read = 0; place <= MOST_WIDE + table->bits && !enough_read; place++) {
            for (uint32_t i = order->first[place]; i != NONE && status >= 0; i = order->next[i]) {
                enough_read = scan.spent >= enough && nearest->empty == 0;
                if (enough_read) {
                    break;
                }
                status = visit(&scan, first + i, place);
            }
        }
        if (status < 0) {
            return status;
        }
    }
    return BW_OK;
}
