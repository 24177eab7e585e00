/* Exact top-k over flat bit-sliced blocks and over rows. scan.c, scan_thumb.S and rows.c count; here is what is counted and what
 * becomes of it. Slots are scanned in ascending order, so that of equal distances the lowest slot comes first. */
#include "internal.h"

enum { WORD_BYTES = 4 * BW_LANES };

typedef struct search {
    bw_source *source;
    const bw_table *table;
    const bw_changes *changes;
    uint32_t slots;        /* all there are: the file's and what was added */
    uint32_t planes;       /* bits = 2^planes */
    bw_nearest nearest;
    uint32_t below;        /* a distance is of interest when it is below this; above bits: all are */
    bw_scan scan;
    uint32_t masks_bytes;
    const uint32_t *masks;
    const uint32_t *code;
    int popcount; /* what bw_has_popcount says */
} search;

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
    for (uint32_t lane = 0; lanes > 0; lane++, lanes >>= 1) {
        while ((lanes & 0xFF) == 0) { /* mostly there is one */
            lanes >>= 8;
            lane += 8;
        }
        if (lanes & 1) {
            uint32_t distance = (bw_count_of(&search->scan, lane) ^ flips) - start;
            if (distance < search->below) { /* else another lane has lowered it */
                bw_take(&search->nearest, distance, slot + lane);
                search->below = bw_farthest(&search->nearest);
            }
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
static __attribute__((noinline)) int scan_batch(search *search, uint32_t at, uint32_t ahead, const uint32_t *live,
                                                uint32_t blocks, uint32_t slot) {
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

/* Live words from word `first` on to slot `end`, copied since the next fetch may overwrite them. In a flat table's last block
 * the lanes from `end` on are not its own: their bits of LIVE are those of the first staged slots. */
static int read_live(search *search, uint32_t first, uint32_t end, uint32_t *live) {
    uint32_t words = (end + BW_LANES - 1) / BW_LANES - first;
    const uint32_t *from = bw_live_words(search->source, search->table, search->changes, first, words, live);
    if (!from) {
        return BW_ERR_READ;
    }
    for (uint32_t i = 0; i < words; i++) {
        live[i] = from[i];
    }
    if (end % BW_LANES != 0) {
        live[words - 1] &= (1u << end % BW_LANES) - 1;
    }
    return BW_OK;
}

/* Not inline: its stack is free again when the rows are scanned. */
static __attribute__((noinline)) int scan_flat(search *search) {
    uint32_t live[BW_LANES];
    const bw_table *table = search->table;
    uint32_t blocks = (table->count + BW_LANES - 1) / BW_LANES, stride = search->scan.stride;
    for (uint32_t block = 0; block < blocks && search->below > 0; block += BW_LANES) {
        uint32_t batch = bw_min(blocks - block, BW_LANES);
        int status = read_live(search, block, bw_min(table->count, BW_LANES * (block + batch)), live);
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

/* The rows of slots [slot, end), which begin at `at` in a source: the table's file, or what was added. */
static int scan_rows(search *search, bw_source *source, uint32_t at, uint32_t slot, uint32_t end) {
    uint32_t words[BW_LANES], scratch[BW_MAX_BITS / 32];
    const uint32_t *live = source != search->source && !search->changes->live ? NULL : words; /* NULL: all are */
    uint32_t shift = search->planes - 3, size = 1u << shift;
    while (slot < end && search->below > 0) {
        uint32_t first = slot / BW_LANES, stop = bw_min(end, BW_LANES * (first + BW_LANES));
        if (live && read_live(search, first, stop, words) < 0) {
            return BW_ERR_READ;
        }
        while (slot < stop) {
            const uint8_t *row;
            uint32_t run = bw_min(stop - slot, bw_span(source, at, &row) >> shift);
            if (run == 0) {
                run = 1;
                row = bw_fetch(source, at, size, (end - slot) << shift, (uint8_t *)scratch);
                if (!row) {
                    return BW_ERR_READ;
                }
            }
#ifdef BW_POPCOUNT
            if (search->popcount) {
                uint32_t passed = bw_pass_rows((const uint32_t *)(const void *)row, run, search->code, size / 4, search->below);
                slot += passed;
                at += passed << shift;
                row += passed << shift;
                run = passed < run; /* one that is near goes the slow way */
            }
#endif
            for (; run > 0; run--, slot++, at += size, row += size) {
                uint32_t distance = bw_distance((const uint32_t *)(const void *)row, search->code, size / 4);
                if (distance < search->below && (!live || live[slot / BW_LANES - first] >> slot % BW_LANES & 1)) {
                    bw_take(&search->nearest, distance, slot);
                    search->below = bw_farthest(&search->nearest);
                }
            }
        }
    }
    return BW_OK;
}

/* Everything, in the order of slots. The blocks of a residual table are not searched here. Not inline, as scan_flat. */
static __attribute__((noinline)) int scan_all(search *search) {
    const bw_table *table = search->table;
    bw_source added;
    uint32_t staged = table->count + table->staged;
    int status = BW_OK;
    if (table->layout == BW_ROWS) {
        status = scan_rows(search, search->source, table->codes.offset, 0, table->count);
    } else if (table->layout != BW_RESIDUAL) {
        status = scan_flat(search);
    }
    if (status == BW_OK) {
        status = scan_rows(search, search->source, table->rows.offset, table->count, staged);
    }
    if (status == BW_OK) {
        added.base = (const uint8_t *)search->changes->rows;
        added.size = search->changes->rows_size;
        status = scan_rows(search, &added, 0, staged, search->slots);
    }
    return status;
}

/* A word of all ones or zeros for each bit of the query: its planes. */
static __attribute__((noinline)) void set_masks(search *search, const uint32_t *code, uint32_t *masks) {
    uint32_t bytes = 4u << search->planes, *end = masks + bytes / 4;
    search->masks = search->scan.masks = masks;
    search->masks_bytes = search->scan.stride = bytes;
    search->scan.masks_end = end;
    bw_spread(code, masks, end);
    search->scan.idle = BW_LOW + BW_HIGH - search->planes;
    search->scan.over = 0;
    for (uint32_t i = 0; i < BW_HIGH; i++) {
        search->scan.start.high[i] = 0; /* those that idle stay so */
    }
}

int bw_search_effort(bw_source *source, const bw_table *table, const bw_changes *changes, const uint32_t *code, uint32_t k,
                     uint32_t effort, bw_hit *hits, uint8_t *work, uint16_t *executable) {
    search search;
    bw_nearest *nearest = &search.nearest;
    search.planes = bw_log2(table->bits);
    search.slots = table->count + table->staged + (changes->rows_size >> (search.planes - 3));
    if (k == 0 || effort == 0 || search.slots > bw_most_slots(table->bits) ||
        (changes->live && changes->live_size < (search.slots + BW_LANES - 1) / BW_LANES * 4)) {
        return BW_ERR_ARGUMENT;
    }
    int status = BW_OK;
    search.source = source;
    search.table = table;
    search.changes = changes;
    bw_start_nearest(nearest, hits, bw_min(k, search.slots), search.planes);
    search.code = code;
#ifdef BW_POPCOUNT
    search.popcount = (table->layout == BW_ROWS || search.slots > table->count) && bw_has_popcount();
#endif
    if (table->layout == BW_RESIDUAL) {
        status = bw_search_residual(source, table, changes, code, nearest, effort, work);
    } else {
        set_masks(&search, code, (uint32_t *)(void *)work);
        set_code(&search.scan, code, table->bits, table->layout == BW_ROWS || table->bits > BW_MAX_CODE_BITS ? NULL : executable);
    }
    search.below = bw_farthest(nearest); /* what has been found has lower slots than what is to come */
    status = status < 0 ? status : scan_all(&search);
    return status < 0 ? status : bw_finish_nearest(nearest);
}

const uint32_t *bw_live_words(bw_source *source, const bw_table *table, const bw_changes *changes, uint32_t first,
                              uint32_t words, uint32_t *scratch) {
    if (changes->live) {
        return changes->live + first;
    }
    const uint8_t *at = bw_fetch(source, table->live.offset + 4 * first, 4 * words, 4 * words, (uint8_t *)scratch);
    return (const uint32_t *)(const void *)at;
}
