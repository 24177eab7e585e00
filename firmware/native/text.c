/* UTF-8 to normalised words, a character at a time: docs/format.md, "Text to words". */
#include "internal.h"

typedef enum char_kind { SEPARATOR, VANISHES, LETTER, DIGIT, ALONE } char_kind;

/* A character as a word takes it. */
typedef struct character {
    char_kind kind;
    uint32_t length;
    uint8_t bytes[4];
} character;

enum { NOT_A_CHARACTER = 0xFFFD };

static inline int within(uint32_t value, uint32_t first, uint32_t last) {
    return value - first <= last - first;
}

/* The code point at the text's position, and how many bytes it takes. What is not UTF-8 is a separator of one byte. */
static uint32_t decode(const bw_text *text, uint32_t *length) {
    const uint8_t *at = text->bytes + text->position;
    uint32_t lead = at[0];
    uint32_t need = within(lead, 0xC2, 0xDF) ? 2 : within(lead, 0xE0, 0xEF) ? 3 : within(lead, 0xF0, 0xF4) ? 4 : 1;
    *length = 1;
    if (need == 1) {
        return lead < 0x80 ? lead : NOT_A_CHARACTER;
    }
    if (need > text->length - text->position) {
        return NOT_A_CHARACTER;
    }
    uint32_t code_point = lead & 0x7Fu >> need;
    for (uint32_t i = 1; i < need; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return NOT_A_CHARACTER;
        }
        code_point = code_point << 6 | (at[i] & 0x3F);
    }
    *length = need;
    /* Overlong spellings of ASCII would otherwise be a second way to write a letter. */
    return code_point >= 0x80 ? code_point : NOT_A_CHARACTER;
}

static character nothing(char_kind kind) {
    character result;
    result.kind = kind;
    result.length = 0;
    return result;
}

static character one_byte(char_kind kind, uint32_t byte) {
    character result = nothing(kind);
    result.bytes[result.length++] = (uint8_t)byte;
    return result;
}

static character classify_ascii(uint32_t code) {
    if (within(code | 0x20, 'a', 'z')) {
        return one_byte(LETTER, code | 0x20);
    }
    if (within(code, '0', '9')) {
        return one_byte(DIGIT, code);
    }
    return nothing(code == '\'' ? VANISHES : SEPARATOR);
}

/* A byte of the fold table: itself, a letter pair, a separator or nothing. */
static character classify_folded(uint32_t fold) {
    if (fold == ' ' || fold == '-') {
        return nothing(fold == '-' ? VANISHES : SEPARATOR);
    }
    character result = one_byte(within(fold, '0', '9') ? DIGIT : LETTER, fold);
    for (const char *pair = "AaeOoeSssTthIij"; *pair; pair += 3) {
        if (fold == (uint8_t)pair[0]) {
            result.bytes[0] = (uint8_t)pair[1];
            result.bytes[1] = (uint8_t)pair[2];
            result.length = 2;
        }
    }
    return result;
}

/* A character from U+0180 up as its UTF-8. */
static character spelled(char_kind kind, uint32_t code) {
    character result = nothing(kind);
    if (code < 0x800) {
        result.bytes[result.length++] = (uint8_t)(0xC0 | code >> 6);
    } else {
        if (code < 0x10000) {
            result.bytes[result.length++] = (uint8_t)(0xE0 | code >> 12);
        } else {
            result.bytes[result.length++] = (uint8_t)(0xF0 | code >> 18);
            result.bytes[result.length++] = (uint8_t)(0x80 | (code >> 12 & 0x3F));
        }
        result.bytes[result.length++] = (uint8_t)(0x80 | (code >> 6 & 0x3F));
    }
    result.bytes[result.length++] = (uint8_t)(0x80 | (code & 0x3F));
    return result;
}

static int vanishes(uint32_t code) {
    return within(code, 0x300, 0x36F) || code == 0x2BC || within(code, 0xFE00, 0xFE0F) ||
           within(code, 0x200B, 0x200D) || code == 0x2018 || code == 0x2019;
}

static int separates(uint32_t code) {
    return within(code, 0x2000, 0x2BFF) || within(code, 0x3000, 0x303F) || within(code, 0xD800, 0xF8FF) ||
           within(code, 0xFFF0, 0xFFFF) || within(code, 0x1F000, 0x1FAFF) || code > 0x10FFFF;
}

static int stands_alone(uint32_t code) {
    return within(code, 0x2E80, 0x2FFF) || within(code, 0x3040, 0x9FFF) || within(code, 0xF900, 0xFAFF) ||
           within(code, 0x20000, 0x3FFFF);
}

/* A code point above the fold table. */
static character classify_wide(uint32_t code) {
    if (vanishes(code)) {
        return nothing(VANISHES);
    }
    if (separates(code)) {
        return nothing(SEPARATOR);
    }
    if (within(code, 0x391, 0x3A9) || within(code, 0x410, 0x42F)) {
        code += 32; /* Greek and Cyrillic capitals */
    } else if (within(code, 0x400, 0x40F)) {
        code += 80;
    }
    return spelled(stands_alone(code) ? ALONE : LETTER, code);
}

/* Returns 0, or BW_ERR_READ when the fold table cannot be read. */
static int classify(bw_source *source, uint32_t code, character *result) {
    if (within(code, 0xFF01, 0xFF5E)) {
        code -= 0xFEE0; /* full-width forms of ASCII */
    }
    if (code < 0x80) {
        *result = classify_ascii(code);
    } else if (code < BW_FOLD_FIRST) {
        *result = nothing(SEPARATOR);
    } else if (code <= BW_FOLD_LAST) {
        uint32_t scratch;
        const uint8_t *fold = bw_fetch(source, BW_FOLD + (code - BW_FOLD_FIRST), 1, BW_FOLD_LAST + 1 - code,
                                       (uint8_t *)&scratch);
        if (!fold) {
            return BW_ERR_READ;
        }
        *result = classify_folded(*fold);
    } else {
        *result = classify_wide(code);
    }
    return BW_OK;
}

int bw_next_word(bw_text *text, uint8_t *word) {
    uint32_t length = 0;
    char_kind word_kind = SEPARATOR;
    while (text->position < text->length) {
        uint32_t taken;
        character next;
        int status = classify(text->source, decode(text, &taken), &next);
        if (status < 0) {
            return status;
        }
        if (length > 0 && next.kind != VANISHES && (next.kind != word_kind || next.kind == ALONE)) {
            break; /* it belongs to the word after this one, and is read again there */
        }
        text->position += taken;
        if (next.kind == SEPARATOR || next.kind == VANISHES) {
            continue;
        }
        word_kind = next.kind;
        if (length + next.length <= BW_MAX_WORD) {
            for (uint32_t i = 0; i < next.length; i++) {
                word[length++] = next.bytes[i];
            }
        }
    }
    return (int)length;
}
