/* The int8 vector to a binary code: dense int8 layers, then a projection, or a last layer for its signs. */
#include "internal.h"

typedef struct dense_layer {
    uint32_t inputs, outputs;
    int32_t zero_point, low, high;
    uint32_t weights, biases, multipliers, shifts; /* file offsets */
} dense_layer;

/* Whether an array of a layer is aligned and inside the head; its file offset in `at`. */
static int place(const bw_section *head, const uint8_t *field, uint32_t length, uint32_t *at) {
    uint32_t offset = bw_load32(field);
    *at = head->offset + offset;
    return offset % 4 == 0 && offset <= head->length && length <= head->length - offset;
}

/* A layer's record, checked. `signs`: the code is its outputs' signs. Returns 0 or an error. */
static int read_layer(bw_source *source, const bw_encoder *encoder, uint32_t index, int signs, uint32_t inputs,
                      dense_layer *layer) {
    uint32_t scratch[BW_LAYER / 4];
    const bw_section *head = &encoder->head;
    const uint8_t *record = bw_fetch(source, head->offset + BW_LAYER * index, BW_LAYER, BW_LAYER, (uint8_t *)scratch);
    if (!record) {
        return BW_ERR_READ;
    }
    layer->inputs = bw_load16(record);
    layer->outputs = bw_load16(record + 2);
    layer->zero_point = (int8_t)record[4];
    layer->low = (int8_t)record[5];
    layer->high = (int8_t)record[6];
    uint32_t outputs = layer->outputs, words = 4 * outputs;
    int fits = layer->inputs == inputs && outputs >= 4 && outputs % 4 == 0 && outputs <= BW_MAX_UNITS &&
               (!signs || outputs == encoder->bits) && place(head, record + 8, inputs * outputs, &layer->weights) &&
               place(head, record + 12, words, &layer->biases) &&
               place(head, record + 16, signs ? 0 : words, &layer->multipliers) &&
               place(head, record + 20, signs ? 0 : outputs, &layer->shifts);
    return fits ? BW_OK : BW_ERR_FORMAT;
}

/* bias + weights . input of the outputs from `first` on. An input of more than BW_CHUNK is gone through in parts, and a streamed
 * source read as often. */
static int tile_sums(bw_source *source, const dense_layer *layer, const int8_t *input, uint32_t first, uint32_t count,
                     bw_tile *tile) {
    uint8_t *scratch = (uint8_t *)tile->scratch;
    const uint8_t *biases = bw_fetch(source, layer->biases + 4 * first, 4 * count, 4 * count, scratch);
    if (!biases) {
        return BW_ERR_READ;
    }
    for (uint32_t i = 0; i < count; i++) {
        tile->sums[i] = ((const bw_word *)(const void *)biases)[i];
    }
    for (uint32_t from = 0; from < layer->inputs; from += BW_CHUNK) {
        uint32_t length = bw_min(layer->inputs - from, BW_CHUNK), rows;
        int whole = length == layer->inputs;
        if (first == 0 || !whole) { /* otherwise it still is */
            bw_pack(input + from, length, tile->packed);
        }
        for (uint32_t i = 0; i < count; i += rows) {
            uint32_t at = layer->weights + (first + i) * layer->inputs + from;
            const uint8_t *weights;
            uint32_t span = bw_span(source, at, &weights);
            for (rows = 0; span >= length && rows < (whole ? count - i : 1); rows++) {
                span -= length;
            }
            if (rows == 0) {
                rows = 1;
                weights = bw_fetch(source, at, length, (count - i) * layer->inputs - from, scratch);
                if (!weights) {
                    return BW_ERR_READ;
                }
            }
            bw_multiply((const void *)weights, tile->packed, length, tile->sums + i, rows);
        }
    }
    return BW_OK;
}

static uint32_t magnitude(int32_t value) {
    return value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
}

/* (sum * multiplier + 2^(shift - 1)) >> shift, saturated to 16 bits. The 64-bit product is put together from 16-bit parts:
 * Cortex-M0+ has no wide multiplication, and its library's is neither quicker nor there to be called. Not inline: 16 bytes less. */
