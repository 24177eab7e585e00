/* Words to token ids: the longest piece of a sorted, front-coded list that is a prefix of what is left of the word.
 *
 * The search is for the predecessor: the last piece that is not greater than the text. Every prefix of the text that is a
 * piece lies at or before it, and whatever lies between begins with that prefix, so the predecessor begins with it too. */
#include "internal.h"

enum { HEADER = 8, MAX_BUCKET = BW_BUCKET * (1 + BW_MAX_PIECE) };

static void set_region(bw_region *region, bw_source *source, uint32_t offset, uint32_t length) {
    const uint8_t *memory = NULL;
    region->offset = offset;
    region->memory = !source->read && bw_span(source, offset, &memory) >= length ? memory : NULL;
}

/* Bytes of a region, inside it, as bw_fetch has them. */
BW_INLINE const uint8_t *fetch(bw_source *source, const bw_region *region, uint32_t at, uint32_t length, uint8_t *scratch) {
    return region->memory ? region->memory + at : bw_fetch(source, region->offset + at, length, length, scratch);
}

int bw_start_tokens(bw_tokenizer *tokenizer, bw_source *source, const bw_encoder *encoder, const uint8_t *text,
                    uint32_t length) {
    uint32_t scratch[HEADER / 4];
    const bw_section *section = &encoder->vocabulary;
    if (length > BW_MAX_TEXT) {
        return BW_ERR_TEXT;
    }
    const uint8_t *header = bw_fetch(source, section->offset, HEADER, HEADER, (uint8_t *)scratch);
    if (!header) {
        return BW_ERR_READ;
    }
    bw_pieces *starts = &tokenizer->lists[0], *continuations = &tokenizer->lists[1];
    starts->count = bw_load16(header);
    starts->buckets = bw_load16(header + 4);
    starts->first_id = starts->first_bucket = 0;
    continuations->count = bw_load16(header + 2);
    continuations->buckets = bw_load16(header + 6);
    continuations->first_id = starts->count;
    continuations->first_bucket = starts->buckets;
    uint32_t before_pool = HEADER + 2 * (starts->buckets + continuations->buckets + 1);
    tokenizer->pool_size = section->length - before_pool;
    set_region(&tokenizer->offsets, source, section->offset + HEADER, before_pool - HEADER);
    set_region(&tokenizer->pool, source, section->offset + before_pool, tokenizer->pool_size);
    int agree = section->length >= before_pool && starts->count + continuations->count == encoder->pieces &&
                starts->buckets == (starts->count + BW_BUCKET - 1) / BW_BUCKET &&
                continuations->buckets == (continuations->count + BW_BUCKET - 1) / BW_BUCKET;
    tokenizer->text.source = source;
    tokenizer->text.bytes = text;
    tokenizer->text.length = length;
    tokenizer->text.position = 0;
    tokenizer->length = tokenizer->position = 0;
    return agree ? BW_OK : BW_ERR_FORMAT;
}

/* Part of a piece, and the text from where that part is to match it. */
typedef struct comparison {
    const uint8_t *piece, *text; /* afterwards: past what they have in common */
} comparison;

/* Whether a piece is greater than the text. */
BW_INLINE int is_greater(comparison *at, const uint8_t *piece_end, const uint8_t *text_end) {
    const uint8_t *piece = at->piece, *text = at->text;
    int greater = 0;
    for (; piece < piece_end; piece++, text++) {
        if (text == text_end || *piece > *text) {
            greater = 1;
            break;
        }
        if (*piece < *text) {
            break;
        }
    }
    at->piece = piece;
    at->text = text;
    return greater;
}

typedef uint16_t __attribute__((may_alias)) offset_type; /* aligned, as it is in the file */

/* Offsets in the pool from a bucket's on, `count` of them; NULL when they cannot be read. */
BW_INLINE const offset_type *read_offsets(bw_tokenizer *tokenizer, uint32_t bucket, uint32_t count, uint32_t *scratch) {
    return (const void *)fetch(tokenizer->text.source, &tokenizer->offsets, 2 * bucket, 2 * count, (uint8_t *)scratch);
}

