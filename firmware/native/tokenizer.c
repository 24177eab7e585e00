/* Words to token ids: the longest piece of a sorted, front-coded list that is a prefix of what is left of the word.
 *
 * The search is for the predecessor: the last piece that is not greater than the text. Every prefix of the text that is a
 * piece lies at or before it, and whatever lies between begins with that prefix, so the predecessor begins with it too. */
#include "internal.h"

enum { HEADER = 8, MAX_BUCKET = BW_BUCKET * (1 + BW_MAX_PIECE) };

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
    tokenizer->offsets = section->offset + HEADER;
    uint32_t before_pool = HEADER + 2 * (starts->buckets + continuations->buckets + 1);
    tokenizer->pool = section->offset + before_pool;
    tokenizer->pool_size = section->length - before_pool;
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

/* Where a bucket lies in the file. Returns its length or an error. */
static int locate_bucket(bw_tokenizer *tokenizer, uint32_t bucket, uint32_t *at) {
    uint32_t scratch;
    const uint8_t *ends = bw_fetch(tokenizer->text.source, tokenizer->offsets + 2 * bucket, 4, 4, (uint8_t *)&scratch);
    if (!ends) {
        return BW_ERR_READ;
    }
    uint32_t begin = bw_load16(ends), end = bw_load16(ends + 2);
    if (end < begin + 2 || end > tokenizer->pool_size || end - begin > MAX_BUCKET) {
        return BW_ERR_FORMAT;
    }
    *at = tokenizer->pool + begin;
    return (int)(end - begin);
}

/* How many bytes two strings have in common from their beginnings on. */
static uint32_t common_prefix(const uint8_t *a, uint32_t a_length, const uint8_t *b, uint32_t b_length) {
    uint32_t length = bw_min(a_length, b_length), i = 0;
    while (i < length && a[i] == b[i]) {
        i++;
    }
    return i;
}

/* Whether a bucket's first piece is greater than the text: 1, 0 or an error. */
static int begins_after(bw_tokenizer *tokenizer, uint32_t bucket, const uint8_t *text, uint32_t length) {
    uint32_t scratch[(1 + BW_MAX_PIECE + 3) / 4], at;
    int size = locate_bucket(tokenizer, bucket, &at);
    if (size < 0) {
        return size;
    }
    uint32_t wanted = bw_min((uint32_t)size, 1 + BW_MAX_PIECE);
    const uint8_t *piece = bw_fetch(tokenizer->text.source, at, wanted, (uint32_t)size, (uint8_t *)scratch);
    if (!piece) {
        return BW_ERR_READ;
    }
    uint32_t piece_length = piece[0] + 1u; /* a first piece shares nothing, so this byte is its length - 1 */
    if (piece_length >= wanted) {
        return BW_ERR_FORMAT;
    }
    uint32_t same = common_prefix(piece + 1, piece_length, text, length);
    return same < piece_length && (same == length || piece[1 + same] > text[same]);
}

/* The last bucket whose first piece is not greater than the text, or list->buckets where there is none; or an error. */
static int find_bucket(bw_tokenizer *tokenizer, const bw_pieces *list, const uint8_t *text, uint32_t length) {
    uint32_t low = 0, high = list->buckets;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int after = begins_after(tokenizer, list->first_bucket + middle, text, length);
        if (after < 0) {
            return after;
        }
        if (after) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return (int)(low > 0 ? low - 1 : list->buckets);
}

/* A bucket walked once: the longest piece that is a prefix of the text, and the text's common prefix with its predecessor. */
typedef struct walk {
    uint32_t match_length, match_index; /* length 0: none */
    uint32_t same;
} walk;

/* No piece is ever unpacked. `same` is what the piece before has in common with the text: a piece that shares more with it
 * differs from the text where that one did and is skipped; one that shares less is greater than the text and ends the walk. */
static int walk_bucket(const uint8_t *bucket, uint32_t size, const uint8_t *text, uint32_t length, walk *result) {
    uint32_t position = 0, index = 0;
    result->match_length = result->match_index = result->same = 0;
    for (; position < size; index++) {
        uint32_t shared = bucket[position] >> 4, suffix_length = (bucket[position] & 15) + 1u;
        const uint8_t *suffix = bucket + position + 1;
        position += 1 + suffix_length;
        if (position > size || index == BW_BUCKET) {
            return BW_ERR_FORMAT;
        }
        if (shared > result->same) {
            continue;
        }
        if (shared < result->same) {
            break;
        }
        uint32_t more = common_prefix(suffix, suffix_length, text + shared, length - shared);
        if (more < suffix_length && (shared + more == length || suffix[more] > text[shared + more])) {
            break;
        }
        result->same = shared + more;
        if (more == suffix_length) {
            result->match_length = result->same;
            result->match_index = index;
        }
    }
    return BW_OK;
}

/* The longest piece of a list that is a prefix of the text. Returns its length (0: none; its id in `id`) or an error. */
static int longest_match(bw_tokenizer *tokenizer, const bw_pieces *list, const uint8_t *text, uint32_t length,
                         uint32_t *id) {
    uint32_t scratch[MAX_BUCKET / 4], at;
    while (length > 0) {
        int bucket = find_bucket(tokenizer, list, text, length);
        if (bucket < 0 || (uint32_t)bucket == list->buckets) {
            return bucket < 0 ? bucket : 0;
        }
        int size = locate_bucket(tokenizer, list->first_bucket + (uint32_t)bucket, &at);
        if (size < 0) {
            return size;
        }
        const uint8_t *bytes = bw_fetch(tokenizer->text.source, at, (uint32_t)size, (uint32_t)size, (uint8_t *)scratch);
        walk found;
        int status = bytes ? walk_bucket(bytes, (uint32_t)size, text, length, &found) : BW_ERR_READ;
        if (status < 0) {
            return status;
        }
        if (found.match_length > 0) {
            uint32_t index = (uint32_t)bucket * BW_BUCKET + found.match_index;
            *id = list->first_id + index;
            return index < list->count ? (int)found.match_length : BW_ERR_FORMAT;
        }
        length = found.same; /* shorter than before, since the predecessor is no prefix of the text */
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
        int matched = longest_match(tokenizer, &tokenizer->lists[tokenizer->list],
                                    tokenizer->word + tokenizer->position, left, &id);
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
