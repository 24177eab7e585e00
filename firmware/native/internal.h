/* What the core's files share and nobody else needs. */
#ifndef BITWREN_INTERNAL_H
#define BITWREN_INTERNAL_H

#include "bitwren.h"

enum {
    BW_FIELDS = 288,          /* page 0: where the fields of the kind of file begin */
    BW_FOLD = 320,            /* .bwe: the fold table, one byte for each code point ... */
    BW_FOLD_FIRST = 0xA0,     /* ... from here ... */
    BW_FOLD_LAST = 0x17F,     /* ... to here */
    BW_SEED = 544,            /* .bwe: the projection's seed, after the fold table */
    BW_MAX_PROJECTED = 512,   /* components of an embedding that is projected */
    BW_BUCKET = 16,           /* pieces of a vocabulary bucket */
    BW_LANES = 32,            /* documents of a code block */
    BW_RESIDUAL = 1,          /* a table's layout; 0 is flat ... */
    BW_ROWS = 2,              /* ... and this one the last */
    BW_MAX_SLOTS = 0x3FFFFF,
    BW_LAYER = 32,            /* bytes of a layer's record */
    BW_MAX_RESIDUAL = 512,    /* bits of a code in layout 1, whose weights are fields of ten bits */
    BW_TILE = 64,             /* outputs of a layer that are computed together ... */
    BW_CHUNK = 384,           /* ... and inputs at a time that they are computed from */
    BW_MAX_GAIN = 759250125,  /* of 512 dimensions; of 32 it is BW_MIN_GAIN */
    BW_MIN_GAIN = 189812531,
    BW_NO_TOKEN = 0x10000     /* no id: the text has ended */
};

/* An aligned word, or half of one, of whatever it is that lies there. */
typedef uint32_t __attribute__((may_alias)) bw_word;
typedef uint16_t __attribute__((may_alias)) bw_half;

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

/* log2 of the width of a code, 6 to 10; 0 of what is none. */
uint32_t bw_log2(uint32_t bits);

/* The sections of a table that have these tags, into as many that follow one another. Returns 0 or an error, BW_ERR_FORMAT where one
 * is missing. */
int bw_find_sections(bw_source *source, const char *wanted, bw_section *section);

/* How many slots a table, whose width is one, and what is added to it may have: slot and distance are one key of 32 bits. */
static inline uint32_t bw_most_slots(uint32_t bits) {
    return BW_MAX_SLOTS >> bits / BW_MAX_BITS;
}

/* The nearest documents so far (nearest.c). */
typedef struct bw_nearest {
    uint32_t *keys; /* the farthest first */
    uint32_t wanted, empty, shift;
} bw_nearest;

#define BW_NOBODY UINT32_MAX

/* Begin with none of `wanted` (1 or more), for hits that long and codes of 2^planes bits. */
void bw_start_nearest(bw_nearest *nearest, bw_hit *hits, uint32_t wanted, uint32_t planes);

/* The distance of the farthest one, above all that there are while there is room. */
static inline uint32_t bw_farthest(const bw_nearest *nearest) {
    return nearest->keys[0] >> nearest->shift;
}

void bw_replace_farthest(bw_nearest *nearest, uint32_t key);

/* Take a document, in the place of the farthest if that comes after it. */
static inline void bw_take(bw_nearest *nearest, uint32_t distance, uint32_t slot) {
    uint32_t key = distance << nearest->shift | slot;
    if (key < nearest->keys[0]) {
        bw_replace_farthest(nearest, key);
    }
}

/* Turn them into hits, ascending. Returns how many. */
int bw_finish_nearest(bw_nearest *nearest);

/* bw_search_effort over the blocks of a table of layout 1 (residual.c). Returns 0 or an error. */
int bw_search_residual(bw_source *source, const bw_table *table, const bw_changes *changes, const uint32_t *code,
                       bw_nearest *nearest, uint32_t effort, uint8_t *work);

/* Live words from word `first` on, up to BW_LANES of them: the changes' or the file's, as bw_fetch gives them. */
const uint32_t *bw_live_words(bw_source *source, const bw_table *table, const bw_changes *changes, uint32_t first,
                              uint32_t words, uint32_t *scratch);

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

/* A part of a file, and where it is if it lies together in memory. */
typedef struct bw_region {
    const uint8_t *memory; /* or NULL */
    uint32_t offset;
} bw_region;

