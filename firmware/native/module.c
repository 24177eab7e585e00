/* The core as the MicroPython module bitwren_native: the only file that knows MicroPython, which loads it from a file (a native
 * module) or has it in its firmware (a user C module).
 *
 * Every function takes a source first: a buffer (the whole file in memory), (extents, size) with extents an array('L') of pairs
 * (file offset, address), or (read, window, size) with read(offset, length) filling window[:length]. Trouble with a file is a
 * negative BW_ERR code; a wrong argument raises; what read raises passes through. */
#ifdef MICROPY_ENABLE_DYNRUNTIME
#include "py/dynruntime.h"
#define memmove mp_fun_table.memmove_
#else
#include <string.h>

#include "py/runtime.h"
#endif

#include "bitwren.h"

enum { ABI = 4 };

enum { OR_NONE = 0x80 }; /* an access to a buffer: NULL in place of None */

/* A buffer of at least `size` bytes, aligned for its elements (1, 2, 4 or 8: no library division). */
static void *get_buffer(mp_obj_t object, int access, size_t size, size_t alignment, size_t *length) {
    mp_buffer_info_t info;
    if (access & OR_NONE && object == mp_const_none) {
        return NULL;
    }
    mp_get_buffer_raise(object, &info, access & ~OR_NONE);
    if (info.len < size) {
        mp_raise_ValueError(MP_ERROR_TEXT("buffer too short"));
    }
    if ((uintptr_t)info.buf & (alignment - 1)) {
        mp_raise_ValueError(MP_ERROR_TEXT("buffer not aligned"));
    }
    if (length) {
        *length = info.len;
    }
    return info.buf;
}

static uint32_t get_unsigned(mp_obj_t object) {
    mp_int_t value = mp_obj_get_int(object);
    if (value < 0) {
        mp_raise_ValueError(MP_ERROR_TEXT("negative"));
    }
    return (uint32_t)value;
}

/* What bw_source.read calls: context is the Python function, which fills the window that `to` points to. */
static int call_read(void *context, uint32_t offset, uint8_t *to, uint32_t length) {
    (void)to;
    mp_obj_t arguments[2] = {mp_obj_new_int_from_uint(offset), mp_obj_new_int_from_uint(length)};
    mp_call_function_n_kw((mp_obj_t)context, 2, 0, arguments);
    return 0;
}

/* A stray address would crash the board, so what can be checked of the pieces is, at a few cycles each. */
static void set_extents(bw_source *source, mp_obj_t object) {
    size_t length;
    const uintptr_t *extents = get_buffer(object, MP_BUFFER_READ, 2 * sizeof(uintptr_t), sizeof(uintptr_t), &length);
    uint32_t count = (uint32_t)(length / (2 * sizeof(uintptr_t)));
    for (uint32_t i = 0; i < count; i++) {
        const uintptr_t *extent = extents + 2 * i;
        if ((extent[0] | extent[1]) % 4 != 0 || (i == 0 ? extent[0] != 0 : extent[0] <= extent[-2])) {
            mp_raise_ValueError(MP_ERROR_TEXT("extents must be multiples of 4, ascending from 0"));
        }
    }
    source->extents = extents;
    source->extent_count = count;
}

static void get_source(mp_obj_t object, bw_source *source) {
    source->base = NULL;
    source->extents = NULL;
    source->read = NULL;
    source->extent_count = source->extent_hint = 0;
    source->window_start = source->window_length = 0;
    size_t length;
    if (mp_obj_get_type(object) != &mp_type_tuple) {
        source->base = get_buffer(object, MP_BUFFER_READ, 0, 4, &length);
        source->size = (uint32_t)length;
        return;
    }
    mp_obj_t *items;
    mp_obj_get_array(object, &length, &items);
    if (length == 2) {
        set_extents(source, items[0]);
    } else if (length == 3) {
        source->read = call_read;
        source->context = (void *)items[0];
        source->window = get_buffer(items[1], MP_BUFFER_WRITE, BW_MIN_WINDOW, 4, &length);
        source->window_size = (uint32_t)length;
        length = 3;
    } else {
        mp_raise_TypeError(MP_ERROR_TEXT("source is no buffer, nor tuple of 2 or 3"));
    }
    source->size = get_unsigned(items[length - 1]);
}

