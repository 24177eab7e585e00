/* Exact top-k over the residual layout: blocks of like documents, each stored as y = x XOR p, p the block's majority code.
 *
 * With q the query, e = q XOR p, D the ones of e and m those of y, either of these alone is the distance (docs/residual.md):
 *     D - m + 2 (ones of y where e is 0)        m - D + 2 (zeros of y where e is 1)
 * so a lane starts at |D - m|, only the planes on one side are read, and each one (or zero) found adds 2. */
#include "internal.h"

enum {
    COUNTERS = 10, /* planes of a lane's counter at 512 bits */
    GROUPS = 2,    /* words of a plane: 32 or 64 lanes */
    CHUNK = 8,     /* planes between two looks at whether a lane is left */
    RUN = 32,      /* blocks of which the nearest is remembered */
    BATCH = 1024,  /* blocks that are put in order together, a byte of work memory each: 65,536 documents */
    CLIPPED = 254,
    DONE = 255,
    WORDS = BW_MAX_BITS / 32,
    PIECE = 32, /* words of planes that are fetched together */
    HEAD = WORDS + (COUNTERS * GROUPS)
};

typedef struct lanes {
    uint32_t counter[COUNTERS]; /* 2^planes - 1 less what half the budget has left: it overflows when that is spent */
    uint32_t odd, dead;
} lanes;

typedef struct scan {
    bw_source *source;
    const bw_table *table;
    const bw_changes *changes;
    const uint32_t *code;
    bw_hit *hits; /* sorted by (distance, slot) */
    uint32_t wanted, found, limit;
    uint32_t words, groups, planes; /* planes of a counter: log2(bits) + 1 */
    uint32_t record, stride;        /* bytes of a pivot's record and of a block's body */
    uint32_t spent;                 /* bytes fetched */
    uint32_t flip;                  /* ~0 where zeros are counted */
    uint32_t waiting;               /* planes in the buffer */
    uint32_t buffer[CHUNK * GROUPS];
    uint32_t differs[WORDS], early[WORDS];
    lanes lanes[GROUPS];
    uint32_t scratch[HEAD];
} scan;

typedef char scratch_fits_pieces[HEAD >= PIECE && HEAD > WORDS ? 1 : -1];

static const uint32_t *fetch(scan *scan, uint32_t offset, uint32_t words, uint32_t ahead) {
    scan->spent += 4 * words;
    return (const uint32_t *)(const void *)bw_fetch(scan->source, offset, 4 * words, ahead, (uint8_t *)scan->scratch);
}

/* D, leaving e in `differs`. */
static uint32_t distance_to(scan *scan, const uint32_t *pivot) {
    return bw_distance(pivot, scan->code, scan->words, scan->differs);
}

