/* Documents' vectors at 2, 4 or 8 bits a component against an int8 query: cosines in units of 1/4096. docs/format.md, "Scores".
 *
 * A row's fields stay unsigned, and the query becomes magnitudes: where it is negative, an XOR turns the field round. So nothing
 * is negative, and what that adds to a row's sum depends on the query alone. With fields of 2 or 4 bits, one multiplication makes
 * two products, as in products.c: (a + b 2^16) (y + x 2^16) has a x + b y in its upper half. */
#include "internal.h"

enum { HEAD = 4, ROUNDED = 6, COSINE_BITS = 19, CHUNK = BW_MIN_WINDOW / 4 };

/* The caller's work memory. */
typedef struct packed_query {
    uint32_t multipliers[BW_MAX_UNITS];  /* of two fields each; of one, where it has 8 bits */
    uint32_t flips[BW_MAX_UNITS / 4];    /* all ones in the fields of negative components */
    uint32_t scratch[CHUNK];
} packed_query;

typedef char packed_query_fits[sizeof(packed_query) <= BW_RANK_WORK ? 1 : -1];

/* Take up the query's components of one word of a row. Returns their squares' sum. */
static uint32_t pack_word(const bw_vectors *vectors, const int8_t *embedding, const int8_t *centre, uint32_t *multipliers,
                          uint32_t *flips, uint32_t *constant) {
    uint32_t bits = vectors->bits, squares = 0, flip = 0;
    for (uint32_t i = 0, at = 0; at < 32; i++, at += bits) {
        int32_t value = embedding[i] - centre[i];
        uint32_t magnitude = (uint32_t)(value < 0 ? -value : value), zero = bits == 2 ? 3 : 1u << (bits - 1);
        if (value < 0) {
            flip |= ((1u << bits) - 1) << at;
            zero -= bits != 2; /* a field f stands for f - zero, and turned round for zero - 1 - f; of two bits for 2 f - 3 */
        }
        *constant += magnitude * zero;
        squares += magnitude * magnitude;
        if (bits == 8) {
            multipliers[i] = magnitude;
        } else if (at < 16) {
            multipliers[i] = magnitude << 16;
        } else {
            multipliers[bits == 2 ? i - 8 : i - 4] |= magnitude;
        }
    }
    *flips = flip;
    return squares;
}

int bw_open_vectors(bw_source *source, const bw_table *table, const bw_stages *stages, const int8_t *embedding, uint8_t *work,
                    bw_vectors *vectors) {
    uint32_t bits = stages->vector_bits, units = stages->units, squares = 0, scratch[4];
    packed_query *packed = (packed_query *)(void *)work;
    vectors->source = source;
    vectors->bits = bits;
    vectors->offset = stages->vectors.offset;
    vectors->words = units * bits / 32;
    vectors->work = work;
    vectors->constant = 0;
    if ((bits != 2 && bits != 4 && bits != 8) || units == 0 || units > BW_MAX_UNITS || units * bits % 32 != 0 ||
        stages->centre.length != units) {
        return BW_ERR_FORMAT;
    }
    uint32_t stride = HEAD + 4 * vectors->words, length = stages->vectors.length;
    vectors->count = bw_divide(length, stride, 23);
    if (vectors->count * stride != length || vectors->count > table->count + table->staged) {
        return BW_ERR_FORMAT;
    }
    uint32_t each = bits == 8 ? 4 : bits == 4 ? 8 : 16, pairs = bits == 2 ? 8 : 4;
    for (uint32_t word = 0, unit = 0; word < vectors->words; word++, unit += each) {
        const uint8_t *centre =
            bw_fetch(source, stages->centre.offset + unit, each, units - unit, (uint8_t *)scratch);
        if (!centre) {
            return BW_ERR_READ;
        }
        squares += pack_word(vectors, embedding + unit, (const int8_t *)centre, packed->multipliers + word * pairs,
                             packed->flips + word, &vectors->constant);
    }
    vectors->length = bw_square_root(squares);
    return BW_OK;
}

/* Fields times multipliers, of a part of a row. */
static uint32_t products(const bw_word *row, uint32_t words, const uint32_t *flips, const uint32_t *multipliers, uint32_t bits) {
    uint32_t fields = bits == 8 ? 0xFF : ((1u << bits) - 1) * 0x00010001, down = bits == 8 ? 0 : 16, sum = 0;
    for (const bw_word *end = row + words; row < end;) {
        uint32_t rest = *row++ ^ *flips++, added = 0;
        for (uint32_t left = bits == 2 ? 2 : 1; left > 0; left--) {
            added += (rest & fields) * multipliers[0];
            rest >>= bits;
            added += (rest & fields) * multipliers[1];
            rest >>= bits;
            added += (rest & fields) * multipliers[2];
            rest >>= bits;
            added += (rest & fields) * multipliers[3];
            rest >>= bits;
            multipliers += 4;
        }
        sum += added >> down;
    }
    return sum;
}

int bw_similarity(const bw_vectors *vectors, uint32_t slot, int32_t *similarity) {
    packed_query *packed = (packed_query *)(void *)vectors->work;
    uint32_t bits = vectors->bits, each = bits == 2 ? 8 : 4, sum = 0, words;
    uint32_t at = vectors->offset + slot * (HEAD + 4 * vectors->words), left = HEAD + 4 * vectors->words;
    const uint8_t *head = bw_fetch(vectors->source, at, HEAD, left, (uint8_t *)packed->scratch);
    if (!head) {
        return BW_ERR_READ;
    }
    uint32_t scale = bw_load16(head);
    at += HEAD;
    for (uint32_t word = 0; word < vectors->words; word += words, at += 4 * words) {
        words = bw_min(vectors->words - word, CHUNK);
        left = 4 * (vectors->words - word);
        const uint8_t *row = bw_fetch(vectors->source, at, 4 * words, left, (uint8_t *)packed->scratch);
        if (!row) {
            return BW_ERR_READ;
        }
        sum += products((const void *)row, words, packed->flips + word, packed->multipliers + each * word, bits);
    }
    int32_t dot = (int32_t)((bits == 2 ? 2 * sum : sum) - vectors->constant);
    uint32_t magnitude = (uint32_t)(dot < 0 ? -dot : dot);
    magnitude = vectors->length ? bw_divide(magnitude * scale, vectors->length, COSINE_BITS) >> ROUNDED : 0;
    *similarity = dot < 0 ? -(int32_t)magnitude : (int32_t)magnitude;
    return BW_OK;
}