/* Text being split into tokens. */
typedef struct bw_tokenizer {
    bw_text text;
    bw_pieces lists[2];       /* starts, continuations */
    bw_region offsets, pool;  /* the buckets' offsets, the buckets */
    uint32_t pool_size;
    uint32_t list;            /* the one that the word's next piece comes from */
    uint32_t length, position;
    uint8_t word[BW_MAX_WORD];
} bw_tokenizer;

/* Begin with a text. Returns 0 or an error. */
int bw_start_tokens(bw_tokenizer *tokenizer, bw_source *source, const bw_encoder *encoder, const uint8_t *text,
                    uint32_t length);

/* The next token id (below encoder->pieces), BW_NO_TOKEN at the end of the text, or an error. */
int bw_next_token(bw_tokenizer *tokenizer);

/* Up to BW_CHUNK inputs of a layer, a multiple of four and 4-byte aligned, to what bw_multiply takes. */
void bw_pack(const int8_t *input, uint32_t count, uint32_t *packed);

/* Add to each of `sums` the products of its row of int8 weights with the packed inputs, for rows of `count` one after another. */
void bw_multiply(const bw_word *weights, const uint32_t *packed, uint32_t count, uint32_t *sums, uint32_t rows);

/* A tile of a layer's outputs: biases, multipliers and shifts are fetched once a tile, so that the window of a streamed
 * source mostly runs on through the weights. */
typedef struct bw_tile {
    uint32_t sums[BW_TILE]; /* of int32: a hostile bias may overflow */
    uint8_t shifts[BW_TILE];
    uint32_t scratch[BW_MIN_WINDOW / 4];
    uint32_t packed[1 + BW_CHUNK / 4 * 3];
} bw_tile;

/* Add a row of `words` words, in fields of 2, 4 or 8 bits, times a scale, to sums of 16 bits: two in each of 16 / bits words a word. */
void bw_add_fields(uint32_t *lanes, const bw_word *row, uint32_t words, uint32_t bits, uint32_t scale);

/* The signs of the projection of an embedding, less a centre or (without one) an origin, as a code. `inputs` and `sums` have room for
 * BW_MAX_PROJECTED. */
void bw_project(const int8_t *embedding, uint32_t units, const int8_t *centre, int32_t origin, const bw_encoder *encoder,
                int16_t *inputs, int32_t *sums, uint32_t *code);

/* The caller's work memory. While rows are summed, the second vector is the scratch to fetch them into. */
typedef struct bw_work {
    union {
        int32_t sums[BW_MAX_DIMS];
        bw_tile tile;
    } a;
    union {
        int8_t vectors[2][BW_MAX_UNITS];
        int16_t centred[2][BW_MAX_PROJECTED]; /* in the vector's place that is not in use */
        uint32_t lanes[BW_MAX_DIMS / 2];
    } b;
} bw_work;

typedef char bw_work_fits[sizeof(bw_work) == BW_ENCODE_WORK ? 1 : -1];

/* How many bytes from `offset` on lie together in memory, and where; 0 for what a streamed source would have to read. */
uint32_t bw_span(bw_source *source, uint32_t offset, const uint8_t **at);

/* 32 counters, one a lane. Bit j of a lane's count is its bit in low[j] while j < 5; the word above those is
 * high[BW_HIGH - (planes - 5)] and the topmost high[BW_HIGH - 1], whatever the width. */
enum { BW_LOW = 5, BW_HIGH = 5 };

typedef struct bw_counters {
    uint32_t high[BW_HIGH], low[BW_LOW];
} bw_counters;

/* A scan of flat blocks. scan_thumb.S knows these offsets: words 0-9, 10-19, 20, then 21 on. */
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

/* A word of all ones or zeros for each bit of a code, up to `end`. */
void bw_spread(const uint32_t *code, uint32_t *masks, const uint32_t *end);

/* Scan blocks until one has a live lane whose count does not overflow. Returns how many were passed before it. */
uint32_t bw_scan_blocks(const uint32_t *planes, uint32_t blocks, bw_scan *scan);