/* The last bucket of a list whose first piece is not greater than the text: one more than its number, or 0, or an error. */
static __attribute__((noinline)) int find_bucket(bw_tokenizer *tokenizer, const bw_pieces *list, const uint8_t *text,
                                                 const uint8_t *text_end) {
    uint32_t low = list->first_bucket, high = low + list->buckets, scratch[(1 + BW_MAX_PIECE + 3) / 4];
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const offset_type *offset = read_offsets(tokenizer, middle, 1, scratch);
        if (!offset) {
            return BW_ERR_READ;
        }
        uint32_t begin = *offset;
        if (begin >= tokenizer->pool_size) {
            return BW_ERR_FORMAT;
        }
        uint32_t wanted = bw_min(tokenizer->pool_size - begin, 1 + BW_MAX_PIECE);
        comparison at;
        at.piece = fetch(tokenizer->text.source, &tokenizer->pool, begin, wanted, (uint8_t *)scratch);
        if (!at.piece) {
            return BW_ERR_READ;
        }
        uint32_t length = *at.piece++ + 1u; /* a first piece shares nothing, so this byte is its length - 1 */
        if (length >= wanted) {
            return BW_ERR_FORMAT;
        }
        at.text = text;
        if (is_greater(&at, at.piece + length, text_end)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return (int)(low - list->first_bucket);
}

/* A bucket walked once: the longest piece that is a prefix of the text, and the text's common prefix with its predecessor. */
typedef struct walk {
    const uint8_t *match_end; /* in the text; NULL: none */
    const uint8_t *same_end;
    uint32_t match_index;
} walk;

/* No piece is ever unpacked. `same` is what the piece before has in common with the text: a piece that shares more with it
 * differs from the text where that one did and is skipped; one that shares less is greater than the text and ends the walk. */
static __attribute__((noinline)) int walk_bucket(const uint8_t *piece, const uint8_t *bucket_end, const uint8_t *text,
                                                 const uint8_t *text_end, walk *result) {
    uint32_t index = 0, same = 0;
    result->match_end = NULL;
    while (piece < bucket_end) {
        uint32_t shared = *piece >> 4;
        const uint8_t *end = piece + (*piece & 15) + 2;
        if (end > bucket_end) {
            return BW_ERR_FORMAT;
        }
        if (shared <= same) {
            comparison at;
            at.piece = piece + 1;
            at.text = text + same;
            if (shared < same || is_greater(&at, end, text_end)) {
                break;
            }
            same = (uint32_t)(at.text - text);
            if (at.piece == end) {
                result->match_end = at.text;
                result->match_index = index;
            }
        }
        piece = end;
        index++;
    }
    result->same_end = text + same;
    return BW_OK;
}

/* The longest piece of a list that is a prefix of the text. Returns its length (0: none; its id in `id`) or an error. */
static int longest_match(bw_tokenizer *tokenizer, const bw_pieces *list, const uint8_t *text, const uint8_t *text_end,
                         uint32_t *id) {
    uint32_t scratch[MAX_BUCKET / 4];
    while (text < text_end) {
        int bucket = find_bucket(tokenizer, list, text, text_end);
        if (bucket <= 0) {
            return bucket;
        }
        uint32_t before = (uint32_t)bucket - 1;
        const offset_type *offsets = read_offsets(tokenizer, list->first_bucket + before, 2, scratch);
        if (!offsets) {
            return BW_ERR_READ;
        }
        uint32_t begin = offsets[0], end = offsets[1], size = end - begin;
        if (size > MAX_BUCKET || end > tokenizer->pool_size) {
            return BW_ERR_FORMAT;
        }
        const uint8_t *bytes = fetch(tokenizer->text.source, &tokenizer->pool, begin, size, (uint8_t *)scratch);
        walk found;
        int status = bytes ? walk_bucket(bytes, bytes + size, text, text_end, &found) : BW_ERR_READ;
        if (status < 0) {
            return status;
        }
        if (found.match_end) {
            uint32_t index = before * BW_BUCKET + found.match_index;
            *id = list->first_id + index;
            return found.match_index < BW_BUCKET && index < list->count ? (int)(found.match_end - text) : BW_ERR_FORMAT;
        }
        text_end = found.same_end; /* shorter than before, since the predecessor is no prefix of the text */
    }
    return 0;
}

int bw_next_token(bw_tokenizer *tokenizer) {
    for (;;) {
        if (tokenizer->position == tokenizer->length) {
            int length = bw_next_word(&tokenizer->text, tokenizer->word);
            if (length <= 0) {
                return length < 0 ? length : BW_NO_TOKEN;
            }
            tokenizer->length = (uint32_t)length;
            tokenizer->position = tokenizer->list = 0;
        }
        uint32_t left = bw_min(tokenizer->length - tokenizer->position, BW_MAX_PIECE), id;
        const uint8_t *text = tokenizer->word + tokenizer->position;
        int matched = longest_match(tokenizer, &tokenizer->lists[tokenizer->list], text, text + left, &id);
        if (matched < 0) {
            return matched;
        }
        tokenizer->position += matched > 0 ? (uint32_t)matched : 1;
        if (matched > 0) {
            tokenizer->list = 1;
            return (int)id;
        }
    }
}

int bw_tokens(bw_source *source, const bw_encoder *encoder, const uint8_t *text, uint32_t length, uint16_t *ids,
              uint32_t capacity) {
    bw_tokenizer tokenizer;
    int count = 0;
    int token = bw_start_tokens(&tokenizer, source, encoder, text, length);
    while (token >= 0) {
        token = bw_next_token(&tokenizer);
        if (token == BW_NO_TOKEN) {
            return count;
        }
        if (token >= 0 && (uint32_t)count < capacity) {
            ids[count] = (uint16_t)token;
        }
        count += token >= 0;
    }
    return token;
}
