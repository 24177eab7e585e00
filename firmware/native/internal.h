/* What the core's files share and nobody else needs. */
#ifndef BITWREN_INTERNAL_H
#define BITWREN_INTERNAL_H

#include "bitwren.h"

enum {
    BW_FIELDS = 288,          /* page 0: where the fields of the kind of file begin */
    BW_FOLD = 320,            /* .bwe: the fold table, one byte for each code point ... */
    BW_FOLD_FIRST = 0xA0,     /* ... from here ... */
    BW_FOLD_LAST = 0x17F,     /* ... to here */
    BW_BUCKET = 16,           /* pieces of a vocabulary bucket */
    BW_LANES = 32,            /* documents of a code block */
    BW_RESIDUAL = 1,          /* a table's layout; 0 is flat */
    BW_TILE = 64,             /* outputs of a layer that are computed together */
    BW_MAX_GAIN = 759250125,  /* of 512 dimensions; of 32 it is BW_MIN_GAIN */
    BW_MIN_GAIN = 189812531,
    BW_NO_TOKEN = 0x10000     /* no id: the text has ended */
};

/* Little-endian fields at any address. */
static inline uint32_t bw_load16(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}

static inline uint32_t bw_load32(const uint8_t *at) {
    return bw_load16(at) | bw_load16(at + 2) << 16;
}

static inline uint32_t bw_min(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static inline int32_t bw_clamp(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

/* Bytes of a block's body in the residual layout: the mask of uneven planes, weight planes, residual planes. */
static inline uint32_t bw_residual_stride(const bw_table *table) {
    return table->bits / 8 + (table->weight_planes + table->bits) * (table->lanes / 8);
}

/* bw_search_effort over a table of layout 1 (residual.c). */
int bw_search_residual(bw_source *source, const bw_table *table, const uint32_t *code, uint32_t k, uint32_t effort,
                       bw_hit *hits, uint8_t *work);

#define BW_INLINE static inline __attribute__((always_inline)) /* calls and spilled counters would double a plane's cost */

/* sum + a + b of each lane: the sum's bit stays, the carry is returned. Five two-operand instructions. */
BW_INLINE uint32_t bw_add(uint32_t *sum, uint32_t a, uint32_t b) {
    uint32_t s = *sum;
    a ^= b;
    b ^= s;
    s ^= a;
    a |= b;
    *sum = s;
    return a ^ s;
}

/* Text being split into words. */
typedef struct bw_text {
    bw_source *source; /* of the fold table */
    const uint8_t *bytes;
    uint32_t length, position;
} bw_text;

/* The next word, at most BW_MAX_WORD bytes. Returns its length, 0 at the end of the text, or an error. */
int bw_next_word(bw_text *text, uint8_t *word);

/* One of the two sorted lists of pieces. */
typedef struct bw_pieces {
    uint32_t count, buckets, first_id, first_bucket;
} bw_pieces;

/* Text being split into tokens. */
typedef struct bw_tokenizer {
    bw_text text;
    bw_pieces lists[2];       /* starts, continuations */
    uint32_t offsets;         /* file offset of the buckets' offsets */
    uint32_t pool, pool_size; /* file offset and bytes of the buckets */
    uint32_t list;            /* the one that the word's next piece comes from */
    uint32_t length, position;
    uint8_t word[BW_MAX_WORD];
} bw_tokenizer;

/* Begin with a text. Returns 0 or an error. */
int bw_start_tokens(bw_tokenizer *tokenizer, bw_source *source, const bw_encoder *encoder, const uint8_t *text,
                    uint32_t length);

/* The next token id (below encoder->pieces), BW_NO_TOKEN at the end of the text, or an error. */
int bw_next_token(bw_tokenizer *tokenizer);

/* A tile of a layer's outputs: biases, multipliers and shifts are fetched once a tile, so that the window of a streamed
 * source mostly runs on through the weights. */
typedef struct bw_tile {
    int32_t sums[BW_TILE];
    uint8_t shifts[BW_TILE];
    uint32_t scratch[BW_MIN_WINDOW / 4];
} bw_tile;

/* The caller's work memory. While rows are summed, the second vector is the scratch to fetch them into. */
typedef struct bw_work {
    union {
        int32_t sums[BW_MAX_DIMS];
        bw_tile tile;
    } a;
    int8_t vectors[2][BW_MAX_UNITS];
} bw_work;

typedef char bw_work_fits[sizeof(bw_work) == BW_ENCODE_WORK ? 1 : -1];

/* How many bytes from `offset` on lie together in memory, and where; 0 for what a streamed source would have to read. */
uint32_t bw_span(bw_source *source, uint32_t offset, const uint8_t **at);

/* 32 counters, one a lane. Bit j of a lane's count is its bit in low[j] while j < 5; the word above those is
 * high[BW_HIGH - (planes - 5)] and the topmost high[BW_HIGH - 1], whatever the width. */
enum { BW_LOW = 5, BW_HIGH = 4 };

typedef struct bw_counters {
    uint32_t low[BW_LOW], high[BW_HIGH];
} bw_counters;

/* A scan of flat blocks. scan_thumb.S knows these offsets: words 0-8, 9-17, 18, then 19 on. */
typedef struct bw_scan {
    bw_counters start; /* what every block's counters begin with: a count that overflows is of no interest */
    bw_counters count; /* of the block that was stopped at ... */
    uint32_t over;     /* ... and its lanes that are dead or have overflowed */
    uint32_t stride;   /* bytes from block to block */
    uint32_t idle;     /* words of `high` that are not in use */
    const uint32_t *masks, *masks_end; /* the query, a word of all ones or zeros a plane; a multiple of 32 planes */
    const uint32_t *live;              /* a word a block: its live lanes */
#ifdef __thumb__
    const void *code; /* what bw_compile_query made, its lowest address bit set, or NULL */
    uint32_t flips;   /* and what it returned, or 0 */
#endif
} bw_scan;

/* Scan blocks until one has a live lane whose count does not overflow. Returns how many were passed before it. */
uint32_t bw_scan_blocks(const uint32_t *planes, uint32_t blocks, bw_scan *scan);

#ifdef __thumb__
/* The same by scan->code where there is any. Bit j of a count is then its complement where scan->flips has a 1. */
uint32_t bw_scan_compiled(const uint32_t *planes, uint32_t blocks, bw_scan *scan);

/* Make code for a query: BW_SEARCH_CODE(bits) bytes at `to`, which must be executable. Returns scan->flips. */
uint32_t bw_compile_query(const uint32_t *code, uint32_t bits, uint32_t idle, uint16_t *to);
#endif

#endif
