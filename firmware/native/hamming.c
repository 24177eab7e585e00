/* Exact top-k over flat bit-sliced blocks. scan.c and scan_thumb.S count; here is what is counted and what becomes of it. */
#include "internal.h"

enum { WORD_BYTES = 4 * BW_LANES, SORT_MOST = 64 };

/* What a distance that comes up is for. Few hits are kept sorted. For many that would be quadratic, so a first pass counts
 * how often each distance occurs among the nearest, and a second one puts each hit where it belongs. */
enum purpose { SORT, COUNT, PLACE };

typedef struct search {
    bw_source *source;
    uint32_t planes;       /* bits = 2^planes */
    enum purpose purpose;
    bw_hit *hits;
    uint32_t wanted, found;
    uint32_t below;        /* a distance is of interest when it is below this; bits + 1: all are */
    uint32_t *occurrences; /* of each distance (COUNT), or where its next hit goes (PLACE) */
    bw_scan scan;
    uint32_t masks_bytes;
    const uint32_t *masks;
} search;

static void sort_in(search *search, uint32_t distance, uint32_t slot) {
    bw_hit *first = search->hits, *last = first + search->wanted - 1, *at = last;
    if (search->found < search->wanted) {
        at = first + search->found++;
    }
    for (; at > first && at[-1].distance > distance; at--) { /* not those equal: slots ascend, and the lowest goes first */
        at->distance = at[-1].distance;
        at->slot = at[-1].slot;
    }
    at->distance = distance;
    at->slot = slot;
    if (search->found == search->wanted) {
        search->below = last->distance;
    }
}

/* `found` counts what is below `below` or, once enough is known, at it. The farthest distance goes when the others suffice. */
static void count_in(search *search, uint32_t distance) {
    uint32_t *occurrences = search->occurrences;
    occurrences[distance]++;
    search->found++;
    if (search->found >= search->wanted) {
        uint32_t farthest = bw_min(search->below, 1u << search->planes);
        while (search->found - occurrences[farthest] >= search->wanted) {
            search->found -= occurrences[farthest];
            farthest--;
        }
        search->below = farthest;
    }
}

static void place(search *search, uint32_t distance, uint32_t slot) {
    uint32_t at = search->occurrences[distance]++;
    if (at < search->wanted) { /* else: of those that are farthest, the lowest slots have been */
        search->hits[at].distance = distance;
        search->hits[at].slot = slot;
        search->found++;
    }
}

static void take(search *search, uint32_t distance, uint32_t slot) {
    if (distance >= search->below) {
        return; /* another lane of the block has lowered it */
    }
    if (search->purpose == SORT) {
        sort_in(search, distance, slot);
    } else if (search->purpose == COUNT) {
        count_in(search, distance);
    } else {
        place(search, distance, slot);
    }
}

/* Let the counters start at 2^planes - T, T = below, so that an overflow means "not below T". Where everything is of
 * interest they start at 0, and what overflows is at the distance 2^planes. */
static uint32_t set_start(search *search) {
    uint32_t bits = 1u << search->planes, start = search->below > bits ? 0 : bits - search->below;
    uint32_t *low = search->scan.start.low, *high = search->scan.start.high;
    for (uint32_t j = 0; j < BW_LOW; j++) {
        low[j] = 0u - (start >> j & 1);
    }
    for (uint32_t j = BW_LOW, i = search->scan.idle; i < BW_HIGH; i++, j++) {
        high[i] = 0u - (start >> j & 1);
    }
    return start;
}

/* Take the distances of the lanes in `lanes` of the block that the scan has stopped at: counter - start, plus 2^planes where
 * the counter overflowed. `flips` are the counters' bits that are complements. */
static void take_lanes(search *search, uint32_t lanes, uint32_t flips, uint32_t start, uint32_t slot) {
    const uint32_t *low = search->scan.count.low, *high = search->scan.count.high;
    for (uint32_t lane = 0; lanes > 0; lane++, lanes >>= 1) {
        while ((lanes & 0xFF) == 0) { /* mostly there is one */
            lanes >>= 8;
            lane += 8;
        }
        if (lanes & 1) {
            uint32_t value = search->scan.over >> lane & 1;
            for (const uint32_t *plane = high + BW_HIGH, *end = high + search->scan.idle; plane > end;) {
                value = value << 1 | (*--plane >> lane & 1);
            }
            for (const uint32_t *plane = low + BW_LOW; plane > low;) {
                value = value << 1 | (*--plane >> lane & 1);
            }
            take(search, (value ^ flips) - start, slot + lane);
        }
    }
}

