/* A table that libFuzzer made up, opened, checked and searched. */
#include <stdlib.h>
#include <string.h>

#include "../internal.h"
#include "input.h"

enum { MOST_HITS = 300 };

typedef struct answers {
    int checked, opened, hasty, found, recorded; /* statuses; hasty: with less than all effort */
    uint32_t slots, bits; /* of the table */
    uint32_t offset, length;
    bw_hit *hits;
} answers;

/* What was appended and deleted since, out of the query's bytes: up to 15 rows, and words for the slots of them all. */
typedef struct edits {
    bw_changes changes;
    uint32_t *live, *rows, added;
} edits;

static void make_edits(edits *e, const fuzz_input *input, const bw_table *table) {
    uint32_t words = table->bits / 32;
    e->added = input->repeats % 16;
    uint32_t slots = table->count + table->staged + e->added, live = (slots + 31) / 32;
    e->rows = malloc(4 * words * e->added);
    e->live = malloc(4 * live);
    for (uint32_t i = 0; i < words * e->added; i++) {
        e->rows[i] = input->length ? input->text[i % input->length] * 0x01010101u ^ 1u << i % 32 : i;
    }
    for (uint32_t i = 0; i < live; i++) {
        e->live[i] = ~(uint32_t)(0x80000001u << (i * input->effort & 15)); /* bits beyond the last slot among them */
    }
    e->changes.live = input->repeats & 16 ? e->live : NULL;
    e->changes.live_size = 4 * live;
    e->changes.rows = e->rows;
    e->changes.rows_size = 4 * words * e->added;
}

static void drop_edits(edits *e) {
    free(e->live);
    free(e->rows);
}

static int search(bw_source *source, const bw_table *table, const edits *e, const uint32_t *code, uint32_t k, uint32_t effort,
                  bw_hit *hits) {
    uint8_t *work = malloc(BW_SEARCH_WORK);
    memset(work, 0x5A, BW_SEARCH_WORK);
    int found = bw_search_effort(source, table, &e->changes, code, k, effort, hits, work, NULL);
    free(work);
    return found;
}

static void check_hits(const answers *a, int found, uint32_t k) {
    DEMAND(found <= (int)k);
    for (int i = 0; i < found; i++) {
        const bw_hit *hit = a->hits + i;
        DEMAND(hit->distance <= a->bits && hit->slot < a->slots);
        DEMAND(i == 0 || hit[-1].distance < hit->distance || (hit[-1].distance == hit->distance && hit[-1].slot < hit->slot));
    }
}

/* The word of a code's bits from 32 * index on, bit by bit as docs/format.md has it. */
static uint32_t word_of(const uint8_t *file, const bw_table *table, const edits *e, uint32_t slot, uint32_t index) {
    uint32_t words = table->bits / 32, word = 0;
    if (slot >= table->count + table->staged) {
        return e->rows[(slot - table->count - table->staged) * words + index];
    }
    if (slot >= table->count) {
        return bw_load32(file + table->rows.offset + 4 * ((slot - table->count) * words + index));
    }
    if (table->layout == BW_ROWS) {
        return bw_load32(file + table->codes.offset + 4 * (slot * words + index));
    }
    const uint8_t *planes = file + table->codes.offset + slot / 32 * table->bits * 4 + 128 * index;
    for (uint32_t bit = 0; bit < 32; bit++) {
        word |= (bw_load32(planes + 4 * bit) >> slot % 32 & 1) << bit;
    }
    return word;
}

static int is_live(const uint8_t *file, const bw_table *table, const edits *e, uint32_t slot) {
    if (e->changes.live) {
        return e->live[slot / 32] >> slot % 32 & 1;
    }
    return slot >= table->count + table->staged || (bw_load32(file + table->live.offset + slot / 32 * 4) >> slot % 32 & 1);
}

/* That an exact search found the nearest: every live slot up to the last hit is one, and there are as many as can be. */
static void check_nearest(const answers *a, const uint8_t *file, const bw_table *table, const edits *e, const uint32_t *code, uint32_t k) {
    uint32_t live = 0, near = 0, found = (uint32_t)a->found;
    for (uint32_t slot = 0; slot < a->slots; slot++) {
        if (!is_live(file, table, e, slot)) {
            continue;
        }
        live++;
        uint32_t distance = 0;
        for (uint32_t i = 0; i < a->bits / 32; i++) {
            distance += (uint32_t)__builtin_popcount(code[i] ^ word_of(file, table, e, slot, i));
        }
        const bw_hit *last = a->hits + found - 1;
        if (found > 0 && (distance < last->distance || (distance == last->distance && slot <= last->slot))) {
            DEMAND(near < found);
            near++;
            uint32_t i = 0;
            while (i < found && a->hits[i].slot != slot) {
                i++;
            }
            DEMAND(i < found && a->hits[i].distance == distance);
        }
    }
    DEMAND(near == found && found == bw_min(k, live));
}

static void ask(fuzz_source *from, answers *a) {
    const fuzz_input *input = from->input;
    bw_source *source = &from->source;
    bw_table table;
    edits e;
    uint32_t k = 1u + input->k % MOST_HITS;
    memset(a, 0, sizeof *a);
    a->hits = calloc(k, sizeof *a->hits);
    a->checked = bw_check(source, "BWT1", 1);
    a->opened = bw_open_table(source, &table); /* whatever the check said */
    if (a->opened != BW_OK) {
        return;
    }
    make_edits(&e, input, &table);
    a->slots = table.count + table.staged + e.added;
    a->bits = table.bits;
    uint32_t words = table.bits / 32;
    DEMAND(words >= 2 && words <= BW_MAX_BITS / 32);
    uint32_t *code = calloc(words, sizeof *code);
    size_t given = input->length < 4 * words ? input->length : 4 * words;
    memcpy(code, input->text, given);
    a->hasty = search(source, &table, &e, code, k, 1u + input->effort % 100, a->hits);
    check_hits(a, a->hasty, k);
    memset(a->hits, 0, k * sizeof *a->hits);
    a->found = search(source, &table, &e, code, k, 100, a->hits);
    check_hits(a, a->found, k);
    if (table.layout != BW_RESIDUAL && source->base) { /* a residual table's parts may contradict one another */
        DEMAND(a->found >= 0);
        check_nearest(a, input->file, &table, &e, code, k);
    }
    free(code);
    drop_edits(&e);
    a->recorded = bw_record(source, &table, input->k % (a->slots + 1), &a->offset, &a->length);
    if (a->recorded == BW_OK) {
        DEMAND(a->offset <= source->size && a->length <= source->size - a->offset);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    fuzz_input input;
    fuzz_source whole, other;
    answers a, b;
    if (!fuzz_begin(bytes, length, "BWT1", &input)) {
        return -1;
    }
    fuzz_open_whole(&whole, &input);
    fuzz_open_kind(&other, &input);
    ask(&whole, &a);
    ask(&other, &b);
    if (fuzz_reliable(&other)) {
        DEMAND(a.checked == b.checked && a.opened == b.opened && a.found == b.found && a.hasty == b.hasty);
        DEMAND(a.found <= 0 || memcmp(a.hits, b.hits, (size_t)a.found * sizeof *a.hits) == 0);
        DEMAND(a.recorded == b.recorded && (a.recorded != BW_OK || (a.offset == b.offset && a.length == b.length)));
    }
    free(a.hits);
    free(b.hits);
    fuzz_close(&whole);
    fuzz_close(&other);
    fuzz_end(&input);
    return 0;
}
