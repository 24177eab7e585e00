/* Text to the int8 vector that a head takes: the low-bit rows of its tokens, summed and rescaled in 32-bit integers. */
#include "internal.h"

enum { GAIN_SHIFT = 20, MANTISSA_BITS = 11 };

/* Sums of rows so far, one a dimension. Rows are first added to `lanes` (bw_add_fields), those to the sums when they are full. */
typedef struct pooling {
    int32_t *sums;
    uint32_t *lanes;
    uint32_t dims, bits;
    uint32_t scales; /* of the rows in the lanes, summed */
} pooling;

/* Move the lanes into the sums; a field f stands for 2f - 3, f - 8 or f - 128. */
static void empty_lanes(pooling *pool) {
    uint32_t bits = pool->bits, apart = bits == 8 ? 2 : 16 >> bits / 2, doubled = bits == 2;
    uint32_t zero = pool->scales * (doubled ? 3 : 1u << (bits - 1)), *lane = pool->lanes;
    pool->scales = 0;
    for (int32_t *sums = pool->sums, *end = sums + pool->dims; sums < end; sums += apart) {
        int32_t *half = sums + apart;
        do {
            uint32_t two = *lane;
            *lane++ = 0;
            sums[apart] += (int32_t)((two >> 16 << doubled) - zero);
            *sums++ += (int32_t)(((two & 0xFFFF) << doubled) - zero);
        } while (sums < half);
    }
}

/* Add a token's row. 4096 tokens at most, so that no sum exceeds 4096 * 128 * 255 < 2^27. */
static int add_token(bw_source *source, const bw_encoder *encoder, uint32_t token, pooling *pool, uint8_t *scratch) {
    uint32_t row_bytes = encoder->dims / 8 * encoder->row_bits;
    const uint8_t *at = bw_fetch(source, encoder->scales.offset + token, 1, 1, scratch);
    if (!at) {
        return BW_ERR_READ;
    }
    uint32_t scale = *at;
    if ((pool->scales + scale) << pool->bits > 0x10000) {
        empty_lanes(pool);
    }
    pool->scales += scale;
    at = bw_fetch(source, encoder->rows.offset + token * row_bytes, row_bytes, row_bytes, scratch);
    if (!at) {
        return BW_ERR_READ;
    }
    bw_add_fields(pool->lanes, (const void *)at, row_bytes / 4, pool->bits, scale);
    return BW_OK;
}

/* Returns the number of tokens or an error. */
static int pool_text(bw_source *source, const bw_encoder *encoder, const uint8_t *text, uint32_t length, bw_work *work) {
    bw_tokenizer tokenizer;
    pooling pool = {work->a.sums, work->b.lanes, encoder->dims, encoder->row_bits, 0};
    int count = 0;
    uint32_t *lane = pool.lanes;
    for (int32_t *sum = pool.sums, *end = sum + pool.dims; sum < end;) {
        *sum++ = 0;
        *sum++ = 0;
        *lane++ = 0;
    }
    int status = bw_start_tokens(&tokenizer, source, encoder, text, length);
    while (status >= 0) {
        int token = bw_next_token(&tokenizer);
        if (token == BW_NO_TOKEN) {
            empty_lanes(&pool);
            return count;
        }
        status = token < 0 ? token : add_token(source, encoder, (uint32_t)token, &pool, (uint8_t *)work->b.vectors[1]);
        count++;
    }
    return status;
}

uint32_t bw_square_root(uint32_t value) {
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

uint32_t bw_divide(uint32_t numerator, uint32_t denominator, uint32_t bits) {
    uint32_t quotient = 0, rest = numerator >> bits;
    if (rest >= denominator) {
        return (1u << bits) - 1;
    }
    while (bits-- > 0) {
        rest = rest << 1 | (numerator >> bits & 1);
        quotient <<= 1;
        if (rest >= denominator) {
            rest -= denominator;
            quotient |= 1;
        }
    }
    return quotient;
}

/* Sums to the int8 vector, all in 32 bits: docs/format.md, "Rescaling". The sums become their 11-bit mantissas. */
static void rescale(int32_t *sums, uint32_t dims, uint32_t gain, int8_t *vector) {
    int32_t *end = sums + dims, *sum = sums;
    int32_t magnitudes = 0; /* their bits, all together: as long as the largest one */
    do {
        int32_t value = *sum++, sign = value >> 31;
        magnitudes |= (value ^ sign) - sign;
    } while (sum < end);
    int left = MANTISSA_BITS, right = 0;
    for (int32_t rest = magnitudes; rest > 0; rest >>= 1) {
        if (left > 0) {
            left--;
        } else {
            right++;
        }
    }
    uint32_t squares = 0; /* 512 * 2048^2 = 2^31 at most */
    sum = sums;
    do {
        int32_t mantissa = (*sum * (1 << left)) >> right;
        *sum++ = mantissa;
        squares += (uint32_t)(mantissa * mantissa);
    } while (sum < end);
    /* The root is at least the largest mantissa, so mantissa * reciprocal stays below the gain, which is below 2^30. */
    int32_t reciprocal = magnitudes > 0 ? (int32_t)bw_divide(gain, bw_square_root(squares), 20) : 0;
    sum = sums;
    do {
        int32_t scaled = (*sum++ * reciprocal + (1 << (GAIN_SHIFT - 1))) >> GAIN_SHIFT;
        *vector++ = (int8_t)bw_clamp(scaled, -127, 127);
    } while (sum < end);
}

int bw_vector(bw_source *source, const bw_encoder *encoder, const uint8_t *text, uint32_t length, int8_t *vector,
              uint8_t *memory) {
    bw_work *work = (bw_work *)(void *)memory;
    int count = pool_text(source, encoder, text, length, work);
    if (count >= 0) {
        rescale(work->a.sums, encoder->dims, encoder->gain, vector);
    }
    return count;
}