/* The count of a lane of the block that was stopped at, with one more bit on top where it has overflowed. */
#ifdef __thumb__
uint32_t bw_count_of(const bw_scan *scan, uint32_t lane);
#else
static inline uint32_t bw_count_of(const bw_scan *scan, uint32_t lane) {
    const uint32_t *high = scan->count.high, *low = scan->count.low;
    uint32_t value = scan->over >> lane & 1;
    for (uint32_t i = BW_HIGH; i > scan->idle;) {
        value = value << 1 | (high[--i] >> lane & 1);
    }
    for (uint32_t i = BW_LOW; i > 0;) {
        value = value << 1 | (low[--i] >> lane & 1);
    }
    return value;
}
#endif

#ifdef __thumb__
/* The same by scan->code where there is any. Bit j of a count is then its complement where scan->flips has a 1. */
uint32_t bw_scan_compiled(const uint32_t *planes, uint32_t blocks, bw_scan *scan);

/* Make code for a query: BW_SEARCH_CODE(bits) bytes at `to`, which must be executable. Returns scan->flips. */
uint32_t bw_compile_query(const uint32_t *code, uint32_t bits, uint32_t idle, uint16_t *to);
#endif


/* Residual blocks, of one or two words a plane. What counts their planes: scan.c, and scan_thumb.S, which knows the offsets. */
enum {
    BW_GROUPS = 2,
    BW_PLANES = 8, /* planes that are counted together, between two looks at whether a lane is left */
    BW_BUFFER = BW_PLANES * BW_GROUPS,
    BW_COUNTERS = 10, /* planes of a counter, at most: 512 bits */
    BW_FOURS = 3      /* of them, what eight planes are added to before a carry ripples on */
};

typedef struct bw_lanes {
    uint32_t counter[BW_COUNTERS]; /* it overflows when a lane has spent its budget */
    uint32_t dead;                 /* lanes that have */
    uint32_t odd;                  /* what halving the budget left */
} bw_lanes;

typedef struct bw_tally {
    bw_lanes lanes[BW_GROUPS];
    uint32_t buffer[BW_BUFFER];           /* planes not counted yet */
    uint32_t *to;                         /* where in it the next one goes */
    uint32_t counted;                     /* planes, in all */
    uint32_t groups;                      /* words of a plane */
    uint32_t ripples;                     /* counters in use beyond BW_FOURS: 1 or more */
    uint32_t flip;                        /* all ones: count zeros, the first BW_FOURS counters being complements */
    const uint8_t *places;                /* the byte at which a plane begins, by its bit in a mask times BW_DE_BRUIJN >> 27 */
} bw_tally;

#define BW_DE_BRUIJN 0x077CB531u

/* Count the planes that a mask names, as soon as eight are there. Returns whether a lane is left. */
uint32_t bw_count_planes(uint32_t mask, const uint32_t *planes, bw_tally *tally);

/* The number of ones of a XOR b, an even number of words and at most 32. */
uint32_t bw_distance(const uint32_t *a, const uint32_t *b, uint32_t words);

/* Where a processor has, or may have, an instruction that counts the ones of a word. */
#if defined __riscv_zbb || defined __POPCNT__ || defined __x86_64__
#define BW_POPCOUNT
#endif

/* Whether this one has it. Asking may take as long as a hundred rows. */
int bw_has_popcount(void);

/* Pass over rows, by that instruction, until one is nearer than `below`. Returns how many were passed. */
uint32_t bw_pass_rows(const uint32_t *rows, uint32_t count, const uint32_t *code, uint32_t words, uint32_t below);

/* What a table has for the stages after the Hamming search: its fields and sections (rank.c). */
typedef struct bw_stages {
    uint32_t vector_bits, units, weight; /* no vectors where the first is 0 */
    bw_section centre, vectors, words;   /* no words where the last is empty */
} bw_stages;

/* Documents' vectors and the query, less the table's centre (vectors.c). */
typedef struct bw_vectors {
    bw_source *source;
    uint32_t count, bits, words; /* slots that have one; of a component; in a row */
    uint32_t offset;
    uint32_t length, constant;   /* of the query; what every sum has too much of */
    uint8_t *work;
} bw_vectors;

/* Begin with a query. `work` holds it until the last similarity: BW_RANK_WORK bytes. Returns 0 or an error. */
int bw_open_vectors(bw_source *source, const bw_table *table, const bw_stages *stages, const int8_t *embedding, uint8_t *work,
                    bw_vectors *vectors);

/* The cosine of query and document, in 1/4096. Returns 0 or an error. */
int bw_similarity(const bw_vectors *vectors, uint32_t slot, int32_t *similarity);