/* check(source, magic, all) -> 0 or an error */
static mp_obj_t check(mp_obj_t source_in, mp_obj_t magic_in, mp_obj_t all_in) {
    bw_source source;
    get_source(source_in, &source);
    const char *magic = get_buffer(magic_in, MP_BUFFER_READ, 4, 1, NULL);
    return mp_obj_new_int(bw_check(&source, magic, mp_obj_is_true(all_in)));
}
static MP_DEFINE_CONST_FUN_OBJ_3(check_obj, check);

/* tokens(source, text, ids) -> number of tokens, as many as fit in the array('H'), or an error */
static mp_obj_t tokens(mp_obj_t source_in, mp_obj_t text_in, mp_obj_t ids_in) {
    bw_source source;
    bw_encoder encoder;
    size_t length, size;
    get_source(source_in, &source);
    const uint8_t *text = get_buffer(text_in, MP_BUFFER_READ, 0, 1, &length);
    uint16_t *ids = get_buffer(ids_in, MP_BUFFER_WRITE, 0, 2, &size);
    int result = bw_open_encoder(&source, &encoder);
    if (result == BW_OK) {
        result = bw_tokens(&source, &encoder, text, (uint32_t)length, ids, (uint32_t)(size / 2));
    }
    return mp_obj_new_int(result);
}
static MP_DEFINE_CONST_FUN_OBJ_3(tokens_obj, tokens);

/* An argument, or None where it was left out. */
static mp_obj_t optional(size_t count, const mp_obj_t *arguments, size_t index) {
    return index < count ? arguments[index] : mp_const_none;
}

/* encode(source, text, code, work, centre=None, embedding=None) -> number of tokens or an error. centre: int8 values that a
 * projection is centred on, in place of the encoder's own; embedding: gets those that the last step is given. */