static void insert(scan *scan, uint32_t distance, uint32_t slot) {
    bw_hit *hits = scan->hits;
    uint32_t at = scan->found;
    if (at == scan->wanted) {
        at--;
        if (distance > hits[at].distance || (distance == hits[at].distance && slot > hits[at].slot)) {
            return;
        }
    } else {
        scan->found++;
    }
    for (; at > 0 && (hits[at - 1].distance > distance ||
                      (hits[at - 1].distance == distance && hits[at - 1].slot > slot)); at--) {
        hits[at].distance = hits[at - 1].distance;
        hits[at].slot = hits[at - 1].slot;
    }
    hits[at].distance = distance;
    hits[at].slot = slot;
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

/* start + r, or start - r with `negate` all ones, r a lane's weight above the minimum: each plane to `sum` where there is one.
 * Returns the lanes where it is negative. Two's complement of planes + 2 bits holds whatever a file may say. */
static uint32_t budget(const scan *scan, const uint32_t *weights, uint32_t spread, uint32_t start, uint32_t negate, uint32_t *sum) {
    uint32_t carry = negate, s = 0;
    for (uint32_t j = 0; j < scan->planes + 2; j++) {
        uint32_t r = j < spread ? weights[j * scan->groups] ^ negate : negate;
        uint32_t a = 0u - (start >> j & 1), t = a ^ r;
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
    uint32_t left = scan->limit - away + least, right = scan->limit + away - least, alive = 0;
    for (uint32_t g = 0; g < scan->groups; g++) {
        uint32_t sum[COUNTERS + 2];
        lanes *lanes = &scan->lanes[g];
        const uint32_t *at = weights + g;
        if (scan->flip) {
            lanes->dead |= budget(scan, at, spread, right, ~0u, sum);
            lanes->dead |= (int32_t)left < 0 ? budget(scan, at, spread, left, 0, NULL) : 0;
        } else {
            lanes->dead |= budget(scan, at, spread, left, 0, sum);
            lanes->dead |= scan->limit + away < most ? budget(scan, at, spread, right, ~0u, NULL) : 0;
        }
        lanes->odd = sum[0];
        for (uint32_t j = 0; j < scan->planes; j++) {
            lanes->counter[j] = ~sum[j + 1];
        }
        alive |= ~lanes->dead;
    }
    return alive != 0;
}

/* Count the buffer's eight planes. Returns whether a lane is left. */
static int count_chunk(scan *scan) {
    uint32_t alive = 0;
    scan->waiting = 0;
    for (uint32_t g = 0; g < scan->groups; g++) {
        lanes *lanes = &scan->lanes[g];
        uint32_t *counter = lanes->counter;
        const uint32_t *from = scan->buffer + g;
        uint32_t step = scan->groups;
        uint32_t a = bw_add(&counter[0], from[0], from[step]);
        uint32_t b = bw_add(&counter[0], from[2 * step], from[3 * step]);
        uint32_t fours = bw_add(&counter[1], a, b);
        a = bw_add(&counter[0], from[4 * step], from[5 * step]);
        b = bw_add(&counter[0], from[6 * step], from[7 * step]);
        a = bw_add(&counter[1], a, b);
        uint32_t carry = bw_add(&counter[2], fours, a);
        for (uint32_t j = 3; j < scan->planes; j++) {
            uint32_t plane = counter[j];
            counter[j] = plane ^ carry;
            carry &= plane;
        }
        lanes->dead |= carry;
        alive |= ~lanes->dead;
    }
    return alive != 0;
}

/* Count the planes of a word's mask. Returns 1, 0 when no lane is left, or an error. */
static int count_planes(scan *scan, uint32_t mask, uint32_t at, uint32_t ahead) {
    uint32_t together = scan->groups == 1 ? 32 : 16; /* planes of a piece */
    for (; mask != 0; mask = together == 32 ? 0 : mask >> 16, at += 4 * PIECE, ahead -= 4 * PIECE) {
        uint32_t now = together == 32 ? mask : mask & 0xFFFF;
        if (now == 0) {
            continue;
        }
        const uint32_t *from = fetch(scan, at, PIECE, ahead);
        if (!from) {
            return BW_ERR_READ;
        }
        scan->spent -= 4 * PIECE; /* where memory is mapped only the planes themselves are read */
        for (; now != 0; now >>= 1, from += scan->groups) {
            if (now & 1) {
                uint32_t *to = scan->buffer + scan->waiting * scan->groups;
                to[0] = from[0] ^ scan->flip;
                if (scan->groups == 2) {
                    to[1] = from[1] ^ scan->flip;
                }
                scan->spent += 4 * scan->groups;
                if (++scan->waiting == CHUNK && !count_chunk(scan)) {
                    return 0;
                }
            }
        }
    }
    return 1;
}

/* All planes of the side, uneven ones first where ones are counted, last where zeros are. As count_planes. */
static int count_side(scan *scan, uint32_t at) {
    uint32_t word_bytes = 128 * scan->groups, total = scan->words * word_bytes;
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t word = 0; word < scan->words; word++) {
            uint32_t mask = (scan->differs[word] ^ ~scan->flip) & (pass ? ~scan->early[word] : scan->early[word]);
            int status = count_planes(scan, mask, at + word * word_bytes, total - word * word_bytes);
            if (status <= 0) {
                return status;
            }
        }
    }
    if (scan->waiting > 0) {
        for (uint32_t i = scan->waiting * scan->groups; i < CHUNK * scan->groups; i++) {
            scan->buffer[i] = 0;
        }
        return count_chunk(scan);
    }
    return 1;
}