static __attribute__((noinline)) int32_t requantize(int32_t sum, int32_t multiplier, uint32_t shift) {
    uint32_t a = magnitude(sum), b = magnitude(multiplier);
    uint32_t a_low = a & 0xFFFF, a_high = a >> 16, b_low = b & 0xFFFF, b_high = b >> 16;
    uint32_t bottom = a_low * b_low, middle = a_high * b_low + (bottom >> 16);
    uint32_t middle2 = a_low * b_high + (middle & 0xFFFF);
    uint32_t low = middle2 << 16 | (bottom & 0xFFFF);
    uint32_t high = a_high * b_high + (middle >> 16) + (middle2 >> 16);
    if ((sum < 0) != (multiplier < 0)) {
        low = 0u - low;
        high = ~high + (low == 0);
    }
    uint32_t half = 1u << ((shift - 1) & 31);
    if (shift > 32) {
        high += half;
        return bw_clamp((int32_t)high >> (shift - 32), -0x8000, 0x7FFF);
    }
    low += half;
    high += low < half;
    if (shift == 32) {
        return bw_clamp((int32_t)high, -0x8000, 0x7FFF);
    }
    uint32_t top = (uint32_t)((int32_t)high >> (shift - 1)); /* all zeros or all ones when the result fits 32 bits */
    if (top + 1 > 1) {
        return (int32_t)high < 0 ? -0x8000 : 0x7FFF;
    }
    return bw_clamp((int32_t)(high << (32 - shift) | low >> shift), -0x8000, 0x7FFF);
}

/* A tile's sums to the int8 outputs of a hidden layer. */
static int finish_hidden(bw_source *source, const dense_layer *layer, uint32_t first, uint32_t count, bw_tile *tile,
                         int8_t *output) {
    uint8_t *scratch = (uint8_t *)tile->scratch;
    const uint8_t *shifts = bw_fetch(source, layer->shifts + first, count, count, scratch);
    if (!shifts) {
        return BW_ERR_READ;
    }
    for (uint32_t i = 0; i < count; i++) {
        tile->shifts[i] = shifts[i];
    }
    const uint8_t *multipliers = bw_fetch(source, layer->multipliers + 4 * first, 4 * count, 4 * count, scratch);
    if (!multipliers) {
        return BW_ERR_READ;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t shift = tile->shifts[i];
        if (shift < 1 || shift > 62) {
            return BW_ERR_FORMAT;
        }
        int32_t value = requantize((int32_t)tile->sums[i], (int32_t)bw_load32(multipliers + 4 * i), shift);
        output[first + i] = (int8_t)bw_clamp(layer->zero_point + value, layer->low, layer->high);
    }
    return BW_OK;
}

/* A tile's signs to bits of the code. */
static void finish_code(const bw_tile *tile, uint32_t count, uint32_t *code) {
    for (const uint32_t *sum = tile->sums, *end = sum + count; sum < end; code++) {
        uint32_t word = 0;
        for (int bit = 0; bit < 32; bit++) {
            word = word >> 1 | (*sum++ & 1u << 31);
        }
        *code = ~word;
    }
}

/* Run one layer; `code` is set for the last one, `output` for the others. */
static int run_layer(bw_source *source, const dense_layer *layer, const int8_t *input, bw_tile *tile, int8_t *output,
                     uint32_t *code) {
    int status = BW_OK;
    for (uint32_t first = 0; first < layer->outputs && status == BW_OK; first += BW_TILE) {
        uint32_t count = bw_min(layer->outputs - first, BW_TILE);
        status = tile_sums(source, layer, input, first, count, tile);
        if (status == BW_OK && code) {
            finish_code(tile, count, code + first / 32);
        } else if (status == BW_OK) {
            status = finish_hidden(source, layer, first, count, tile, output);
        }
    }
    return status;
}

int bw_encode(bw_source *source, const bw_encoder *encoder, const uint8_t *text, uint32_t length, const int8_t *centre,
              int8_t *embedding, uint32_t *code, uint8_t *memory) {
    bw_work *work = (bw_work *)(void *)memory;
    int count = bw_vector(source, encoder, text, length, work->b.vectors[0], memory);
    int status = count < 0 ? count : BW_OK;
    uint32_t inputs = encoder->dims, hidden = encoder->layers - (encoder->seed == 0);
    int32_t origin = 0;
    for (uint32_t index = 0; status == BW_OK; index++) {
        const int8_t *input = work->b.vectors[index & 1];
        dense_layer layer;
        int signs = index == hidden;
        if (signs) {
            if (inputs != encoder->units) {
                return BW_ERR_FORMAT;
            }
            for (uint32_t i = 0; embedding && i < inputs; i++) {
                embedding[i] = input[i];
            }
            if (encoder->seed) {
                bw_project(input, inputs, centre, origin, encoder, work->b.centred[~index & 1], work->a.sums, code);
                break;
            }
        }
        status = read_layer(source, encoder, index, signs, inputs, &layer);
        if (status == BW_OK) {
            status = run_layer(source, &layer, input, &work->a.tile, work->b.vectors[~index & 1], signs ? code : NULL);
            inputs = layer.outputs;
            origin = layer.zero_point;
        }
        if (signs) {
            break;
        }
    }
    return status < 0 ? status : count;
}
