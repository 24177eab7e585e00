/* The stages after the Hamming search: candidates, by distance and by words, get one score each. docs/format.md, "Scores". */
#include "internal.h"

enum {
    STAGE_FIELDS = 320, /* in page 0 */
    ARC_STEPS = 16,     /* of half a turn */
    WORDS_SHIFT = 5,    /* words in 1/4096: 4096 by a gain of 1, which is 128 */
    WORDS_BITS = 13,
    WEIGHT_SHIFT = 8,
    HALVES = 0x00010001,
    SIGN = 0x8000,
    SEEN_BITS = 256,
    GAINS = 64          /* that are copied where they do not lie together in memory */
};

#define UNKNOWN UINT32_MAX /* a distance that nobody has asked for yet */

/* cos(pi * step / 16), in 1/4096. */
static const int16_t arc[ARC_STEPS + 1] = {4096,  4017,  3784,  3406,  2896,  2276,  1567,  799,  0,
                                           -799, -1567, -2276, -2896, -3406, -3784, -4017, -4096};

typedef struct ranking {
    bw_source *source;
    const bw_table *table;
    const bw_changes *changes;
    const bw_question *question;
    bw_result *ranked;      /* the hits, then ... */
    bw_result *best;        /* ... the best by words, `found` of them: a heap, the last in rank first, when there are BW_DEPTH */
    uint32_t found;
    const uint32_t *live;   /* words of the window's slots where they lie together in memory, or NULL */
    bw_words words;
} ranking;

/* Fields and sections. Returns 0 or an error. */
static int open_stages(bw_source *source, bw_stages *stages) {
    uint32_t scratch[2];
    const uint8_t *fields = bw_fetch(source, STAGE_FIELDS, sizeof scratch, sizeof scratch, (uint8_t *)scratch);
    if (!fields) {
        return BW_ERR_READ;
    }
    stages->vector_bits = fields[1];
    stages->units = bw_load16(fields + 2);
    stages->weight = bw_load16(fields + 4);
    int status = bw_find_sections(source, "WORD", &stages->words);
    if (status == BW_ERR_FORMAT) {
        stages->words.length = 0;
        status = BW_OK;
    }
    if (stages->vector_bits > 0) {
        status = status < 0 ? status : bw_find_sections(source, "CENTVECS", &stages->centre);
    }
    return status;
}

static void set(bw_result *to, int32_t score, uint32_t distance, uint32_t slot) {
    to->score = score;
    to->distance = distance;
    to->slot = slot;
}

/* Field by field: assigning a structure becomes a call of memcpy on some chips. */
static void copy(bw_result *to, const bw_result *from) {
    set(to, from->score, from->distance, from->slot);
}

/* Whether a result comes before a score and a slot in a heap, which has the last in rank first. */
BW_INLINE int is_before(const bw_result *result, int32_t score, uint32_t slot) {
    return result->score < score || (result->score == score && result->slot > slot);
}

/* Let a result sink to its place in a heap, from the first one. */
static void sink(bw_result *heap, uint32_t size, uint32_t at, int32_t score, uint32_t distance, uint32_t slot) {
    bw_result *to = heap + at;
    while ((at = 2 * at + 1) < size) {
        bw_result *child = heap + at;
        if (at + 1 < size && is_before(child + 1, child->score, child->slot)) {
            child++;
            at++;
        }
        if (!is_before(child, score, slot)) {
            break;
        }
        copy(to, child);
        to = child;
    }
    set(to, score, distance, slot);
}

static void make_heap(bw_result *heap, uint32_t size) {
    for (uint32_t at = size / 2; at-- > 0;) {
        sink(heap, size, at, heap[at].score, heap[at].distance, heap[at].slot);
    }
}

/* Whether a slot of the window is live: 1, 0 or an error. */
static int is_live(const ranking *ranking, uint32_t slot) {
    const uint32_t *live = ranking->live;
    uint32_t scratch;
    if (live) {
        live += (slot - ranking->words.first) / BW_LANES;
    } else {
        live = bw_live_words(ranking->source, ranking->table, ranking->changes, slot / BW_LANES, 1, &scratch);
        if (!live) {
            return BW_ERR_READ;
        }
    }
    return *live >> slot % BW_LANES & 1;
}

/* A score that is not enough for the best. */
BW_INLINE uint32_t too_low(const ranking *ranking) {
    return ranking->found == BW_DEPTH ? (uint32_t)ranking->best->score : 0;
}

