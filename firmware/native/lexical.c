/* A query's words against a table's index of words: docs/format.md, "WORD". Lists of documents are decoded a window of slots at a
 * time, and rarities added up there; but a list whose Rice parameter is 0 is a bitmap, and asked only about single slots. */
#include "internal.h"

enum {
    HEAD = 12,
    GROUP = 32,         /* buckets, whose lists begin at one offset ... */
    GROUP_BYTES = 36,   /* ... which stands before their lengths */
    LONG = 255,         /* length of a list that begins with its length ... */
    LONG_HEAD = 3,      /* ... in three bytes */
    MOST_HEAD = 7,      /* bytes of a list before its postings: those and the number of documents */
    BITMAP = 5,         /* a list of at least one in so many slots is one */
    MOST_TERMS = 128,
    SHORTEST_STEM = 3
};

/* The caller's work memory: lists, sums behind them; before those are known, the terms' buckets at its end. */
typedef struct memory {
    bw_list lists[MOST_TERMS];
    uint32_t room[(BW_RANK_WORK - MOST_TERMS * sizeof(bw_list)) / 4 - MOST_TERMS / 2];
    uint16_t buckets[MOST_TERMS];
} memory;

typedef char memory_fits[sizeof(memory) <= BW_RANK_WORK ? 1 : -1];

int bw_open_words(bw_source *source, const bw_table *table, const bw_section *section, bw_words *words) {
    uint32_t scratch[HEAD / 4];
    const uint8_t *head = bw_fetch(source, section->offset, HEAD, HEAD, (uint8_t *)scratch);
    if (!head) {
        return BW_ERR_READ;
    }
    words->source = source;
    words->count = bw_load32(head);
    words->hash_bits = head[4];
    if (words->count == 0 || words->count > table->count + table->staged || words->hash_bits < 8 || words->hash_bits > 16) {
        return BW_ERR_FORMAT;
    }
    uint32_t before = HEAD + ((words->count + 3) & ~3u) + (GROUP_BYTES << (words->hash_bits - 5));
    words->gains = section->offset + HEAD;
    words->groups = words->gains + ((words->count + 3) & ~3u);
    words->lists = section->offset + before;
    words->size = section->length - before;
    return section->length >= before ? BW_OK : BW_ERR_FORMAT;
}

/* FNV-1a. */
static uint32_t hash(uint32_t value, const uint8_t *at, uint32_t length) {
    for (const uint8_t *end = at + length; at < end; at++) {
        value = (value ^ *at) * 0x01000193;
    }
    return value;
}

static uint32_t stem_length(const uint8_t *word, uint32_t length) {
    const uint8_t *end = word + length;
    if (length >= SHORTEST_STEM + 3 && end[-3] == 'i' && end[-2] == 'n' && end[-1] == 'g') {
        return length - 3;
    }
    if (length >= SHORTEST_STEM + 2 && end[-2] == 'e' && (end[-1] == 'd' || end[-1] == 's')) {
        return length - 2;
    }
    return length >= SHORTEST_STEM + 1 && end[-1] == 's' ? length - 1 : length;
}

/* Add a term's bucket to `count` others, unless it is one of them. Returns how many there are then. */
static __attribute__((noinline)) uint32_t add_bucket(uint16_t *buckets, uint32_t count, uint32_t hashed, uint32_t hash_bits) {
    uint32_t bucket = hashed * 0x9E3779B1u >> (32 - hash_bits), at = 0;
    buckets[count] = (uint16_t)bucket;
    while (buckets[at] != bucket) {
        at++;
    }
    return at == count ? count + 1 : count;
}

/* The buckets of a text's terms, the first MOST_TERMS. Returns how many, or an error. */
static int split(bw_source *fold, const uint8_t *bytes, uint32_t length, uint32_t hash_bits, uint16_t *buckets) {
    const uint32_t seed = 0x811C9DC5u;
    uint32_t count = 0;
    uint8_t framed[1 + BW_MAX_WORD + 1];
    bw_text text = {fold, bytes, length, 0};
    framed[0] = '<';
    while (count < MOST_TERMS) {
        int found = bw_next_word(&text, framed + 1);
        if (found <= 0) {
            return found < 0 ? found : (int)count;
        }
        uint32_t letters = (uint32_t)found;
        framed[1 + letters] = '>';
        count = add_bucket(buckets, count, hash(seed, framed + 1, stem_length(framed + 1, letters)), hash_bits);
        for (uint32_t at = 0; at < letters && count < MOST_TERMS; at++) {
            count = add_bucket(buckets, count, hash((seed ^ '#') * 0x01000193u, framed + at, 3), hash_bits);
        }
    }
    return (int)count;
}

/* A logarithm to base 2 in sixteenths, with straight lines between powers of two, of 1 to 2^28 - 1. */
static __attribute__((noinline)) uint32_t logarithm(uint32_t value) {
    uint32_t whole = 0;
    while (value >> whole > 1) {
        whole++;
    }
    return whole << 4 | (value << 4 >> whole & 15);
}

/* Where a bucket's list is, in the section's lists, and its bytes. Returns how many of those say so again (0 or LONG_HEAD), or an
 * error. */
