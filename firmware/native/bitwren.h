/* The C core of bitwren: check, tokenize, encode, search. docs/format.md is the specification of every byte and every rounding.
 *
 * C99 without libc, floats, 64-bit division, static mutable state or initialised data: the same files become a MicroPython native module for
 * each architecture, a user C module, and the host's shared library. Memory comes from the caller. Every function that
 * reads a file treats it as hostile: what is out of bounds ends in a negative BW_ERR code, never in a stray access. */
#ifndef BITWREN_H
#define BITWREN_H

#include <stddef.h>
#include <stdint.h>

#ifndef BW_STAGES
#define BW_STAGES 1 /* 0: without bw_rank, and what is only there for it */
#endif

enum {
    BW_OK = 0,
    BW_ERR_READ = -1,      /* the source could not be read, or ends early */
    BW_ERR_MAGIC = -2,     /* not a file of this kind */
    BW_ERR_VERSION = -3,   /* a format version this core does not know */
    BW_ERR_CHECKSUM = -4,  /* a CRC-32 does not match: damaged or half-written */
    BW_ERR_FORMAT = -5,    /* a field is out of its range */
    BW_ERR_TEXT = -6,      /* text longer than BW_MAX_TEXT */
    BW_ERR_ARGUMENT = -7   /* k, a buffer's size or a section's tag is not usable */
};

enum {
    BW_PAGE = 4096,
    BW_MAX_TEXT = 4096,  /* bytes of a query; a longer one is refused */
    BW_MAX_DIMS = 512,
    BW_MAX_UNITS = 1024, /* inputs or outputs of a dense layer */
    BW_MAX_BITS = 1024,
    BW_MAX_CODE_BITS = 512, /* of a query that becomes code */
    BW_MAX_WORD = 48,
    BW_MAX_PIECE = 16,
    BW_MIN_WINDOW = 512  /* bytes of window a streamed source needs: no single fetch asks for more */
};

/* Where a file's bytes are. Exactly one of `base`, `extents` and `read` is set. */
typedef struct bw_source {
    const uint8_t *base;      /* all of it, in memory or mapped flash, 4-byte aligned */
    const uintptr_t *extents; /* mapped flash in pieces: pairs (file offset, address), multiples of 4, ascending from offset 0 */
    uint32_t extent_count, extent_hint; /* the hint (0 to begin) is the piece that served last: fetches mostly go on from there */
    int (*read)(void *context, uint32_t offset, uint8_t *to, uint32_t length); /* 0 when done */
    void *context;
    uint8_t *window; /* read's buffer, 4-byte aligned, BW_MIN_WINDOW bytes or more; its contents live between fetches */
    uint32_t window_size, window_start, window_length;
    uint32_t size; /* of the file */
} bw_source;

/* Bytes [offset, offset + length), valid until the next fetch from this source; NULL when they cannot be had.
 * length + offset % 4 <= BW_MIN_WINDOW. Copied to `scratch` (length bytes, 4-byte aligned) when they do not lie together in memory. `ahead` >= length says how many bytes from offset
 * on will be wanted soon: what a streamed source may read at once. Multiples of 4 come back 4-byte aligned. */
const uint8_t *bw_fetch(bw_source *source, uint32_t offset, uint32_t length, uint32_t ahead, uint8_t *scratch);

/* zlib's CRC-32 of a range, continuing `crc` (0 to begin). Returns 0 or BW_ERR_READ. */
int bw_crc32(bw_source *source, uint32_t offset, uint32_t length, uint32_t *crc);

typedef struct bw_section { uint32_t offset, length, crc; } bw_section;

/* Check page 0 (magic is "BWE1" or "BWT1"; CRC, version, size against source->size, sections in bounds). With `all`, check every section's CRC too. */
int bw_check(bw_source *source, const char *magic, int all);

typedef struct bw_encoder {
    uint32_t dims, row_bits, pieces, gain, bits, layers;
    bw_section vocabulary, rows, scales, head; /* in a row, as check.c looks for them */
    uint32_t seed;  /* of the projection that makes bits of the embedding; 0: the last layer's signs are the code */
    uint32_t units; /* components of an embedding: the last layer's outputs with a projection, else its inputs */
} bw_encoder;

/* Read the fields of a checked encoder file and check their ranges (not the CRCs: see bw_check). */
int bw_open_encoder(bw_source *source, bw_encoder *encoder);

/* Token ids of UTF-8 text, the first `capacity` of them stored. Returns how many there are in all, or an error. */
int bw_tokens(bw_source *source, const bw_encoder *encoder, const uint8_t *text, uint32_t length, uint16_t *ids, uint32_t capacity);

/* Bytes of work memory bw_encode needs, 4-byte aligned: sums, vector, hidden layers. */
#define BW_ENCODE_WORK (4 * BW_MAX_DIMS + 2 * BW_MAX_UNITS)

/* The code of UTF-8 text: encoder->bits / 32 words. Returns the number of tokens (0: no words in it, the code is that of the zero vector), or an error.
 * centre: what a projection is centred on, encoder->units bytes; NULL: the embedding that stands for zero. embedding: gets the
 * encoder->units bytes that the last step is given, or NULL. */
