#include "input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../internal.h"

enum { ENTRIES_AT = 32, ENTRY = 16, MOST_SECTIONS = 16, SHORTEST_PIECE = 20, MOST_PIECES = 300 };

static void store32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> 8 * i);
    }
}

void fuzz_stop(const char *condition, const char *file, int line) {
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    abort();
}

static uint32_t crc_of(fuzz_source *source, uint32_t offset, uint32_t length) {
    uint32_t crc = 0;
    DEMAND(bw_crc32(&source->source, offset, length, &crc) == BW_OK);
    return crc;
}

static void mend(fuzz_input *input, const char *magic) {
    uint8_t *page = input->file;
    memcpy(page, magic, 4);
    page[4] = 1;
    page[5] = 0;
    store32(page + 8, input->size);
    fuzz_source source;
    fuzz_open_whole(&source, input);
    uint8_t *own = (uint8_t *)(uintptr_t)source.source.base; /* of the same bytes; the checksums go into both */
    uint32_t sections = bw_min(bw_load16(page + 6), MOST_SECTIONS);
    for (uint8_t *entry = page + ENTRIES_AT; entry < page + ENTRIES_AT + ENTRY * sections; entry += ENTRY) {
        uint32_t offset = bw_load32(entry + 4), length = bw_load32(entry + 8);
        if (offset <= input->size && length <= input->size - offset) {
            store32(entry + 12, crc_of(&source, offset, length));
        }
    }
    store32(page + 12, 0);
    memcpy(own, page, BW_PAGE);
    store32(page + 12, crc_of(&source, 0, BW_PAGE));
    fuzz_close(&source);
}

int fuzz_begin(const uint8_t *bytes, size_t length, const char *magic, fuzz_input *input) {
    if (length < 8 || length - 8 < bytes[7] + (size_t)FUZZ_HEAD) {
        return 0;
    }
    input->kind = bytes[0];
    input->spacing = bytes[1];
    input->k = (uint16_t)bw_load16(bytes + 2);
    input->effort = bytes[4];
    input->fails_at = bytes[5];
    input->repeats = bytes[6];
    input->length = bytes[7];
    input->text = bytes + 8;
    const uint8_t *at = bytes + 8 + input->length, *end = bytes + length;
    input->file = calloc(1 + FUZZ_MAX_PAGES, BW_PAGE);
    memcpy(input->file, at, FUZZ_HEAD);
    at += FUZZ_HEAD;
    uint32_t pages = 1;
    for (; end - at >= 2 && pages <= FUZZ_MAX_PAGES; pages++) {
        uint32_t stored = bw_min(bw_load16(at), BW_PAGE);
        at += 2;
        stored = bw_min(stored, (uint32_t)(end - at));
        memcpy(input->file + pages * BW_PAGE, at, stored);
        at += stored;
    }
    input->size = pages * BW_PAGE;
    mend(input, magic);
    return 1;
}

void fuzz_end(fuzz_input *input) {
    free(input->file);
}

static int read_window(void *context, uint32_t offset, uint8_t *to, uint32_t length) {
    fuzz_source *source = context;
    memset(source->source.window, 0x5A, source->source.window_size); /* stale bytes must not pass for good ones */
    DEMAND(offset % 4 == 0 && offset <= source->input->size && length <= source->input->size - offset);
    DEMAND(length <= source->source.window_size);
    if (source->reads_left > 0 && --source->reads_left == 0) {
        return -1;
    }
    memcpy(to, source->input->file + offset, length);
    return 0;
}

static void add_piece(fuzz_source *source, uint32_t offset, uint32_t length) {
    uint8_t *piece = malloc(length);
    memcpy(piece, source->input->file + offset, length);
    source->extents[2 * source->count] = offset;
    source->extents[2 * source->count + 1] = (uintptr_t)piece;
    source->pieces[source->count++] = piece;
}

static void start(fuzz_source *source, const fuzz_input *input, uint32_t pieces) {
    memset(source, 0, sizeof *source);
    source->input = input;
    source->source.size = input->size;
    source->pieces = malloc(pieces * sizeof *source->pieces);
    source->extents = malloc(pieces * 2 * sizeof *source->extents);
}

void fuzz_open_whole(fuzz_source *source, const fuzz_input *input) {
    start(source, input, 1);
    add_piece(source, 0, input->size);
    source->source.base = source->pieces[0];
}

void fuzz_open_kind(fuzz_source *source, const fuzz_input *input) {
    start(source, input, MOST_PIECES);
    if (input->kind % 3 == 0) {
        /* Short ones have two to a section's entry; long ones hold more than a page. */
        uint32_t piece = SHORTEST_PIECE + 32 * input->spacing;
        for (uint32_t at = 0; at < input->size; at += piece) {
            int last = source->count == MOST_PIECES - 1;
            piece = last ? input->size - at : bw_min(piece, input->size - at);
            add_piece(source, at, piece);
        }
        source->source.extents = source->extents;
        source->source.extent_count = source->count;
        return;
    }
    source->source.window_size = BW_MIN_WINDOW + 4 * input->spacing;
    source->source.window = source->pieces[source->count++] = malloc(source->source.window_size);
    source->source.read = read_window;
    source->source.context = source;
    source->reads_left = input->kind % 3 == 2 ? 1u + input->fails_at : 0;
}

void fuzz_close(fuzz_source *source) {
    for (uint32_t i = 0; i < source->count; i++) {
        free(source->pieces[i]);
    }
    free(source->pieces);
    free(source->extents);
}

int fuzz_reliable(const fuzz_source *source) {
    return source->input->kind % 3 != 2;
}

/* Half of all mutations stay in one part and keep its length: a header is 544 bytes of 20,000, and a byte inserted in front of a page
 * makes another file of all that follows. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed) {
    size_t begin = 0, length = size > 8 ? 8u + bytes[7] : 8;
    if (seed % 2 || size < length + FUZZ_HEAD) {
        return LLVMFuzzerMutate(bytes, size, most);
    }
    unsigned part = seed / 2 % 8; /* 0: how to read, and the text; 1, 2: entries; 3: all fields; from 4: the pages after */
    if (part > 0) {
        begin = length;
        length = part < 3 ? 256 : FUZZ_HEAD;
    }
    for (size_t at = begin + FUZZ_HEAD; part > 3 && at + 2 < size; part--) {
        begin = at + 2;
        length = bw_min(bw_min(bw_load16(bytes + at), BW_PAGE), (uint32_t)(size - begin));
        at = begin + length;
    }
    uint8_t *copy = malloc(length + 1); /* so that no byte beyond changes */
    memcpy(copy, bytes + begin, length);
    size_t mutated = length ? LLVMFuzzerMutate(copy, length, length) : 0;
    memcpy(bytes + begin, copy, mutated);
    free(copy);
    return size;
}
