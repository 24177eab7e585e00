/* An encoder that libFuzzer made up, opened, checked and given a text. */
#include <stdlib.h>
#include <string.h>

#include "input.h"

enum { ROOM = 40 };

typedef struct answers {
    int checked, opened, tokens, valued, coded; /* statuses and numbers of tokens */
    uint32_t dims, bits;
    uint16_t ids[ROOM];
    int8_t vector[BW_MAX_DIMS];
    uint32_t code[BW_MAX_BITS / 32];
} answers;

static void ask(fuzz_source *from, const uint8_t *text, uint32_t length, answers *a) {
    bw_source *source = &from->source;
    bw_encoder encoder;
    memset(a, 0, sizeof *a);
    a->checked = bw_check(source, "BWE1", 1);
    a->opened = bw_open_encoder(source, &encoder); /* whatever the check said */
    if (a->opened != BW_OK) {
        return;
    }
    a->dims = encoder.dims;
    a->bits = encoder.bits;
    DEMAND(a->dims >= 32 && a->dims <= BW_MAX_DIMS && a->bits >= 64 && a->bits <= BW_MAX_BITS);
    uint16_t *ids = malloc(sizeof a->ids);
    int8_t *vector = malloc(a->dims);
    uint32_t *code = malloc(a->bits / 8);
    uint8_t *work = malloc(BW_ENCODE_WORK);
    a->tokens = bw_tokens(source, &encoder, text, length, ids, ROOM);
    for (int i = 0; i < a->tokens && i < ROOM; i++) {
        DEMAND(ids[i] < encoder.pieces);
        a->ids[i] = ids[i];
    }
    memset(work, 0x5A, BW_ENCODE_WORK);
    a->valued = bw_vector(source, &encoder, text, length, vector, work);
    if (a->valued >= 0) {
        memcpy(a->vector, vector, a->dims);
    }
    memset(work, 0xA5, BW_ENCODE_WORK);
    a->coded = bw_encode(source, &encoder, text, length, NULL, NULL, code, work);
    if (a->coded >= 0) {
        memcpy(a->code, code, a->bits / 8);
    }
    free(ids);
    free(vector);
    free(code);
    free(work);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    fuzz_input input;
    fuzz_source whole, other;
    static answers a, b;
    if (!fuzz_begin(bytes, length, "BWE1", &input)) {
        return -1;
    }
    uint32_t repeats = 1u + input.repeats % 24, size = repeats * input.length; /* up to 6120: longer than a query may be */
    uint8_t *text = malloc(size);
    for (uint32_t i = 0; i < repeats; i++) {
        memcpy(text + i * input.length, input.text, input.length);
    }
    fuzz_open_whole(&whole, &input);
    fuzz_open_kind(&other, &input);
    ask(&whole, text, size, &a);
    ask(&other, text, size, &b);
    if (fuzz_reliable(&other)) {
        DEMAND(memcmp(&a, &b, sizeof a) == 0);
    }
    free(text);
    fuzz_close(&whole);
    fuzz_close(&other);
    fuzz_end(&input);
    return 0;
}
