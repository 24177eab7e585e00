/* Is this file whole, and are its fields in their ranges? Checksums, sections, and the fields of page 0. */
#include "internal.h"

enum { VERSION = 1, MAX_SECTIONS = 16, CRC_AT = 12, ENTRIES_AT = 32, ENTRY = 16, FIELDS = 16, RECORD_HEAD = 4 };

/* CRC-32 steps four bits at a time: 16 words of table, since a native module's tables are copied to the heap. */
static const uint32_t crc_nibble[16] = {
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
    0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C, 0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
};

static uint32_t crc_bytes(uint32_t crc, const uint8_t *bytes, uint32_t length) {
    crc = ~crc;
    for (uint32_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ crc_nibble[crc & 15];
        crc = crc >> 4 ^ crc_nibble[crc & 15];
    }
    return ~crc;
}

int bw_crc32(bw_source *source, uint32_t offset, uint32_t length, uint32_t *crc) {
    uint32_t scratch[64];
    while (length > 0) {
        uint32_t step = bw_min(length, sizeof scratch);
        const uint8_t *bytes = bw_fetch(source, offset, step, length, (uint8_t *)scratch);
        if (!bytes) {
            return BW_ERR_READ;
        }
        *crc = crc_bytes(*crc, bytes, step);
        offset += step;
        length -= step;
    }
    return BW_OK;
}

/* Words of a file, which are aligned wherever its sections and the fields of page 0 have them. */
static const bw_word *fetch(bw_source *source, uint32_t offset, uint32_t length, uint32_t ahead, uint32_t *scratch) {
    return (const void *)bw_fetch(source, offset, length, ahead, (uint8_t *)scratch);
}

/* Check that a file is of the wanted kind and version. Returns its number of sections or an error. */
static int open_page(bw_source *source, const char *magic) {
    uint32_t scratch[2];
    const bw_word *head = fetch(source, 0, sizeof scratch, BW_FIELDS + FIELDS, scratch);
    if (!head || source->size < BW_PAGE) {
        return BW_ERR_READ;
    }
    if (head[0] != bw_load32((const uint8_t *)magic)) {
        return BW_ERR_MAGIC;
    }
    if ((head[1] & 0xFFFF) != VERSION) {
        return BW_ERR_VERSION;
    }
    uint32_t count = head[1] >> 16;
    return count <= MAX_SECTIONS ? (int)count : BW_ERR_FORMAT;
}

/* A section's entry. Returns its tag in `tag`, and 0 or an error. */
static int read_section(bw_source *source, int index, uint32_t *tag, bw_section *section) {
    uint32_t scratch[ENTRY / 4];
    uint32_t at = ENTRIES_AT + ENTRY * (uint32_t)index;
    const bw_word *entry = fetch(source, at, ENTRY, BW_FIELDS - at, scratch);
    if (!entry) {
        return BW_ERR_READ;
    }
    *tag = entry[0];
    section->offset = entry[1];
    section->length = entry[2];
    section->crc = entry[3];
    int inside = section->offset % BW_PAGE == 0 && section->offset >= BW_PAGE && section->offset <= source->size &&
                 section->length <= source->size - section->offset;
    return inside ? BW_OK : BW_ERR_FORMAT;
}

/* The sections of some tags, which follow one another in a string, into as many that follow one another in a structure. */
static int find_sections(bw_source *source, int count, const char *wanted, bw_section *section) {
    for (; *wanted; wanted += 4, section++) {
        uint32_t tag = 0;
        for (int index = 0; tag != bw_load32((const uint8_t *)wanted); index++) {
            int status = index < count ? read_section(source, index, &tag, section) : BW_ERR_FORMAT;
            if (status < 0) {
                return status;
            }
        }
    }
    return BW_OK;
}

#if BW_STAGES
int bw_find_sections(bw_source *source, const char *wanted, bw_section *section) {
    int count = open_page(source, "BWT1");
    return count < 0 ? count : find_sections(source, count, wanted, section);
}
#endif