/* A slot that may be one of the best; `sum` is without bitmaps. Returns 0 or an error. */
static __attribute__((noinline)) int consider(ranking *ranking, uint32_t slot, uint32_t sum, uint32_t gain) {
    int score = bw_word_score(&ranking->words, slot, sum, gain, too_low(ranking));
    int live = score > 0 ? is_live(ranking, slot) : score;
    if (live <= 0) {
        return live;
    }
    if (ranking->found == BW_DEPTH) {
        sink(ranking->best, BW_DEPTH, 0, score, UNKNOWN, slot);
    } else {
        set(ranking->best + ranking->found++, score, UNKNOWN, slot);
        if (ranking->found == BW_DEPTH) {
            make_heap(ranking->best, BW_DEPTH);
        }
    }
    return BW_OK;
}

/* The best of slots [slot, end), whose gains lie together, and let their sums be 0 again. Returns 0 or an error. */
static __attribute__((noinline)) int find_best(ranking *ranking, uint32_t slot, uint32_t end, const uint8_t *gains) {
    const bw_words *words = &ranking->words;
    bw_word *sum = words->sums + (slot - words->first) / 2, *past = sum + (end - slot + 1) / 2;
    bw_passing passing;
    int status = BW_OK;
    passing.bitmaps = words->bitmaps_total;
    passing.gains = gains;
    for (;;) {
        /* A gain is below 256, so a sum up to `low` is not enough. Two at a time are asked by an addition that carries into the upper
         * bit of a half; which is in use where a query has a hundred rare terms, and then all are looked at. */
        passing.least = too_low(ranking);
        int32_t low = (int32_t)(passing.least >> 8) - (int32_t)passing.bitmaps;
        passing.added = (uint32_t)(SIGN - 1 - bw_clamp(low, -1, SIGN - 1)) * HALVES;
        passing.tested = (uint32_t)SIGN * HALVES;
        if (words->total >= SIGN) {
            passing.added = HALVES;
            passing.tested = UINT32_MAX;
        }
        do {
            bw_word *found = bw_pass_sums(sum, past, &passing);
            uint32_t passed = 2 * (uint32_t)(found - sum), two;
            if (found == past) {
                return BW_OK;
            }
            gains = passing.gains + passed;
            slot += passed;
            two = *found;
            *found++ = 0;
            if (((two & 0xFFFF) + passing.bitmaps) * gains[0] > passing.least) {
                status = consider(ranking, slot, two & 0xFFFF, gains[0]);
            }
            if (((two >> 16) + passing.bitmaps) * gains[1] > passing.least && slot + 1 < end && status == BW_OK) {
                status = consider(ranking, slot + 1, two >> 16, gains[1]);
            }
            if (status < 0) {
                return status;
            }
            slot += 2;
            passing.gains = gains + 2;
            sum = found;
        } while (passing.least == too_low(ranking));
    }
}

/* The words' scores of a window's slots: the hits', and the best. Returns 0 or an error. */
static __attribute__((noinline)) int rank_window(ranking *ranking, uint32_t first, uint32_t end) {
    bw_words *words = &ranking->words;
    bw_source *source = ranking->source;
    uint32_t scratch[GAINS / 4];
    const uint8_t *at;
    int status = bw_add_window(words, first, end);
    for (bw_result *hit = ranking->ranked; hit < ranking->best && status >= 0; hit++) {
        uint32_t i = hit->slot - first;
        if (i < end - first) {
            at = bw_fetch(source, words->gains + hit->slot, 1, 1, (uint8_t *)scratch);
            status = at ? bw_word_score(words, hit->slot, ((bw_half *)words->sums)[i], *at, 0) : BW_ERR_READ;
            hit->score = status;
        }
    }
    ranking->live = NULL;
    if (ranking->changes->live) {
        ranking->live = ranking->changes->live + first / BW_LANES;
    } else if (!source->read && bw_span(source, ranking->table->live.offset + first / 8, &at) >= (end - first + 31) / 32 * 4) {
        ranking->live = (const uint32_t *)(const void *)at;
    }
    for (uint32_t slots; first < end && status >= 0; first += slots) {
        slots = bw_min(source->read ? 0 : bw_span(source, words->gains + first, &at) & ~1u, end - first);
        if (slots == 0) {
            slots = bw_min(GAINS, end - first);
            at = bw_fetch(source, words->gains + first, slots, words->count - first, (uint8_t *)scratch);
            for (uint32_t i = 0; at && i < slots; i++) {
                ((uint8_t *)scratch)[i] = at[i]; /* other fetches may overwrite them */
            }
            at = at ? (const uint8_t *)scratch : NULL;
        }
        status = at ? find_best(ranking, first, first + slots, at) : BW_ERR_READ;
    }
    return status < 0 ? status : BW_OK;
}