static int insert_lanes(scan *scan, uint32_t slot) {
    for (uint32_t g = 0; g < scan->groups; g++, slot += BW_LANES) {
        const lanes *lanes = &scan->lanes[g];
        uint32_t alive = ~lanes->dead;
        for (uint32_t lane = 0; alive != 0; lane++, alive >>= 1) {
            if (alive & 1) {
                uint32_t left = 0;
                for (uint32_t j = 0; j < scan->planes; j++) {
                    left |= (~lanes->counter[j] >> lane & 1) << j;
                }
                uint32_t below = 2 * left + (lanes->odd >> lane & 1);
                if (below > scan->limit) {
                    return BW_ERR_FORMAT; /* the weights are not those of the planes */
                }
                insert(scan, scan->limit - below, slot + lane);
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
        scan->lanes[g].dead = ~word;
        any |= word;
    }
    return any != 0;
}

/* One block, `near` and `far` bounds of D from its key. */
static int visit(scan *scan, uint32_t block, uint32_t near, uint32_t far) {
    const bw_table *table = scan->table;
    uint32_t at = table->pivots.offset + block * scan->record, slot = block * table->lanes;
    const uint32_t *record = fetch(scan, at, 1, scan->record);
    if (!record) {
        return BW_ERR_READ;
    }
    uint32_t least = *record & 1023, most = *record >> 10 & 1023, mean = *record >> 20 & 1023, spread = 0;
    scan->limit = scan->found == scan->wanted ? scan->hits[scan->found - 1].distance : table->bits;
    if (least > most || most > table->bits || mean > table->bits) {
        return BW_ERR_FORMAT;
    }
    if (near > most + scan->limit || least > far + scan->limit) {
        return BW_OK;
    }
    for (uint32_t span = most - least; span > 0; span >>= 1) {
        spread++;
    }
    int status = spread > table->weight_planes ? BW_ERR_FORMAT : read_live(scan, slot);
    if (status <= 0) {
        return status;
    }
    const uint32_t *pivot = fetch(scan, at + 4, scan->words, scan->record - 4);
    if (!pivot) {
        return BW_ERR_READ;
    }
    uint32_t away = distance_to(scan, pivot);
    at = table->codes.offset + block * scan->stride;
    const uint32_t *head = fetch(scan, at, scan->words + spread * scan->groups, scan->stride);
    if (!head) {
        return BW_ERR_READ;
    }
    scan->flip = zeros_side(scan, away, mean) ? ~0u : 0;
    scan->waiting = 0;
    for (uint32_t i = 0; i < scan->words; i++) {
        scan->early[i] = head[i] ^ scan->flip;
    }
    if (!start_lanes(scan, head + scan->words, spread, away, least, most)) {
        return BW_OK;
    }
    status = count_side(scan, at + 4 * (scan->words + table->weight_planes * scan->groups));
    return status <= 0 ? status : insert_lanes(scan, slot);
}

/* Distances of a batch's pivots, halved at 512 bits and clipped, and the nearest of each run. */
static int read_keys(scan *scan, uint32_t first, uint32_t blocks, uint8_t *keys, uint8_t *nearest) {
    uint32_t at = scan->table->pivots.offset + first * scan->record;
    for (uint32_t i = 0; i < blocks; i++, at += scan->record) {
        const uint32_t *record = fetch(scan, at, scan->words + 1, (blocks - i) * scan->record);
        if (!record) {
            return BW_ERR_READ;
        }
        uint8_t key = (uint8_t)bw_min(distance_to(scan, record + 1) >> (scan->table->bits == 512), CLIPPED);
        keys[i] = key;
        if (i % RUN == 0 || key < nearest[i / RUN]) {
            nearest[i / RUN] = key;
        }
    }
    return BW_OK;
}

/* The block with the smallest key, the first of equals, and its key; it is done with. */
static uint32_t take_nearest(uint8_t *keys, uint8_t *nearest, uint32_t blocks, uint32_t *key) {
    uint32_t run = 0, index, rest = DONE;
    for (uint32_t i = 1; i * RUN < blocks; i++) {
        run = nearest[i] < nearest[run] ? i : run;
    }
    for (index = run * RUN; keys[index] != nearest[run]; index++) {
    }
    *key = keys[index];
    keys[index] = DONE;
    for (uint32_t i = run * RUN; i < bw_min(run * RUN + RUN, blocks); i++) {
        rest = bw_min(rest, keys[i]);
    }
    nearest[run] = (uint8_t)rest;
    return index;
}

/* effort percent of the codes' bytes, to a few in a thousand, without a division. */
static uint32_t allowance(uint32_t bytes, uint32_t effort) {
    return effort < 100 ? (bytes >> 8) * (41 * effort) >> 4 : UINT32_MAX;
}

int bw_search_residual(bw_source *source, const bw_table *table, const bw_changes *changes, const uint32_t *code, uint32_t k,
                       uint32_t effort, bw_hit *hits, uint8_t *work) {
    uint8_t *keys = work, *nearest = work + BATCH;
    scan scan;
    uint32_t blocks = (table->count + table->lanes - 1) >> (table->lanes == 64 ? 6 : 5);
    scan.source = source;
    scan.table = table;
    scan.changes = changes;
    scan.code = code;
    scan.hits = hits;
    scan.wanted = bw_min(k, table->count);
    scan.found = scan.spent = 0;
    scan.words = table->bits / 32;
    scan.groups = table->lanes / BW_LANES;
    scan.planes = bw_log2(table->bits) + 1;
    scan.record = 4 * (scan.words + 1);
    scan.stride = bw_residual_stride(table);
    for (uint32_t first = 0; first < blocks; first += BATCH) {
        uint32_t here = bw_min(blocks - first, BATCH);
        uint32_t enough = allowance((first + here) * table->lanes * (table->bits / 8), effort); /* each batch has its share */
        int status = read_keys(&scan, first, here, keys, nearest);
        for (uint32_t i = 0; i < here && status >= 0; i++) {
            if (scan.spent >= enough && scan.found == scan.wanted) {
                break;
            }
            uint32_t key, index = take_nearest(keys, nearest, here, &key), halved = table->bits == 512;
            status = visit(&scan, first + index, key << halved, key == CLIPPED ? table->bits : (key << halved) + halved);
        }
        if (status < 0) {
            return status;
        }
    }
    return (int)scan.found;
}