static mp_obj_t encode(size_t count, const mp_obj_t *arguments) {
    bw_source source;
    bw_encoder encoder;
    size_t length;
    get_source(arguments[0], &source);
    const uint8_t *text = get_buffer(arguments[1], MP_BUFFER_READ, 0, 1, &length);
    uint8_t *work = get_buffer(arguments[3], MP_BUFFER_WRITE, BW_ENCODE_WORK, 4, NULL);
    int result = bw_open_encoder(&source, &encoder);
    if (result == BW_OK) {
        uint32_t *code = get_buffer(arguments[2], MP_BUFFER_WRITE, encoder.bits / 8, 4, NULL);
        const int8_t *centre =
            get_buffer(optional(count, arguments, 4), MP_BUFFER_READ | OR_NONE, encoder.units, 1, NULL);
        int8_t *embedding = get_buffer(optional(count, arguments, 5), MP_BUFFER_WRITE | OR_NONE, encoder.units, 1, NULL);
        result = bw_encode(&source, &encoder, text, (uint32_t)length, centre, embedding, code, work);
    }
    return mp_obj_new_int(result);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(encode_obj, 4, 6, encode);

#ifdef __thumb__
/* Whether this processor runs what was just written to RAM. MicroPython keeps this module itself and viper functions in the same
 * heap, so mostly it does: not where a cache lies between (Cortex-M7, M55), or an MPU may forbid it. */
static bool runs_ram(void) {
    const volatile uint32_t *registers = (const volatile uint32_t *)0xE000ED00;
    uint32_t control, part = registers[0] >> 4 & 0xFFF, mpu = registers[0x94 / 4]; /* CPUID, MPU_CTRL */
    __asm__ volatile("mrs %0, control" : "=r"(control));
#ifdef __ARM_ARCH_6M__
    bool known = part == 0xC60; /* Cortex-M0+ */
#else
    bool known = part == 0xC23 || part == 0xC24 || part == 0xD21; /* Cortex-M3, M4, M33 */
#endif
    return known
           && !(control & 1) && (!(mpu & 1) || mpu > 7); /* privileged; all ones is the emulated Pico, which has no MPU */
}

/* What is behind the work memory, if the query may become code there. */
static uint16_t *executable(uint8_t *work, size_t size, const bw_table *table) {
    uint8_t *to = work + BW_SEARCH_WORK;
    bool fits = table->bits <= BW_MAX_CODE_BITS && size >= BW_SEARCH_WORK + BW_SEARCH_CODE(table->bits);
    uint32_t region = (uintptr_t)to >> 28; /* RAM is 2 and 3, on QEMU's boards 0; 1 may be data memory of its own (STM32's CCM) */
    return fits && region < 4 && region != 1 && runs_ram() ? (uint16_t *)(void *)to : NULL;
}
#else
#define runs_ram() 0
#define executable(work, size, table) NULL
#endif

/* Words that may be left out, or None, and their bytes. */
static const uint32_t *get_words(size_t count, const mp_obj_t *arguments, size_t index, uint32_t *bytes) {
    size_t size = 0;
    const uint32_t *words = get_buffer(optional(count, arguments, index), MP_BUFFER_READ | OR_NONE, 0, 4, &size);
    *bytes = (uint32_t)size;
    return words;
}

/* search(source, code, k, hits, work, effort=100, live=None, rows=None) -> number of hits, pairs (distance, slot) of 32 bits each, or
 * an error. live: a word for every 32 slots, in place of the file's; rows: codes of the slots after the file's.
 * Where `work` is SEARCH_CODE * bits / 512 bytes longer than SEARCH_WORK, a flat table of up to 512 bits is searched by code made
 * for the query. */
static mp_obj_t search(size_t count, const mp_obj_t *arguments) {
    bw_source source;
    bw_table table;
    bw_changes changes;
    size_t size;
    get_source(arguments[0], &source);
    uint32_t k = get_unsigned(arguments[2]);
    bw_hit *hits = get_buffer(arguments[3], MP_BUFFER_WRITE, 0, 4, &size);
    if (k == 0 || k > size / sizeof(bw_hit)) {
        mp_raise_ValueError(MP_ERROR_TEXT("hits: 8 bytes for each of k"));
    }
    uint8_t *work = get_buffer(arguments[4], MP_BUFFER_WRITE, BW_SEARCH_WORK, 4, &size);
    changes.live = get_words(count, arguments, 6, &changes.live_size);
    changes.rows = get_words(count, arguments, 7, &changes.rows_size);
    int result = bw_open_table(&source, &table);
    if (result == BW_OK) {
        const uint32_t *code = get_buffer(arguments[1], MP_BUFFER_READ, table.bits / 8, 4, NULL);
        uint32_t effort = count > 5 ? get_unsigned(arguments[5]) : 100;
        result = bw_search_effort(&source, &table, &changes, code, k, effort, hits, work,
                                  executable(work, size, &table));
    }
    return mp_obj_new_int(result);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(search_obj, 5, 8, search);

#if BW_STAGES
/* rank(table_source, encoder_source, text, code, embedding, hits, found, k, ranked, work, stages=3, live=None) -> number of results,
 * or an error. hits: of which search() found `found`; embedding: encode()'s, or None where vectors are not asked for. ranked: room
 * for found + DEPTH triples (score, distance, slot) of 32 bits each, the first ones the results. stages: 1 vectors, 2 words. */
static mp_obj_t rank(size_t count, const mp_obj_t *arguments) {
    bw_source source, fold;
    bw_table table;
    bw_changes changes;
    bw_question question;
    size_t length;
    get_source(arguments[0], &source);
    get_source(arguments[1], &fold);
    question.fold = &fold;
    question.text = get_buffer(arguments[2], MP_BUFFER_READ, 0, 1, &length);
    question.length = (uint32_t)length;
    size_t units = 0;
    question.embedding = get_buffer(arguments[4], MP_BUFFER_READ | OR_NONE, 0, 1, &units);
    question.units = (uint32_t)units;
    question.hits = get_buffer(arguments[5], MP_BUFFER_READ, 0, 4, &length);
    question.found = get_unsigned(arguments[6]);
    uint32_t k = get_unsigned(arguments[7]);
    if (k == 0 || question.found > length / sizeof(bw_hit)) {
        mp_raise_ValueError(MP_ERROR_TEXT("hits: 8 bytes for each of k"));
    }
    bw_result *ranked =
        get_buffer(arguments[8], MP_BUFFER_WRITE, (question.found + BW_DEPTH) * sizeof(bw_result), 4, NULL);
    uint8_t *work = get_buffer(arguments[9], MP_BUFFER_WRITE, BW_RANK_WORK, 4, NULL);
    uint32_t stages = count > 10 ? get_unsigned(arguments[10]) : BW_BY_VECTORS | BW_BY_WORDS;
    changes.live = get_words(count, arguments, 11, &changes.live_size);
    int result = bw_open_table(&source, &table);
    if (result == BW_OK) {
        question.code = get_buffer(arguments[3], MP_BUFFER_READ, table.bits / 8, 4, NULL);
        result = bw_rank(&source, &table, &changes, &question, k, stages, ranked, work);
    }
    return mp_obj_new_int(result);
}
static MP_DEFINE_CONST_FUN_OBJ_VAR_BETWEEN(rank_obj, 10, 12, rank);
#endif

/* record(source, slot, out) -> 0, and where the record lies in the file (offset, length), or an error */
static mp_obj_t record(mp_obj_t source_in, mp_obj_t slot_in, mp_obj_t out_in) {
    bw_source source;
    bw_table table;
    get_source(source_in, &source);
    uint32_t slot = get_unsigned(slot_in);
    uint32_t *out = get_buffer(out_in, MP_BUFFER_WRITE, 8, 4, NULL);
    int result = bw_open_table(&source, &table);
    if (result == BW_OK) {
        result = bw_record(&source, &table, slot, &out[0], &out[1]);
    }
    return mp_obj_new_int(result);
}
static MP_DEFINE_CONST_FUN_OBJ_3(record_obj, record);

/* read(source, offset, buffer) -> 0 with the buffer filled, or an error */
static mp_obj_t read_bytes(mp_obj_t source_in, mp_obj_t offset_in, mp_obj_t buffer_in) {
    bw_source source;
    size_t length;
    get_source(source_in, &source);
    uint32_t offset = get_unsigned(offset_in);
    uint8_t *to = get_buffer(buffer_in, MP_BUFFER_WRITE, 0, 1, &length);
    while (length > 0) {
        uint32_t most = BW_MIN_WINDOW - offset % 4;
        uint32_t step = length < most ? (uint32_t)length : most;
        const uint8_t *from = bw_fetch(&source, offset, step, (uint32_t)length, to);
        if (!from) {
            return mp_obj_new_int(BW_ERR_READ);
        }
        if (from != to) {
            memmove(to, from, step);
        }
        to += step;
        offset += step;
        length -= step;
    }
    return mp_obj_new_int(BW_OK);
}
static MP_DEFINE_CONST_FUN_OBJ_3(read_obj, read_bytes);

/* crc32(source, offset, length) -> the checksum or an error */
static mp_obj_t crc32(mp_obj_t source_in, mp_obj_t offset_in, mp_obj_t length_in) {
    bw_source source;
    uint32_t crc = 0;
    get_source(source_in, &source);
    int status = bw_crc32(&source, get_unsigned(offset_in), get_unsigned(length_in), &crc);
    return status < 0 ? mp_obj_new_int(status) : mp_obj_new_int_from_uint(crc);
}
static MP_DEFINE_CONST_FUN_OBJ_3(crc32_obj, crc32);

/* What the module holds. mpy_ld and MicroPython's makefiles look for the names in the text, so they stand here in full. */
#if BW_STAGES
#define RANKING(FUNCTION, NUMBER) \
    FUNCTION(MP_QSTR_rank, rank_obj) \
    NUMBER(MP_QSTR_RANK_WORK, BW_RANK_WORK) \
    NUMBER(MP_QSTR_DEPTH, BW_DEPTH)
#else
#define RANKING(FUNCTION, NUMBER)
#endif
#define CONTENTS(FUNCTION, NUMBER) \
    FUNCTION(MP_QSTR_check, check_obj) \
    FUNCTION(MP_QSTR_tokens, tokens_obj) \
    FUNCTION(MP_QSTR_encode, encode_obj) \
    FUNCTION(MP_QSTR_search, search_obj) \
    FUNCTION(MP_QSTR_record, record_obj) \
    RANKING(FUNCTION, NUMBER) \
    FUNCTION(MP_QSTR_read, read_obj) \
    FUNCTION(MP_QSTR_crc32, crc32_obj) \
    NUMBER(MP_QSTR_ENCODE_WORK, BW_ENCODE_WORK) \
    NUMBER(MP_QSTR_SEARCH_WORK, BW_SEARCH_WORK) \
    NUMBER(MP_QSTR_MAX_TEXT, BW_MAX_TEXT) \
    NUMBER(MP_QSTR_MIN_WINDOW, BW_MIN_WINDOW) \
    NUMBER(MP_QSTR_ABI, ABI)

#ifdef MICROPY_ENABLE_DYNRUNTIME

#define STORE_FUNCTION(name, object) mp_store_global(name, MP_OBJ_FROM_PTR(&object));
#define STORE_NUMBER(name, value) mp_store_global(name, MP_OBJ_NEW_SMALL_INT(value));

mp_obj_t mpy_init(mp_obj_fun_bc_t *self, size_t n_args, size_t n_kw, mp_obj_t *args) {
    (void)n_args;
    (void)n_kw;
    (void)args;
    MP_DYNRUNTIME_INIT_ENTRY
    CONTENTS(STORE_FUNCTION, STORE_NUMBER)
    if (runs_ram()) {
        STORE_NUMBER(MP_QSTR_SEARCH_CODE, BW_SEARCH_CODE(BW_MAX_CODE_BITS))
    }
    MP_DYNRUNTIME_INIT_EXIT
}

#else

#define FUNCTION_ENTRY(name, object) {MP_ROM_QSTR(name), MP_ROM_PTR(&object)},
#define NUMBER_ENTRY(name, value) {MP_ROM_QSTR(name), MP_ROM_INT(value)},

static const mp_rom_map_elem_t globals_table[] = {
    {MP_ROM_QSTR(MP_QSTR___name__), MP_ROM_QSTR(MP_QSTR_bitwren_native)},
    CONTENTS(FUNCTION_ENTRY, NUMBER_ENTRY)
#ifdef __thumb__
    NUMBER_ENTRY(MP_QSTR_SEARCH_CODE, BW_SEARCH_CODE(BW_MAX_CODE_BITS)) /* a table cannot ask the chip; search() does */
#endif
};
static MP_DEFINE_CONST_DICT(globals, globals_table);

const mp_obj_module_t bitwren_native_module = {
    .base = {&mp_type_module},
    .globals = (mp_obj_dict_t *)&globals,
};

/* Not extensible: a file of this name does not take its place. */
MP_REGISTER_MODULE(MP_QSTR_bitwren_native, bitwren_native_module);

#endif