/* Keep of the best by words those that are no hits. */
static void drop_hits(ranking *ranking) {
    uint32_t seen[SEEN_BITS / 32], kept = 0; /* bits of slots: mostly they say that there is no such hit */
    for (uint32_t i = 0; i < SEEN_BITS / 32; i++) {
        seen[i] = 0;
    }
    for (const bw_result *hit = ranking->ranked; hit < ranking->best; hit++) {
        seen[hit->slot / 32 % (SEEN_BITS / 32)] |= 1u << hit->slot % 32;
    }
    for (uint32_t i = 0; i < ranking->found; i++) {
        const bw_result *best = ranking->best + i, *hit = ranking->best;
        if (seen[best->slot / 32 % (SEEN_BITS / 32)] >> best->slot % 32 & 1) {
            for (hit = ranking->ranked; hit < ranking->best && hit->slot != best->slot; hit++) {
            }
        }
        if (hit == ranking->best) {
            copy(ranking->best + kept++, best);
        }
    }
    ranking->found = kept;
}

/* A lane's bits of planes of so many words, for each word of a code. Returns 0 or an error. */
static int read_lane(bw_source *source, uint32_t at, uint32_t groups, uint32_t lane, uint32_t words, uint32_t *code) {
    uint32_t scratch[BW_LANES * BW_GROUPS], bytes = 4 * BW_LANES * groups;
    for (uint32_t word = 0; word < words; word++, at += bytes) {
        const uint8_t *planes = bw_fetch(source, at, bytes, bytes * (words - word), (uint8_t *)scratch);
        if (!planes) {
            return BW_ERR_READ;
        }
        const bw_word *first = (const void *)planes, *plane = first + lane / BW_LANES + bytes / 4;
        uint32_t bits = 0;
        do {
            plane -= groups;
            bits = bits << 1 | (*plane >> lane % BW_LANES & 1);
        } while (plane >= first + groups);
        code[word] = bits;
    }
    return BW_OK;
}

/* A result's distance, where it is not known yet. Returns 0 or an error. */
static int find_distance(const ranking *ranking, bw_result *result) {
    const bw_table *table = ranking->table;
    uint32_t slot = result->slot;
    if (result->distance != UNKNOWN || slot >= table->count + table->staged) {
        return BW_OK;
    }
    bw_source *source = ranking->source;
    uint32_t words = table->bits / 32, row = table->bits / 8, own[BW_MAX_BITS / 32], scratch[BW_MAX_BITS / 32], at;
    int status = BW_OK;
    const uint32_t *code = own;
    if (slot >= table->count || table->layout == BW_ROWS) {
        at = slot >= table->count ? table->rows.offset + (slot - table->count) * row : table->codes.offset + slot * row;
        code = (const uint32_t *)(const void *)bw_fetch(source, at, row, row, (uint8_t *)scratch);
    } else if (table->layout != BW_RESIDUAL) {
        status = read_lane(source, table->codes.offset + slot / BW_LANES * BW_LANES * row, 1, slot % BW_LANES, words, own);
    } else {
        uint32_t groups = table->lanes / BW_LANES, block = slot / BW_LANES >> (groups - 1);
        at = table->codes.offset + block * bw_residual_stride(table) + row + table->weight_planes * 4 * groups;
        status = read_lane(source, at, groups, slot & (table->lanes - 1), words, own);
        const uint8_t *pivot = bw_fetch(source, table->pivots.offset + block * (4 + row) + 4, row, row, (uint8_t *)scratch);
        for (uint32_t i = 0; pivot && i < words; i++) {
            own[i] ^= ((const bw_word *)(const void *)pivot)[i];
        }
        code = pivot ? own : NULL;
    }
    if (status < 0 || !code) {
        return BW_ERR_READ;
    }
    result->distance = bw_distance(code, ranking->question->code, words);
    return BW_OK;
}