static __attribute__((noinline)) int find_list(const bw_words *words, uint32_t bucket, uint32_t *begin, uint32_t *size) {
    uint32_t group[GROUP_BYTES / 4], scratch, from, length;
    const uint8_t *at = bw_fetch(words->source, words->groups + bucket / GROUP * GROUP_BYTES, GROUP_BYTES, GROUP_BYTES,
                                 (uint8_t *)group);
    if (!at) {
        return BW_ERR_READ;
    }
    for (uint32_t i = 0; i < GROUP_BYTES / 4; i++) {
        group[i] = ((const bw_word *)(const void *)at)[i]; /* the next fetch may overwrite it */
    }
    const uint8_t *sizes = (const uint8_t *)(group + 1), *own = sizes + bucket % GROUP;
    for (from = group[0];; sizes++) {
        length = *sizes;
        if (from > words->size) {
            return BW_ERR_FORMAT;
        }
        if (length == LONG) {
            at = bw_fetch(words->source, words->lists + from, LONG_HEAD, LONG_HEAD, (uint8_t *)&scratch);
            if (!at) {
                return BW_ERR_READ;
            }
            length = bw_load16(at) | (uint32_t)at[2] << 16;
        }
        if (sizes == own) {
            break;
        }
        from += length;
    }
    *begin = from;
    *size = length;
    if (length > words->size - from) {
        return BW_ERR_FORMAT;
    }
    return *own == LONG ? LONG_HEAD : 0;
}

/* Rice parameter of a list: 0, which makes a bitmap, or else the largest one whose power of two is at most 15/16 of the mean gap. */
static uint32_t rice_parameter(uint32_t documents, uint32_t count) {
    uint32_t parameter = 1;
    if (documents * BITMAP >= count) {
        return 0;
    }
    while (documents << 5 << parameter <= count * 15) {
        parameter++;
    }
    return parameter;
}

/* A list from its postings on, `at` in the file: a bitmap, or one that is to be decoded from the posting before its first, in slot -1.
 * Returns 0 or an error. */
static int start_list(bw_source *source, uint32_t at, uint32_t bytes, uint32_t documents, bw_list *list) {
    uint32_t skip = 8 * (at & 3), scratch;
    list->left = documents;
    if (list->parameter == 0) {
        list->next = at;
        list->slot = (int32_t)(8 * bytes);
        return BW_OK;
    }
    list->left++;
    list->next = at & ~3u;
    list->slot = -1;
    list->bits = 1;
    if (skip > 0) {
        const uint8_t *first = bw_fetch(source, list->next, 4, 4, (uint8_t *)&scratch);
        if (!first) {
            return BW_ERR_READ;
        }
        list->bits = ~*(const bw_word *)(const void *)first >> skip | 1u << (32 - skip);
        list->next += 4;
    }
    return BW_OK;
}

static void copy(bw_list *to, const bw_list *from) {
    for (uint32_t i = 0; i < sizeof(bw_list) / 4; i++) {
        ((bw_word *)(void *)to)[i] = ((const bw_word *)(const void *)from)[i];
    }
}

/* Take up a bucket: what it is worth, and its list unless that is empty. Returns 0 or an error. */
static int add_list(bw_words *words, uint32_t bucket) {
    uint32_t begin, size, scratch[2], documents = 0, shift = 0, more = 0x80;
    int status = find_list(words, bucket, &begin, &size);
    if (status < 0) {
        return status;
    }
    uint32_t at = (uint32_t)status, length = bw_min(size, MOST_HEAD);
    if (size > 0) {
        const uint8_t *head = bw_fetch(words->source, words->lists + begin, length, length, (uint8_t *)scratch);
        if (!head) {
            return BW_ERR_READ;
        }
        for (; more && shift < 28 && at < length; at++, shift += 7) {
            documents |= (head[at] & 0x7Fu) << shift;
            more = head[at] & 0x80;
        }
        if (shift == 0 || documents > words->count) {
            return BW_ERR_FORMAT;
        }
        if (documents == 0) {
            return BW_OK; /* dropped, since too many documents have it */
        }
    }
    uint32_t rarity = logarithm(2 * words->count + 2) - logarithm(2 * documents + 1);
    words->total += rarity;
    if (documents == 0) {
        return BW_OK;
    }
    bw_list *list = words->list + words->terms++;
    uint32_t parameter = rice_parameter(documents, words->count);
    if (parameter == 0) { /* bitmaps come first, the rarest before */
        copy(list, words->list + words->bitmaps);
        list = words->list + words->bitmaps++;
        for (; list > words->list && list[-1].rarity < rarity; list--) {
            copy(list, list - 1);
        }
        words->bitmaps_total += rarity;
    }
    list->rarity = (uint16_t)rarity;
    list->parameter = (uint16_t)parameter;
    return start_list(words->source, words->lists + begin + at, size - at, documents, list);
}