int bw_encode(bw_source *source, const bw_encoder *encoder, const uint8_t *text, uint32_t length, const int8_t *centre,
              int8_t *embedding, uint32_t *code, uint8_t *work);

/* The int8 vector the head takes (dims bytes), for tests. Returns the number of tokens or an error. */
int bw_vector(bw_source *source, const bw_encoder *encoder, const uint8_t *text, uint32_t length, int8_t *vector, uint8_t *work);

typedef struct bw_table {
    uint32_t count, bits, layout;
    bw_section codes, live, offsets, documents; /* in a row, as check.c looks for them */
    uint32_t lanes, weight_planes; /* layout 1 (residual): documents of a block, planes that each has for its weights */
    bw_section pivots;
    uint32_t staged; /* slots after the first `count`, whose codes lie in `rows` one after the other */
    bw_section rows;
} bw_table;

int bw_open_table(bw_source *source, bw_table *table);

/* What has changed since a table was written: documents added, which have the slots after the file's, and deleted. */
typedef struct bw_changes {
    const uint32_t *live; /* a word for every 32 slots, in place of LIVE; NULL: LIVE is right, and all that were added are live */
    uint32_t live_size;   /* bytes: those of all slots, or more */
    const uint32_t *rows; /* codes of what was added, as in STAG */
    uint32_t rows_size;   /* bytes */
} bw_changes;

typedef struct bw_hit { uint32_t distance, slot; } bw_hit;

/* Bytes of work memory bw_search needs, 4-byte aligned: a word for each bit of the query (of a residual table, what remembers
 * which blocks are near, which is less). Not on the stack, of which MicroPython on a Pico has 8 KB. */
#define BW_SEARCH_WORK (4 * BW_MAX_BITS)

/* Bytes of executable memory, 2-byte aligned, that the query becomes code in. Only Arm chips have a use for it, only
 * for flat tables of at most BW_MAX_CODE_BITS. */
#define BW_SEARCH_CODE(bits) ((bits) / 2 * 25)

/* The min(k, live) nearest live slots of a table with changes, ascending by (distance, slot). Returns how many, or an error.
 * k >= 1. Exact, but for the blocks of a residual table with an `effort` below 100: of their bytes about that percentage (1 to 100) is
 * read, or more until k hits are found. `executable`: BW_SEARCH_CODE(table->bits) bytes that this processor can run and fetches
 * without a cache, or NULL. */
int bw_search_effort(bw_source *source, const bw_table *table, const bw_changes *changes, const uint32_t *code, uint32_t k,
                     uint32_t effort, bw_hit *hits, uint8_t *work, uint16_t *executable);

/* The same of a table as it is, exactly. */
static inline int bw_search(bw_source *source, const bw_table *table, const uint32_t *code, uint32_t k, bw_hit *hits,
                            uint8_t *work) {
    bw_changes none; /* field by field: an initializer becomes a call of memset on some chips */
    none.live = none.rows = NULL;
    none.live_size = none.rows_size = 0;
    return bw_search_effort(source, table, &none, code, k, 100, hits, work, NULL);
}

/* A query as the stages after the Hamming search take it. */
typedef struct bw_question {
    const uint32_t *code;
    const int8_t *embedding; /* as bw_encode gave it; NULL: no vectors can be asked */
    uint32_t units;          /* of it */
    const uint8_t *text;     /* UTF-8, for the words */
    uint32_t length;
    bw_source *fold;         /* the encoder's file, whose fold table the text is read with */
    const bw_hit *hits;      /* what the Hamming search found */
    uint32_t found;
} bw_question;

typedef struct bw_result { int32_t score; uint32_t distance, slot; } bw_result;

enum {
    BW_DEPTH = 64,    /* candidates by words; by Hamming distance there should be as many, or k where that is more */
    BW_BY_VECTORS = 1,
    BW_BY_WORDS = 2
};

/* Bytes of work memory bw_rank needs, 4-byte aligned: lists of 128 terms and sums of a window of slots; after those the query's
 * components, two a word or one, and a part of a row. */
#define BW_RANK_WORK 6144

/* Rank the hits, and the BW_DEPTH documents that are best by words, by one score: of `stages` (BW_BY_...) those that the table has.
 * `ranked` has room for found + BW_DEPTH; the first min(k, candidates) of them are the answer, by descending score, then slot.
 * changes->live as in bw_search_effort; what was added has neither vector nor words. Returns how many, or an error. */
int bw_rank(bw_source *source, const bw_table *table, const bw_changes *changes, const bw_question *question, uint32_t k,
            uint32_t stages, bw_result *ranked, uint8_t *work);

/* Where slot's record (of those in the file) lies in it (offset and length of the whole record), checked against DOCS. Returns 0
 * or an error. */
int bw_record(bw_source *source, const bw_table *table, uint32_t slot, uint32_t *offset, uint32_t *length);

#endif