/* Page 0 against its own CRC and the size of the source. */
static int check_page(bw_source *source) {
    static const uint8_t zeros[4] = {0, 0, 0, 0};
    uint32_t scratch[4], crc = 0;
    const bw_word *head = fetch(source, 0, sizeof scratch, sizeof scratch, scratch);
    if (!head) {
        return BW_ERR_READ;
    }
    uint32_t size = head[2], wanted = head[3];
    int status = bw_crc32(source, 0, CRC_AT, &crc);
    crc = crc_bytes(crc, zeros, sizeof zeros);
    status = status < 0 ? status : bw_crc32(source, CRC_AT + 4, BW_PAGE - CRC_AT - 4, &crc);
    if (status < 0) {
        return status;
    }
    if (crc != wanted) {
        return BW_ERR_CHECKSUM;
    }
    if (size > source->size) {
        return BW_ERR_READ;
    }
    return size == source->size && size % BW_PAGE == 0 ? BW_OK : BW_ERR_FORMAT;
}

int bw_check(bw_source *source, const char *magic, int all) {
    int count = open_page(source, magic);
    int status = count < 0 ? count : check_page(source);
    for (int index = 0; index < count && status == BW_OK; index++) {
        bw_section section;
        uint32_t tag, crc = 0;
        status = read_section(source, index, &tag, &section);
        if (all && status == BW_OK) {
            status = bw_crc32(source, section.offset, section.length, &crc);
            status = status == BW_OK && crc != section.crc ? BW_ERR_CHECKSUM : status;
        }
    }
    return status;
}

uint32_t bw_log2(uint32_t bits) {
    uint32_t log2 = 6;
    while (bits != 1u << log2) {
        if (bits < 1u << log2 || ++log2 > 10) {
            return 0;
        }
    }
    return log2;
}

/* The first fields of a file's own, still in a streamed source's window. Returns the number of sections or an error. */
static int read_fields(bw_source *source, const char *magic, uint32_t *fields) {
    int count = open_page(source, magic);
    if (count < 0) {
        return count;
    }
    const bw_word *at = fetch(source, BW_FIELDS, FIELDS, FIELDS, fields);
    if (!at) {
        return BW_ERR_READ;
    }
    for (uint32_t i = 0; i < FIELDS / 4; i++) {
        fields[i] = at[i];
    }
    return count;
}

/* The seed, and what the last layer's record says of the embedding. */
static int open_projection(bw_source *source, bw_encoder *encoder) {
    uint32_t scratch;
    const bw_word *at = fetch(source, BW_SEED, 4, 4, &scratch);
    encoder->seed = at ? *at : 0;
    at = at ? fetch(source, encoder->head.offset + BW_LAYER * (encoder->layers - 1), 4, BW_LAYER, &scratch) : NULL;
    if (!at) {
        return BW_ERR_READ;
    }
    encoder->units = encoder->seed ? *at >> 16 : *at & 0xFFFF;
    return encoder->seed && encoder->units > BW_MAX_PROJECTED ? BW_ERR_FORMAT : BW_OK;
}

int bw_open_encoder(bw_source *source, bw_encoder *encoder) {
    uint32_t fields[FIELDS / 4];
    int count = read_fields(source, "BWE1", fields);
    if (count < 0) {
        return count;
    }
    encoder->dims = fields[0] & 0xFFFF;
    encoder->row_bits = fields[0] >> 16;
    encoder->pieces = fields[1];
    encoder->gain = fields[2];
    encoder->bits = fields[3] & 0xFFFF;
    encoder->layers = fields[3] >> 16;
    int known = encoder->dims >= 32 && encoder->dims <= BW_MAX_DIMS && encoder->dims % 32 == 0 &&
                (encoder->row_bits == 2 || encoder->row_bits == 4 || encoder->row_bits == 8) &&
                encoder->pieces <= 0xFFFF && encoder->gain >= BW_MIN_GAIN && encoder->gain <= BW_MAX_GAIN &&
                bw_log2(encoder->bits) > 0 && encoder->layers >= 1 && encoder->layers <= 8;
    int status = known ? find_sections(source, count, "VOCBROWSSCALHEAD", &encoder->vocabulary) : BW_ERR_FORMAT;
    if (status == BW_OK && (encoder->rows.length != encoder->pieces * (encoder->dims / 8 * encoder->row_bits) ||
                            encoder->scales.length != encoder->pieces || encoder->head.length < BW_LAYER * encoder->layers)) {
        status = BW_ERR_FORMAT;
    }
    return status < 0 ? status : open_projection(source, encoder);
}

