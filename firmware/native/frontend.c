/* Text to the int8 vector that a head takes: the low-bit rows of its tokens, summed and rescaled in 32-bit integers. */
#include "internal.h"

enum { GAIN_SHIFT = 20, MANTISSA_BITS = 11 };

static void add_fields(int32_t *sums, const uint8_t *row, uint32_t row_bytes, uint32_t bits, int32_t scale) {
    uint32_t mask = (1u << bits) - 1;
    int32_t step = bits == 2 ? 2 * scale : scale;
    int32_t least = bits == 2 ? -3 * scale : -(scale << (bits - 1));
    for (const uint8_t *end = row + row_bytes; row < end; row++) {
        uint32_t fields = *row;
        for (uint32_t left = 8; left > 0; left -= bits) {
            *sums++ += (int32_t)(fields & mask) * step + least;
            fields >>= bits;
        }
    }
}

/* Add a token's row. 4096 tokens at most, so that no sum exceeds 4096 * 128 * 255 < 2^27. */
static int add_row(bw_source *source, const bw_encoder *encoder, uint32_t token, bw_work *work) {
    uint8_t *scratch = (uint8_t *)work->vectors[1];
    uint32_t row_bytes = encoder->dims / 8 * encoder->row_bits;
    const uint8_t *at = bw_fetch(source, encoder->scales.offset + token, 1, 1, scratch);
    if (!at) {
        return BW_ERR_READ;
    }
    int32_t scale = *at;
    at = bw_fetch(source, encoder->rows.offset + token * row_bytes, row_bytes, row_bytes, scratch);
    if (!at) {
        return BW_ERR_READ;
    }
    add_fields(work->a.sums, at, row_bytes, encoder->row_bits, scale);
    return BW_OK;
}

/* Returns the number of tokens or an error. */
static int pool(bw_source *source, const bw_encoder *encoder, const uint8_t *text, uint32_t length, bw_work *work) {
    bw_tokenizer tokenizer;
    int count = 0;
    for (uint32_t d = 0; d < encoder->dims; d++) {
        work->a.sums[d] = 0;
    }
    int status = bw_start_tokens(&tokenizer, source, encoder, text, length);
    while (status >= 0) {
        int token = bw_next_token(&tokenizer);
        if (token == BW_NO_TOKEN) {
            return count;
        }
        status = token < 0 ? token : add_row(source, encoder, (uint32_t)token, work);
        count++;
    }
    return status;
}

/* floor(sqrt(value)), a bit of the root a step. */
static uint32_t square_root(uint32_t value) {
    uint32_t root = 0;
    for (uint32_t bit = 1u << 30; bit > 0; bit >>= 2) {
        if (value >= root + bit) {
            value -= root + bit;
            root = (root >> 1) + bit;
        } else {
            root >>= 1;
        }
    }
    return root;
}

/* numerator / denominator, for a denominator of 1 to 2^31: once a query, so shifting costs less than a library division. */
static uint32_t divide(uint32_t numerator, uint32_t denominator) {
    uint32_t quotient = 0, rest = 0;
    for (int bit = 31; bit >= 0; bit--) {
        rest = rest << 1 | (numerator >> bit & 1);
        quotient <<= 1;
        if (rest >= denominator) {
            rest -= denominator;
            quotient |= 1;
        }
    }
    return quotient;
}

static int32_t largest_magnitude(const int32_t *values, uint32_t count) {
    int32_t largest = 0;
    for (uint32_t i = 0; i < count; i++) {
        int32_t magnitude = values[i] < 0 ? -values[i] : values[i];
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest;
}

/* Sums to the int8 vector, all in 32 bits: docs/format.md, "Rescaling". The sums become their 11-bit mantissas. */
static void rescale(int32_t *sums, uint32_t dims, uint32_t gain, int8_t *vector) {
    int32_t largest = largest_magnitude(sums, dims);
    int left = MANTISSA_BITS, right = 0;
    for (int32_t rest = largest; rest > 0; rest >>= 1) {
        if (left > 0) {
            left--;
        } else {
            right++;
        }
    }
    uint32_t squares = 0; /* 512 * 2048^2 = 2^31 at most */
    for (uint32_t d = 0; d < dims; d++) {
        sums[d] = (sums[d] * (1 << left)) >> right;
        squares += (uint32_t)(sums[d] * sums[d]);
    }
    /* The root is at least the largest mantissa, so mantissa * reciprocal stays below the gain, which is below 2^30. */
    int32_t reciprocal = largest > 0 ? (int32_t)divide(gain, square_root(squares)) : 0;
    for (uint32_t d = 0; d < dims; d++) {
        int32_t scaled = (sums[d] * reciprocal + (1 << (GAIN_SHIFT - 1))) >> GAIN_SHIFT;
        vector[d] = (int8_t)bw_clamp(scaled, -127, 127);
    }
}

int bw_vector(bw_source *source, const bw_encoder *encoder, const uint8_t *text, uint32_t length, int8_t *vector,
              uint8_t *memory) {
    bw_work *work = (bw_work *)(void *)memory;
    int count = pool(source, encoder, text, length, work);
    if (count >= 0) {
        rescale(work->a.sums, encoder->dims, encoder->gain, vector);
    }
    return count;
}