/* The cosine that a distance stands for. */
static int32_t from_distance(uint32_t distance, uint32_t planes) {
    uint32_t step = bw_min(distance << 4 >> planes, ARC_STEPS), rest = distance << 4 & ((1u << planes) - 1);
    int32_t slope = arc[bw_min(step + 1, ARC_STEPS)] - arc[step];
    return arc[step] + (slope * (int32_t)rest >> planes);
}

/* From the words' scores to all of it. Returns 0 or an error. */
static int add_scores(ranking *ranking, const bw_stages *stages, uint32_t total, uint32_t count, uint8_t *work) {
    bw_vectors vectors;
    int status = BW_OK;
    vectors.count = 0;
    if (stages->vector_bits > 0) {
        status = bw_open_vectors(ranking->source, ranking->table, stages, ranking->question->embedding, work, &vectors);
    }
    uint32_t planes = bw_log2(ranking->table->bits);
    for (bw_result *result = ranking->ranked, *end = result + count; result < end && status == BW_OK; result++) {
        int32_t score = 0;
        if (result->slot < vectors.count) {
            status = bw_similarity(&vectors, result->slot, &score);
        } else {
            status = find_distance(ranking, result);
            score = from_distance(result->distance, planes);
        }
        if (total > 0) {
            uint32_t words = bw_divide((uint32_t)result->score << WORDS_SHIFT, total, WORDS_BITS);
            score += (int32_t)(stages->weight * words >> WEIGHT_SHIFT);
        }
        result->score = score;
    }
    return status;
}

/* What is last in rank becomes first, and back. */
static void turn_round(bw_result *ranked, uint32_t count) {
    for (bw_result *end = ranked + count; ranked < end; ranked++) {
        ranked->score = ~ranked->score;
        ranked->slot = ~ranked->slot;
    }
}

/* Bring the first k of `count` results to the front, in their order. */
static void select(bw_result *ranked, uint32_t count, uint32_t k) {
    bw_result last;
    uint32_t left = count;
    turn_round(ranked, count);
    make_heap(ranked, count);
    while (count - left < k) {
        left--;
        copy(&last, ranked + left);
        copy(ranked + left, ranked);
        sink(ranked, left, 0, last.score, last.distance, last.slot);
    }
    turn_round(ranked, count);
    for (uint32_t i = 0, j = count; i < k && i < --j; i++) { /* they are at the end, the first one last */
        copy(&last, ranked + i);
        copy(ranked + i, ranked + j);
        copy(ranked + j, &last);
    }
}

int bw_rank(bw_source *source, const bw_table *table, const bw_changes *changes, const bw_question *question, uint32_t k,
            uint32_t stages, bw_result *ranked, uint8_t *work) {
    ranking ranking;
    bw_stages there;
    uint32_t total = 0, count = question->found;
    int status = open_stages(source, &there);
    if (status < 0) {
        return status;
    }
    there.vector_bits = stages & BW_BY_VECTORS ? there.vector_bits : 0;
    if (k == 0 || (there.vector_bits > 0 && (!question->embedding || question->units < there.units)) ||
        (changes->live && changes->live_size < (table->count + table->staged + BW_LANES - 1) / BW_LANES * 4)) {
        return BW_ERR_ARGUMENT;
    }
    ranking.source = source;
    ranking.table = table;
    ranking.changes = changes;
    ranking.question = question;
    ranking.ranked = ranked;
    ranking.best = ranked + count;
    ranking.found = 0;
    for (uint32_t i = 0; i < count; i++) {
        set(ranked + i, 0, question->hits[i].distance, question->hits[i].slot);
    }
    if (stages & BW_BY_WORDS && there.words.length > 0) {
        bw_words *words = &ranking.words;
        status = bw_open_words(source, table, &there.words, words);
        status = status < 0 ? status : bw_start_words(words, question->fold, question->text, question->length, work);
        for (uint32_t first = 0; status == BW_OK && first < words->count; first += words->window) {
            status = rank_window(&ranking, first, bw_min(words->count, first + words->window));
        }
        if (status < 0) {
            return status;
        }
        total = words->total;
        drop_hits(&ranking);
        count += ranking.found;
    }
    status = add_scores(&ranking, &there, total, count, work);
    if (status < 0) {
        return status;
    }
    k = bw_min(k, count);
    select(ranked, count, k);
    for (uint32_t i = 0; i < k && status == BW_OK; i++) {
        status = find_distance(&ranking, ranked + i);
    }
    return status < 0 ? status : (int)k;
}