/* By hand: assigning a structure becomes a call of memcpy on some chips. */
static void copy_counters(bw_counters *to, const bw_counters *from) {
    for (uint32_t j = 0; j < BW_LOW; j++) {
        to->low[j] = from->low[j];
    }
    for (uint32_t i = 0; i < BW_HIGH; i++) {
        to->high[i] = from->high[i];
    }
}

/* A block that does not lie together in memory: counted in as few pieces as there are, a piece being whole words of the code.
 * Returns 1 when a lane is left, 0 when none is, or an error. */
static int scan_pieces(search *search, uint32_t at, uint32_t ahead, uint32_t live) {
    uint32_t scratch[BW_LANES];
    bw_scan *scan = &search->scan;
    const uint32_t *mask = search->masks, *end = search->masks + search->masks_bytes / 4;
    bw_counters start;
    uint32_t left = live, passed = 0;
    const uint32_t *live_words = scan->live;
    scan->live = &left;
    copy_counters(&start, &scan->start);
    while (mask != end && !passed) {
        const uint8_t *planes;
        uint32_t bytes = bw_span(search->source, at, &planes) & ~(uint32_t)(WORD_BYTES - 1);
        bytes = bw_min(bytes, (uint32_t)(end - mask) * 4);
        if (bytes == 0) {
            bytes = WORD_BYTES;
            planes = bw_fetch(search->source, at, bytes, ahead, (uint8_t *)scratch);
            if (!planes) {
                return BW_ERR_READ;
            }
        }
        scan->masks = mask;
        scan->masks_end = mask += bytes / 4;
        passed = bw_scan_blocks((const uint32_t *)(const void *)planes, 1, scan);
        if (!passed) {
            copy_counters(&scan->start, &scan->count);
            left &= ~scan->over;
        }
        at += bytes;
        ahead -= bytes;
    }
    copy_counters(&scan->start, &start);
    scan->live = live_words;
    scan->masks = search->masks;
    scan->masks_end = end;
    return !passed;
}

/* While everything is of interest a block whose live lanes have all overflowed is too: each is at the distance 2^planes. */
static void all_overflowed(bw_scan *scan) {
    for (uint32_t j = 0; j < BW_LOW; j++) {
        scan->count.low[j] = 0;
    }
    for (uint32_t i = 0; i < BW_HIGH; i++) {
        scan->count.high[i] = 0;
    }
    scan->over = UINT32_MAX;
}

/* Whole blocks are scanned by the query's own code, if it has any. */
#ifdef __thumb__
#define scan_whole bw_scan_compiled
#define flips_of(scan) (scan)->flips

static void set_code(bw_scan *scan, const uint32_t *code, uint32_t bits, uint16_t *executable) {
    scan->code = NULL;
    scan->flips = 0;
    if (executable) {
        scan->flips = bw_compile_query(code, bits, scan->idle, executable);
        scan->code = (const uint8_t *)executable + 1;
    }
}
#else
#define scan_whole bw_scan_blocks
#define flips_of(scan) 0
#define set_code(scan, code, bits, executable) ((void)(executable))
#endif

/* Blocks [0, blocks) of a batch, the first at file offset `at`; `ahead` bytes from there to the end of the last batch. */
static int scan_batch(search *search, uint32_t at, uint32_t ahead, const uint32_t *live, uint32_t blocks, uint32_t slot) {
    bw_scan *scan = &search->scan;
    uint32_t shift = search->planes + 2, all = 1u << search->planes; /* a block is 2^shift bytes: no division, which is a call */
    uint32_t below = search->below, start = set_start(search);
    for (uint32_t block = 0; block < blocks; block++) {
        const uint8_t *planes;
        uint32_t done = block << shift, together = bw_span(search->source, at + done, &planes) >> shift;
        uint32_t flips = 0;
        int left;
        scan->live = live + block;
        if (together > 0) {
            uint32_t run = below > all ? 1 : bw_min(together, blocks - block);
            uint32_t passed = scan_whole((const uint32_t *)(const void *)planes, run, scan);
            left = passed < run;
            flips = left ? flips_of(scan) : 0;
            block += left ? passed : run - 1;
        } else {
            left = scan_pieces(search, at + done, ahead - done, live[block]);
            if (left < 0) {
                return left;
            }
        }
        if (!left && below > all) {
            all_overflowed(scan);
            left = 1;
        }
        if (left) {
            take_lanes(search, below > all ? live[block] : live[block] & ~scan->over, flips, start, slot + BW_LANES * block);
            if (search->below == 0) {
                return BW_OK; /* nothing can be nearer */
            }
            if (search->below != below) {
                below = search->below;
                start = set_start(search);
            }
        }
    }
    return BW_OK;
}

