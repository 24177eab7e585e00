/* Documents' vectors at 2, 4 or 8 bits a component against an int8 query: cosines in units of 1/4096. docs/format.md, "Scores".
 *
 * A row's fields stay unsigned, and the query becomes magnitudes: where it is negative, an XOR turns the field round. So nothing
 * is negative, and what that adds to a row's sum depends on the query alone. With fields of 2 or 4 bits, one multiplication makes
 * two products, as in products.c: (a + b 2^16) (y + x 2^16) has a x + b y in its upper half. */
#include "internal.h"

enum { HEAD = 4, ROUNDED = 6, COSINE_BITS = 19, CHUNK = BW_MIN_WINDOW / 4 };

/* In the caller's work memory. The query: for each word of a row all ones in the fields of negative components, then multipliers,
 * one for two fields each, or for one of 8 bits. */
typedef struct packed_query {
    uint32_t words[BW_MAX_UNITS / 4 * 5];
    uint32_t scratch[CHUNK];
} packed_query;

typedef char packed_query_fits[sizeof(packed_query) <= BW_RANK_WORK ? 1 : -1];

/* Take up the query's components of one word of a row. Returns their squares' sum. */
static uint32_t pack_word(const bw_vectors *vectors, const int8_t *embedding, const int8_t *centre, uint32_t *packed,
                          uint32_t *constant) {
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
            packed[1 + i] = magnitude;
        } else if (at < 16) {
            packed[1 + i] = magnitude << 16;
        } else {
            packed[bits == 2 ? i - 7 : i - 3] |= magnitude;
        }
    }
    packed[0] = flip;
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
        squares += pack_word(vectors, embedding + unit, (const int8_t *)centre, packed->words + word * (1 + pairs),
                             &vectors->constant);
    }
    vectors->length = bw_square_root(squares);
    return BW_OK;
}

#ifndef __thumb__ /* for Arm it is in stages_thumb.S */

uint32_t bw_add_products(const bw_word *row, const bw_word *end, const uint32_t *packed, uint32_t bits) {
    uint32_t fields = bits == 8 ? 0xFF : ((1u << bits) - 1) * 0x00010001, sum = 0;
    while (row < end) {
        uint32_t rest = *row++ ^ *packed++, added = 0;
        const uint32_t *past = packed + (bits == 2 ? 8 : 4);
        do {
            added += (rest & fields) * *packed++;
            rest >>= bits;
        } while (packed < past);
        sum += bits == 8 ? added : added >> 16;
    }
    return sum;
}

#endif

int bw_similarity(const bw_vectors *vectors, uint32_t slot, int32_t *similarity) {
    packed_query *packed = (packed_query *)(void *)vectors->work;
    uint32_t bits = vectors->bits, each = bits == 2 ? 9 : 5, sum = 0, words;
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
        const bw_word *first = (const void *)row;
        sum += bw_add_products(first, first + words, packed->words + each * word, bits);
    }
    int32_t dot = (int32_t)((bits == 2 ? 2 * sum : sum) - vectors->constant);
    uint32_t magnitude = (uint32_t)(dot < 0 ? -dot : dot);
    magnitude = vectors->length ? bw_divide(magnitude * scale, vectors->length, COSINE_BITS) >> ROUNDED : 0;
    *similarity = dot < 0 ? -(int32_t)magnitude : (int32_t)magnitude;
    return BW_OK;
}
