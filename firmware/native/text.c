/* UTF-8 to normalised words, a character at a time: docs/format.md, "Text to words". */
#include "internal.h"

typedef enum char_kind { SEPARATOR, VANISHES, LETTER, DIGIT, ALONE } char_kind;

/* A letter, digit or character that stands alone, as a word takes it. */
typedef struct spelling {
    uint32_t length;
    uint8_t bytes[4];
} spelling;

enum { NOT_A_CHARACTER = 0xFFFD };

static inline int within(uint32_t value, uint32_t first, uint32_t last) {
    return value - first <= last - first;
}

/* The code point at `at`, not an ASCII one, and how many bytes it takes of those that are left. What is not UTF-8 is a separator
 * of one byte. */
static uint32_t decode(const uint8_t *at, uint32_t left, uint32_t *length) {
    uint32_t lead = at[0];
    uint32_t need = within(lead, 0xC2, 0xDF) ? 2 : within(lead, 0xE0, 0xEF) ? 3 : within(lead, 0xF0, 0xF4) ? 4 : 1;
    *length = 1;
    if (need == 1 || need > left) {
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

static inline char_kind classify_ascii(uint32_t code, spelling *result) {
    uint32_t lower = code | 0x20;
    result->length = 1;
    if (within(lower, 'a', 'z')) {
        result->bytes[0] = (uint8_t)lower;
        return LETTER;
    }
    result->bytes[0] = (uint8_t)code;
    return within(code, '0', '9') ? DIGIT : code == '\'' ? VANISHES : SEPARATOR;
}

/* A byte of the fold table: itself, a letter pair, a separator or nothing. */
static char_kind classify_folded(uint32_t fold, spelling *result) {
    result->length = 1;
    result->bytes[0] = (uint8_t)fold;
    for (const char *pair = "AaeOoeSssTthIij"; *pair; pair += 3) {
        if (fold == (uint8_t)pair[0]) {
            result->bytes[0] = (uint8_t)pair[1];
            result->bytes[1] = (uint8_t)pair[2];
            result->length = 2;
        }
    }
    return fold == ' ' ? SEPARATOR : fold == '-' ? VANISHES : within(fold, '0', '9') ? DIGIT : LETTER;
}

/* A character from U+0180 up as its UTF-8. */
static void spell(uint32_t code, spelling *result) {
    uint32_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    result->length = length;
    for (uint32_t i = length - 1; i > 0; i--) {
        result->bytes[i] = (uint8_t)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    result->bytes[0] = (uint8_t)(0xF00u >> length | code);
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
static char_kind classify_wide(uint32_t code, spelling *result) {
    if (vanishes(code)) {
        return VANISHES;
    }
    if (separates(code)) {
        return SEPARATOR;
    }
    if (within(code, 0x391, 0x3A9) || within(code, 0x410, 0x42F)) {
        code += 32; /* Greek and Cyrillic capitals */
    } else if (within(code, 0x400, 0x40F)) {
        code += 80;
    }
    spell(code, result);
    return stands_alone(code) ? ALONE : LETTER;
}

/* A code point beyond ASCII. Returns a char_kind, or BW_ERR_READ when the fold table cannot be read. Apart from the loop over
 * the text, which mostly goes without it. */
static __attribute__((noinline)) int classify(bw_source *source, uint32_t code, spelling *result) {
    if (code < BW_FOLD_FIRST) {
        return SEPARATOR;
    }
    if (code <= BW_FOLD_LAST) {
        uint32_t scratch;
        const uint8_t *fold = bw_fetch(source, BW_FOLD + (code - BW_FOLD_FIRST), 1, BW_FOLD_LAST + 1 - code,
                                       (uint8_t *)&scratch);
        return fold ? (int)classify_folded(*fold, result) : BW_ERR_READ;
    }
    return (int)classify_wide(code, result);
}

int bw_next_word(bw_text *text, uint8_t *word) {
    uint32_t length = 0;
    int word_kind = SEPARATOR;
    const uint8_t *at = text->bytes + text->position, *end = text->bytes + text->length;
    for (uint32_t taken; at < end; at += taken) {
        uint32_t code = *at;
        taken = 1;
        if (code >= 0x80) {
            code = decode(at, (uint32_t)(end - at), &taken);
            code -= within(code, 0xFF01, 0xFF5E) ? 0xFEE0 : 0; /* full-width forms of ASCII */
        }
        spelling next;
        int kind = code < 0x80 ? (int)classify_ascii(code, &next) : classify(text->source, code, &next);
        if (kind < 0) {
            return kind;
        }
        if (length > 0 && kind != VANISHES && (kind != word_kind || kind == ALONE)) {
            break; /* it belongs to the word after this one, and is read again there */
        }
        if (kind == SEPARATOR || kind == VANISHES) {
            continue;
        }
        word_kind = kind;
        if (length + next.length <= BW_MAX_WORD) {
            uint32_t i = 0;
            do {
                word[length++] = next.bytes[i++];
            } while (i < next.length);
        }
    }
    text->position = (uint32_t)(at - text->bytes);
    return (int)length;
}