/* Words of a part of a row, fields of so many bits, times the packed query's. */
uint32_t bw_add_products(const bw_word *row, const bw_word *end, const uint32_t *packed, uint32_t bits);

/* numerator / denominator; 2^bits - 1 when that is more. The denominator is 1 to 2^31. Few of these are needed for a query: they
 * are shifted, which costs ten instructions a bit. */
uint32_t bw_divide(uint32_t numerator, uint32_t denominator, uint32_t bits);

/* floor(sqrt(value)), a bit of the root a step. */
uint32_t bw_square_root(uint32_t value);

/* A term's list of documents. */
typedef struct bw_list {
    uint32_t next; /* where it goes on, in the file: a whole word; a bitmap's first byte */
    uint32_t bits; /* read and not decoded yet, inverted, below a 1 */
    int32_t slot;  /* of the next posting, decoded and not counted; of a bitmap: how many it has bits for */
    uint32_t left; /* postings, that one included */
    uint16_t rarity, parameter;
} bw_list;

/* Where a window's part of a bitmap is in memory. */
typedef struct bw_near {
    const uint8_t *at;
    uint32_t rarity;
} bw_near;

/* A table's word index and the terms of a query (lexical.c). */
typedef struct bw_words {
    bw_source *source;
    uint32_t count, hash_bits;           /* slots; of a bucket's number */
    uint32_t gains, groups, lists, size; /* where they are in the file; bytes of the lists */
    uint32_t total, bitmaps_total;       /* rarities of all terms, and of those with a bitmap */
    uint32_t terms, bitmaps;             /* with a list, and of those a bitmap */
    uint32_t window;                     /* slots that there are sums for: a multiple of 32 */
    bw_list *list;                       /* of each term */
    bw_word *sums;                       /* 16 bits each, two a word */
    uint32_t first;                      /* slot of the window */
    bw_near *near;                       /* of each bitmap, and up to which slot these may be asked */
    uint32_t near_end;
} bw_words;

/* Read and check the head of the index. Returns 0 or an error. */
int bw_open_words(bw_source *source, const bw_table *table, const bw_section *section, bw_words *words);

/* Find the lists of a text's terms, and let all sums be 0. `fold` is the encoder file's source. */
int bw_start_words(bw_words *words, bw_source *fold, const uint8_t *text, uint32_t length, uint8_t *work);

/* Add up the rarities of slots [first, end), at most words->window and later ones with each call, without the bitmaps'. */
int bw_add_window(bw_words *words, uint32_t first, uint32_t end);

/* A sum of a slot of the window, bitmaps included now, times its gain; 0 where that is not more than `least`; or an error. */
int bw_word_score(const bw_words *words, uint32_t slot, uint32_t sum, uint32_t gain, uint32_t least);

/* Sums that are not enough for the best, and so are passed over (postings.c; stages_thumb.S knows the offsets). */
typedef struct bw_passing {
    uint32_t added, tested;  /* of two sums in a word one may be enough if a tested bit is set when this is added ... */
    uint32_t bitmaps, least; /* ... and it is if its own, with all bitmaps, times its gain are more than the least */
    const uint8_t *gains;    /* from the first sum's slot on */
} bw_passing;

/* The first word with a sum that may be enough, or the end. What is before is 0 then. */
bw_word *bw_pass_sums(bw_word *sum, const bw_word *end, const bw_passing *passing);

/* A list being decoded (postings.c, stages_thumb.S, which knows the offsets of the first nine words). */
typedef struct bw_postings {
    uint32_t bits;
    const bw_word *at, *end; /* words in memory */
    int32_t place;           /* of the next posting: twice its slot less the window's end */
    uint32_t left, rarity, parameter;
    uint8_t *sums_end;
    int32_t most;            /* places from here on are past the last slot */
    bw_source *source;
    uint32_t next, end_of_lists; /* in the file: the word behind those in memory, and the end of all words */
    uint8_t scratch[4] __attribute__((aligned(4)));
} bw_postings;

/* Add the rarity to the sums of the postings that are in the window, and decode the one after them. Returns 0 or an error. */
int bw_add_postings(bw_postings *postings);

/* Words for `at` and `end`, which have met. Returns 0 or an error. */
int bw_more_postings(bw_postings *postings);

#endif