int bw_start_words(bw_words *words, bw_source *fold, const uint8_t *text, uint32_t length, uint8_t *work) {
    memory *memory = (void *)work;
    if (length > BW_MAX_TEXT) {
        return BW_ERR_TEXT;
    }
    int buckets = split(fold, text, length, words->hash_bits, memory->buckets);
    words->source->window_length = 0; /* where files are streamed, both may go through one window */
    words->list = memory->lists;
    words->total = words->bitmaps_total = words->terms = words->bitmaps = 0;
    int status = buckets < 0 ? buckets : BW_OK;
    for (int i = 0; i < buckets && status == BW_OK; i++) {
        status = add_list(words, memory->buckets[i]);
    }
    words->near = (bw_near *)(((uintptr_t)(words->list + words->terms) + sizeof(void *) - 1) & ~(sizeof(void *) - 1));
    words->sums = (bw_word *)(void *)(words->near + words->bitmaps) + 1; /* slot -1 is counted, too */
    words->window = (uint32_t)(work + BW_RANK_WORK - (uint8_t *)words->sums) / 2 & ~(BW_LANES - 1u);
    for (bw_word *sum = words->sums, *end = sum + words->window / 2; sum < end; sum++) {
        *sum = 0;
    }
    return status;
}

int bw_more_postings(bw_postings *postings) {
    const uint8_t *at;
    uint32_t left = postings->end_of_lists - postings->next, bytes = bw_span(postings->source, postings->next, &at) & ~3u;
    if (postings->next >= postings->end_of_lists) {
        return BW_ERR_FORMAT;
    }
    if (bytes == 0) {
        bytes = 4;
        at = bw_fetch(postings->source, postings->next, bytes, left, postings->scratch);
        if (!at) {
            return BW_ERR_READ;
        }
    }
    bytes = bw_min(bytes, left);
    postings->at = (const void *)at;
    postings->end = postings->at + bytes / 4;
    postings->next += bytes;
    return BW_OK;
}

int bw_add_window(bw_words *words, uint32_t first, uint32_t end) {
    bw_postings postings;
    words->first = first;
    words->near_end = end;
    for (uint32_t i = 0; i < words->bitmaps; i++) {
        const bw_list *list = words->list + i;
        uint32_t bytes = bw_span(words->source, list->next + first / 8, &words->near[i].at);
        words->near[i].rarity = list->rarity;
        words->near_end = bw_min(words->near_end, (uint32_t)list->slot);
        if (words->source->read || bytes < (end - first + 7) / 8) {
            words->near_end = 0;
        }
    }
    postings.source = words->source;
    postings.end_of_lists = (words->lists + words->size + 3) & ~3u;
    postings.sums_end = (uint8_t *)words->sums + 2 * (end - first);
    for (bw_list *list = words->list + words->bitmaps, *past = words->list + words->terms; list < past; list++) {
        if (list->left == 0 || list->slot >= (int32_t)end) {
            continue;
        }
        postings.bits = list->bits;
        postings.at = postings.end = NULL;
        postings.next = list->next;
        postings.place = 2 * (list->slot - (int32_t)end);
        postings.most = 2 * (int32_t)(words->count - end);
        postings.left = list->left;
        postings.rarity = list->rarity;
        postings.parameter = list->parameter;
        int status = bw_add_postings(&postings);
        if (status < 0) {
            return status;
        }
        list->bits = postings.bits;
        list->next = postings.next - 4 * (uint32_t)(postings.end - postings.at);
        list->slot = (int32_t)end + postings.place / 2;
        list->left = postings.left;
    }
    return BW_OK;
}

/* Whether a slot has no posting in a bitmap: 1, 0 or an error. */
static int is_not_in_bitmap(bw_source *source, const bw_list *list, uint32_t slot) {
    uint32_t scratch;
    if (slot >= (uint32_t)list->slot) {
        return 1;
    }
    const uint8_t *at = bw_fetch(source, list->next + slot / 8, 1, 1, (uint8_t *)&scratch);
    return at ? *at >> (slot & 7) & 1 : BW_ERR_READ;
}

/* The same as below where all of the window's part of each bitmap lies together in memory. */
static __attribute__((noinline)) uint32_t near_score(const bw_near *near, const bw_near *end, uint32_t byte, uint32_t bit,
                                                     uint32_t sum, uint32_t gain, uint32_t least) {
    for (; near < end; near++) {
        if (near->at[byte] & bit) {
            sum -= near->rarity;
            if (sum * gain <= least) {
                return 0;
            }
        }
    }
    return sum * gain;
}

int bw_word_score(const bw_words *words, uint32_t slot, uint32_t sum, uint32_t gain, uint32_t least) {
    sum += words->bitmaps_total;
    if (slot < words->near_end) {
        const bw_near *near = words->near;
        return (int)near_score(near, near + words->bitmaps, (slot - words->first) / 8, 1u << (slot & 7), sum, gain, least);
    }
    for (const bw_list *list = words->list, *end = list + words->bitmaps; list < end; list++) {
        int absent = is_not_in_bitmap(words->source, list, slot);
        if (absent < 0) {
            return absent;
        }
        sum -= absent ? list->rarity : 0;
    }
    return sum * gain > least ? (int)(sum * gain) : 0;
}