/* The sections of layout 1. At most 2^17 blocks of 2152 bytes: no product overflows. */
static int open_residual(bw_source *source, int count, bw_table *table) {
    if (table->bits > BW_MAX_RESIDUAL || (table->lanes != 32 && table->lanes != 64) ||
        table->weight_planes > bw_log2(table->bits) + 1) {
        return BW_ERR_FORMAT;
    }
    int status = find_sections(source, count, "PIVT", &table->pivots);
    uint32_t blocks = (table->count + table->lanes - 1) >> (table->lanes == 64 ? 6 : 5);
    if (status == BW_OK && (table->pivots.length != blocks * (table->bits / 8 + 4) ||
                            table->codes.length != blocks * bw_residual_stride(table))) {
        status = BW_ERR_FORMAT;
    }
    return status;
}

int bw_open_table(bw_source *source, bw_table *table) {
    uint32_t fields[FIELDS / 4];
    int count = read_fields(source, "BWT1", fields);
    if (count < 0) {
        return count;
    }
    table->count = fields[0];
    table->bits = fields[1] & 0xFFFF;
    table->layout = fields[1] >> 16 & 0xFF;
    table->lanes = fields[3] & 0xFF;
    table->weight_planes = fields[3] >> 8 & 0xFF;
    table->staged = fields[3] >> 16;
    uint32_t slots = table->count + table->staged;
    int known = bw_log2(table->bits) > 0 && table->count >= 1 && table->count <= BW_MAX_SLOTS &&
                slots <= bw_most_slots(table->bits) && table->layout <= BW_ROWS;
    int status = known ? find_sections(source, count, "CODELIVEOFFSDOCS", &table->codes) : BW_ERR_FORMAT;
    if (status < 0) {
        return status;
    }
    uint32_t row = table->bits / 8; /* bytes; no product overflows with 2^22 slots */
    if (table->live.length != (slots + BW_LANES - 1) / BW_LANES * 4 || table->offsets.length != (slots + 1) * 4) {
        return BW_ERR_FORMAT;
    }
    table->rows.offset = 0;
    if (table->staged > 0) {
        status = find_sections(source, count, "STAG", &table->rows);
        if (status < 0 || table->rows.length != table->staged * row) {
            return status < 0 ? status : BW_ERR_FORMAT;
        }
    }
    if (table->layout == BW_RESIDUAL) {
        return open_residual(source, count, table);
    }
    uint32_t codes = table->layout == BW_ROWS ? table->count : (table->count + BW_LANES - 1) / BW_LANES * BW_LANES;
    return table->codes.length == codes * row ? BW_OK : BW_ERR_FORMAT;
}

int bw_record(bw_source *source, const bw_table *table, uint32_t slot, uint32_t *offset, uint32_t *length) {
    uint32_t scratch[2];
    if (slot >= table->count + table->staged) {
        return BW_ERR_ARGUMENT;
    }
    const bw_word *ends = fetch(source, table->offsets.offset + 4 * slot, sizeof scratch, sizeof scratch, scratch);
    if (!ends) {
        return BW_ERR_READ;
    }
    uint32_t begin = ends[0], end = ends[1];
    if (begin > end || end - begin < RECORD_HEAD || end > table->documents.length) {
        return BW_ERR_FORMAT;
    }
    *offset = table->documents.offset + begin;
    *length = end - begin;
    return BW_OK;
}