/* Live words of the blocks from `first` on, copied since the next fetch may overwrite them. Lanes past the last slot are dead. */
static int read_live(bw_source *source, const bw_table *table, uint32_t first, uint32_t blocks, uint32_t *live) {
    const uint8_t *at = bw_fetch(source, table->live.offset + 4 * first, 4 * blocks, 4 * blocks, (uint8_t *)live);
    const uint32_t *words = (const uint32_t *)(const void *)at;
    if (!at) {
        return BW_ERR_READ;
    }
    for (uint32_t i = 0; i < blocks; i++) {
        live[i] = words[i];
    }
    uint32_t slots = table->count - BW_LANES * first;
    if (slots < BW_LANES * blocks) {
        live[blocks - 1] &= (1u << slots % BW_LANES) - 1;
    }
    return BW_OK;
}

static int scan_all(search *search, const bw_table *table) {
    uint32_t live[BW_LANES];
    uint32_t blocks = (table->count + BW_LANES - 1) / BW_LANES, stride = search->scan.stride;
    for (uint32_t block = 0; block < blocks && search->below > 0; block += BW_LANES) {
        uint32_t batch = bw_min(blocks - block, BW_LANES);
        int status = read_live(search->source, table, block, batch, live);
        if (status == BW_OK) {
            status = scan_batch(search, table->codes.offset + block * stride, (blocks - block) * stride, live, batch,
                                BW_LANES * block);
        }
        if (status < 0) {
            return status;
        }
    }
    return BW_OK;
}

/* Between the passes: from how often each distance occurs to where its first hit goes. */
static void set_places(search *search) {
    uint32_t place = 0, bits = 1u << search->planes;
    for (uint32_t distance = 0; distance <= bits; distance++) {
        uint32_t occurrences = search->occurrences[distance];
        search->occurrences[distance] = place;
        place += occurrences;
    }
    search->below = bw_min(search->below, bits) + 1;
    search->found = 0;
    search->purpose = PLACE;
}

static int search_flat(bw_source *source, const bw_table *table, const uint32_t *code, uint32_t k, bw_hit *hits,
                       uint8_t *work, uint16_t *executable) {
    search search;
    uint32_t *masks = (uint32_t *)(void *)work;
    uint32_t *mask = masks;
    for (uint32_t word = 0; word < table->bits / 32; word++) {
        uint32_t bits = code[word];
        for (uint32_t *end = mask + 32; mask < end; bits >>= 1) {
            *mask++ = 0u - (bits & 1);
        }
    }
    search.source = source;
    search.planes = table->bits == 64 ? 6 : table->bits == 128 ? 7 : table->bits == 256 ? 8 : 9;
    search.hits = hits;
    search.wanted = bw_min(k, table->count);
    search.found = 0;
    search.below = table->bits + 1;
    search.purpose = search.wanted <= SORT_MOST ? SORT : COUNT;
    search.occurrences = masks + BW_MAX_BITS;
    search.masks = search.scan.masks = masks;
    search.masks_bytes = search.scan.stride = 4 * table->bits;
    search.scan.masks_end = masks + table->bits;
    search.scan.idle = BW_LOW + BW_HIGH - search.planes;
    search.scan.over = 0;
    set_code(&search.scan, code, table->bits, executable);
    for (uint32_t i = 0; i < BW_HIGH; i++) {
        search.scan.start.high[i] = 0; /* those that idle stay so */
    }
    for (uint32_t distance = 0; search.purpose == COUNT && distance <= table->bits; distance++) {
        search.occurrences[distance] = 0;
    }
    int status = scan_all(&search, table);
    if (status == BW_OK && search.purpose == COUNT) {
        set_places(&search);
        status = scan_all(&search, table);
    }
    return status < 0 ? status : (int)search.found;
}

int bw_search_effort(bw_source *source, const bw_table *table, const uint32_t *code, uint32_t k, uint32_t effort,
                     bw_hit *hits, uint8_t *work, uint16_t *executable) {
    if (k == 0 || effort == 0) {
        return BW_ERR_ARGUMENT;
    }
    return table->layout == BW_RESIDUAL ? bw_search_residual(source, table, code, k, effort, hits, work)
                                        : search_flat(source, table, code, k, hits, work, executable);
}

int bw_search(bw_source *source, const bw_table *table, const uint32_t *code, uint32_t k, bw_hit *hits, uint8_t *work) {
    return bw_search_effort(source, table, code, k, 100, hits, work, NULL);
}
