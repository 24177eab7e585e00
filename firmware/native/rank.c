/* The stages after the Hamming search: candidates, by distance and by words, get one score each. docs/format.md, "Scores". */
#include "internal.h"

enum {
    STAGE_FIELDS = 320, /* in page 0 */
    ARC_STEPS = 16,     /* of half a turn */
    WORDS_SHIFT = 5,    /* words in 1/4096: 4096 by a gain of 1, which is 128 */
    WORDS_BITS = 13,
    WEIGHT_SHIFT = 8,
    HALVES = 0x00010001,
    SIGN = 0x8000
};

/* cos(pi * step / 16), in 1/4096. */
static const int16_t arc[ARC_STEPS + 1] = {4096,  4017,  3784,  3406,  2896,  2276,  1567,  799,  0,
                                           -799, -1567, -2276, -2896, -3406, -3784, -4017, -4096};

typedef struct ranking {
    bw_source *source;
    const bw_table *table;
    const bw_changes *changes;
    const bw_question *question;
    bw_result *ranked; /* hits, then `best` by words */
    uint32_t best;
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
static void swap(bw_result *a, bw_result *b) {
    int32_t score = a->score;
    uint32_t distance = a->distance, slot = a->slot;
    set(a, b->score, b->distance, b->slot);
    set(b, score, distance, slot);
}

static int is_after(const bw_result *a, const bw_result *b) {
    return a->score != b->score ? a->score < b->score : a->slot > b->slot;
}

/* Let a result sink to its place in a heap, whose first is the last in rank with `worst`, else the first. */
static void sink(bw_result *heap, uint32_t size, uint32_t at, int worst) {
    for (uint32_t child; (child = 2 * at + 1) < size; at = child) {
        child += child + 1 < size && is_after(heap + child + 1, heap + child) == worst;
        if (is_after(heap + child, heap + at) != worst) {
            return;
        }
        swap(heap + at, heap + child);
    }
}

static void make_heap(bw_result *heap, uint32_t size, int worst) {
    for (uint32_t at = size / 2; at-- > 0;) {
        sink(heap, size, at, worst);
    }
}

/* One of the best by words? Returns 0 or an error. */
static int consider(ranking *ranking, uint32_t slot, uint32_t sum) {
    bw_result *best = ranking->ranked + ranking->question->found;
    int gain = bw_gain(&ranking->words, slot);
    uint32_t least = ranking->best == BW_DEPTH ? (uint32_t)best->score : 0, scratch;
    if (gain < 0 || (sum + ranking->words.bitmaps_total) * (uint32_t)gain <= least) {
        return gain < 0 ? gain : BW_OK;
    }
    int score = bw_word_score(&ranking->words, slot, sum, (uint32_t)gain);
    if (score <= (int)least) {
        return score < 0 ? score : BW_OK;
    }
    const uint32_t *live = bw_live_words(ranking->source, ranking->table, ranking->changes, slot / BW_LANES, 1, &scratch);
    if (!live) {
        return BW_ERR_READ;
    }
    if (*live >> slot % BW_LANES & 1) {
        if (ranking->best == BW_DEPTH) {
            set(best, score, 0, slot);
            sink(best, BW_DEPTH, 0, 1);
        } else {
            set(best + ranking->best++, score, 0, slot);
            if (ranking->best == BW_DEPTH) {
                make_heap(best, BW_DEPTH, 1);
            }
        }
    }
    return BW_OK;
}

/* Sums that are not enough for the best: times any gain. */
static int32_t too_low(const ranking *ranking) {
    const bw_result *best = ranking->ranked + ranking->question->found;
    return (ranking->best == BW_DEPTH ? best->score >> 8 : 0) - (int32_t)ranking->words.bitmaps_total;
}

/* The words' scores of slots [first, end): those of the hits, and the best. Sums are 0 again then. Returns 0 or an error. */
static int rank_window(ranking *ranking, uint32_t first, uint32_t end) {
    bw_words *words = &ranking->words;
    bw_word *two = words->sums;
    int status = bw_add_window(words, first, end);
    for (bw_result *hit = ranking->ranked, *past = hit + ranking->question->found; hit < past && status >= 0; hit++) {
        uint32_t at = hit->slot - first;
        if (at < end - first) {
            int gain = bw_gain(words, hit->slot);
            status = gain < 0 ? gain : bw_word_score(words, hit->slot, ((bw_half *)two)[at], (uint32_t)gain);
            hit->score = status;
        }
    }
    while (first < end && status >= 0) {
        /* Two sums at once: where one is more than `low`, what is added carries into its upper bit; which is in use where a query
         * has a hundred rare terms, and then all are looked at. */
        int32_t low = too_low(ranking);
        int quick = words->total < SIGN;
        uint32_t added = quick ? (SIGN - 1 - (uint32_t)bw_clamp(low, -1, SIGN - 1)) * HALVES : HALVES;
        uint32_t tested = quick ? (uint32_t)SIGN * HALVES : UINT32_MAX, sums;
        do {
            sums = *two;
            *two++ = 0;
            first += 2;
        } while (((sums + added) & tested) == 0 && first < end);
        if ((int32_t)(sums & 0xFFFF) > low) {
            status = consider(ranking, first - 2, sums & 0xFFFF);
        }
        if ((int32_t)(sums >> 16) > low && first - 1 < end && status >= 0) {
            status = consider(ranking, first - 1, sums >> 16);
        }
    }
    return status < 0 ? status : BW_OK;
}

/* Of the best by words those that are no hits, put together. */
static void drop_hits(ranking *ranking) {
    const bw_result *hits = ranking->ranked, *end = hits + ranking->question->found;
    bw_result *best = ranking->ranked + ranking->question->found, *kept = best, *hit = best;
    for (uint32_t i = 0; i < ranking->best; i++, hit++) {
        const bw_result *same = hits;
        while (same < end && same->slot != hit->slot) {
            same++;
        }
        if (same == end) {
            set(kept++, hit->score, 0, hit->slot);
        }
    }
    ranking->best = (uint32_t)(kept - best);
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

/* The distance of a slot of the file. Returns it or an error. */
static int distance_of(const ranking *ranking, uint32_t slot) {
    const bw_table *table = ranking->table;
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
    return (int)bw_distance(code, ranking->question->code, words);
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
        int32_t score;
        if (result->slot < vectors.count) {
            status = bw_similarity(&vectors, result->slot, &score);
        } else {
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

/* Bring the first k of `count` results to the front, in their order. */
static void select(bw_result *ranked, uint32_t count, uint32_t k) {
    uint32_t left = count;
    make_heap(ranked, count, 0);
    while (count - left < k && left > 0) {
        swap(ranked, ranked + --left);
        sink(ranked, left, 0, 0);
    }
    for (uint32_t i = 0; i < bw_min(k, count / 2); i++) {
        swap(ranked + i, ranked + count - 1 - i);
    }
}

int bw_rank(bw_source *source, const bw_table *table, const bw_changes *changes, const bw_question *question, uint32_t k,
            uint32_t stages, bw_result *ranked, uint8_t *work) {
    ranking ranking;
    bw_stages there;
    ranking.source = source;
    ranking.table = table;
    ranking.changes = changes;
    ranking.question = question;
    ranking.ranked = ranked;
    ranking.best = 0;
    int status = open_stages(source, &there);
    if (status < 0) {
        return status;
    }
    there.vector_bits = stages & BW_BY_VECTORS ? there.vector_bits : 0;
    if (k == 0 || (there.vector_bits > 0 && (!question->embedding || question->units < there.units)) ||
        (changes->live && changes->live_size < (table->count + table->staged + BW_LANES - 1) / BW_LANES * 4)) {
        return BW_ERR_ARGUMENT;
    }
    for (uint32_t i = 0; i < question->found; i++) {
        set(ranked + i, 0, question->hits[i].distance, question->hits[i].slot);
    }
    uint32_t total = 0, count = question->found;
    if (stages & BW_BY_WORDS && there.words.length > 0) {
        bw_words *words = &ranking.words;
        status = bw_open_words(source, table, &there.words, words);
        status = status < 0 ? status : bw_start_words(words, question->fold, question->text, question->length, work);
        for (uint32_t first = 0; status == BW_OK && first < words->count; first += words->window) {
            status = rank_window(&ranking, first, bw_min(words->count, first + words->window));
        }
        total = words->total;
        drop_hits(&ranking);
    }
    for (; ranking.best > 0 && status >= 0; ranking.best--) {
        status = distance_of(&ranking, ranked[count].slot);
        ranked[count++].distance = (uint32_t)status;
    }
    status = status < 0 ? status : add_scores(&ranking, &there, total, count, work);
    if (status < 0) {
        return status;
    }
    select(ranked, count, k);
    return (int)bw_min(k, count);
}
