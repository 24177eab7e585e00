/* A stand-in for MicroPython under qemu-xtensa: as much of its native interface as bitwren_native uses, and a way to call the
 * module's functions from a test on this machine.
 *
 * Standard input is 32-bit words and bytes: first the module, its relocations already applied (the symbols module_text,
 * module_rodata and qstr_table say for which addresses): length and bytes of text and of rodata, the number of qstrs. Then calls:
 * the function's qstr (the module's own ones count from OWN_QSTRS on), the number of arguments, the arguments (see
 * read_argument). KEEP in place of a qstr, a length and bytes keep a file for later calls. The answer is RETURNED or RAISED, the
 * value, and the contents of every ARG_BUFFER, in order. */
#include "py/nativeglue.h"
#include "py/objfun.h"

/* A value; length, bytes; length; file; file, piece; file, window. */
enum { ARG_INT, ARG_BUFFER, ARG_ROOM, ARG_FILE, ARG_EXTENTS, ARG_STREAM };
enum { RETURNED, RAISED };
enum { KEEP = 0xFFFF, OWN_QSTRS = 256, MOST_QSTRS = 512 };
enum { MOST_ARGUMENTS = 8, MOST_FILES = 64, TEXT_ROOM = 1 << 16, HEAP = 32 << 20 };

int read_some(int file, void *to, unsigned length);
int write_some(int file, const void *from, unsigned length);
void leave(int status) __attribute__((noreturn));

uint8_t module_text[TEXT_ROOM] __attribute__((aligned(16), section(".module_text")));
uint8_t module_rodata[TEXT_ROOM] __attribute__((aligned(16)));
uint16_t qstr_table[MOST_QSTRS - OWN_QSTRS];

static uint8_t heap[HEAP] __attribute__((aligned(16)));
static uint32_t heap_used;

static const mp_obj_type_t type_int, type_buffer, type_tuple, type_reader, type_fun_3, type_fun_var;

typedef struct {
    mp_obj_base_t base;
    uint32_t value;
} number;

/* A buffer, and a file that is one. */
typedef struct {
    mp_obj_base_t base;
    uint8_t *bytes;
    uint32_t length;
} buffer;

/* What read(offset, length) of a stream is. */
typedef struct {
    mp_obj_base_t base;
    const buffer *file, *window;
} reader;

typedef struct {
    mp_obj_base_t base;
    size_t length;
    mp_obj_t items[3];
} tuple;

static mp_obj_t globals[MOST_QSTRS];
static buffer files[MOST_FILES];

/* No more bytes: the test has nothing more to ask. */
static void get(void *to, uint32_t length) {
    uint8_t *at = to;
    while (length > 0) {
        int step = read_some(0, at, length);
        if (step <= 0) {
            leave(step < 0);
        }
        at += step;
        length -= (uint32_t)step;
    }
}

static uint32_t get_word(void) {
    uint32_t word;
    get(&word, sizeof word);
    return word;
}

static void put(const void *from, uint32_t length) {
    const uint8_t *at = from;
    while (length > 0) {
        int step = write_some(1, at, length);
        if (step <= 0) {
            leave(2);
        }
        at += step;
        length -= (uint32_t)step;
    }
}

static void put_answer(uint32_t kind, uint32_t value) {
    uint32_t words[2] = {kind, value};
    put(words, sizeof words);
}

static void *reserve(uint32_t length) {
    uint8_t *at = heap + heap_used;
    length = (length + 15) & ~15u;
    if (length > HEAP - heap_used) {
        leave(3);
    }
    heap_used += length;
    return at;
}

static void copy(void *to, const void *from, uint32_t length) {
    for (uint32_t i = 0; i < length; i++) {
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
}

static buffer *new_buffer(uint32_t length) {
    buffer *made = reserve(sizeof *made);
    made->base.type = &type_buffer;
    made->length = length;
    made->bytes = reserve(length);
    return made;
}

static mp_obj_t new_number(mp_uint_t value, mp_uint_t kind) {
    number *made = reserve(sizeof *made);
    (void)kind;
    made->base.type = &type_int;
    made->value = value;
    return made;
}

static mp_uint_t number_of(mp_obj_t object, mp_uint_t kind) {
    uint32_t value = ((number *)object)->value;
    return kind == MP_NATIVE_TYPE_BOOL ? value != 0 : value;
}

/* The module sees an exception as the end of the call; so does the test, and of the program too. */
static void raise_message(const mp_obj_type_t *type, mp_rom_error_text_t message) {
    (void)type;
    (void)message;
    put_answer(RAISED, 0);
    leave(0);
}

static bool buffer_of(mp_obj_t object, mp_buffer_info_t *info, mp_uint_t flags) {
    const buffer *from = object;
    (void)flags;
    if (from->base.type != &type_buffer) {
        raise_message(NULL, NULL);
    }
    info->buf = from->bytes;
    info->len = from->length;
    info->typecode = 'B';
    return true;
}

static const mp_obj_type_t *type_of(mp_const_obj_t object) {
    return ((const mp_obj_base_t *)object)->type;
}

static mp_obj_t new_tuple(size_t length, const mp_obj_t *items) {
    tuple *made = reserve(sizeof *made);
    made->base.type = &type_tuple;
    made->length = length;
    for (size_t i = 0; i < length; i++) {
        made->items[i] = items[i];
    }
    return made;
}

/* The only function that the module calls: fill the window. */
static mp_obj_t call_reader(mp_obj_t function, size_t count, const mp_obj_t *arguments) {
    const reader *self = function;
    uint32_t offset = number_of(arguments[0], MP_NATIVE_TYPE_INT), length = number_of(arguments[1], MP_NATIVE_TYPE_INT);
    if (count != 2 || self->base.type != &type_reader || length > self->window->length || offset > self->file->length ||
        length > self->file->length - offset) {
        raise_message(NULL, NULL);
    }
    copy(self->window->bytes, self->file->bytes + offset, length);
    return NULL;
}

static void store_global(qstr name, mp_obj_t object) {
    globals[name] = object;
}

static mp_obj_t load_global(qstr name) {
    (void)name;
    return NULL;
}

static mp_obj_dict_t *swap_globals(mp_obj_dict_t *dictionary) {
    return dictionary;
}

static void *move(void *to, const void *from, size_t length) {
    copy(to, from, length);
    return to;
}

/* What bitwren_native does not use is not here; calling it ends in a fault. */
const mp_fun_table_t mp_fun_table = {
    .const_none = &type_int,
    .native_from_obj = number_of,
    .native_to_obj = new_number,
    .swap_globals = swap_globals,
    .load_global = load_global,
    .store_global = store_global,
    .new_tuple = new_tuple,
    .call_function_n_kw = call_reader,
    .memmove_ = move,
    .raise_msg = (void *)raise_message,
    .obj_get_type = type_of,
    .get_buffer = buffer_of,
    .type_fun_builtin_3 = &type_fun_3,
    .type_fun_builtin_var = &type_fun_var,
};

/* (array of offsets and addresses, size): pieces of a file with gaps between them. */
static mp_obj_t new_extents(const buffer *file, uint32_t piece) {
    uint32_t count = 0; /* no division, which would be a library's */
    for (uint32_t start = 0; start < file->length; start += piece) {
        count++;
    }
    buffer *places = new_buffer(8 * count);
    uint32_t *place = (uint32_t *)places->bytes;
    for (uint32_t start = 0; start < file->length; start += piece) {
        uint32_t length = file->length - start < piece ? file->length - start : piece;
        uint8_t *at = (uint8_t *)reserve(length + 16) + 4;
        copy(at, file->bytes + start, length);
        *place++ = start;
        *place++ = (uint32_t)at;
    }
    mp_obj_t items[2] = {places, new_number(file->length, 0)};
    return new_tuple(2, items);
}

static mp_obj_t new_stream(const buffer *file, uint32_t window) {
    reader *made = reserve(sizeof *made);
    buffer *room = new_buffer(window);
    made->base.type = &type_reader;
    made->file = file;
    made->window = room;
    mp_obj_t items[3] = {made, room, new_number(file->length, 0)};
    return new_tuple(3, items);
}

static mp_obj_t read_argument(uint32_t kind) {
    uint32_t value = get_word();
    if (kind == ARG_INT) {
        return new_number(value, 0);
    }
    if (kind == ARG_BUFFER || kind == ARG_ROOM) {
        buffer *made = new_buffer(value);
        get(made->bytes, kind == ARG_BUFFER ? value : 0);
        return made;
    }
    buffer *file = &files[value % MOST_FILES];
    if (kind == ARG_EXTENTS) {
        return new_extents(file, get_word());
    }
    return kind == ARG_STREAM ? new_stream(file, get_word()) : file;
}

static mp_obj_t apply(mp_obj_t function, uint32_t count, const mp_obj_t *arguments) {
    if (type_of(function) == &type_fun_3 && count == 3) {
        return ((mp_obj_fun_builtin_fixed_t *)function)->fun._3(arguments[0], arguments[1], arguments[2]);
    }
    const mp_obj_fun_builtin_var_t *variable = function;
    if (type_of(function) == &type_fun_var && variable->sig >> 17 <= count && count <= (variable->sig >> 1 & 0xFFFF)) {
        return variable->fun.var(count, arguments);
    }
    leave(4); /* not so many arguments */
}

static void call(uint32_t name) {
    uint32_t count = get_word(), kinds[MOST_ARGUMENTS], before = heap_used;
    mp_obj_t arguments[MOST_ARGUMENTS];
    if (name >= MOST_QSTRS || count > MOST_ARGUMENTS || !globals[name]) {
        leave(5);
    }
    for (uint32_t i = 0; i < count; i++) {
        kinds[i] = get_word();
        arguments[i] = read_argument(kinds[i]);
    }
    put_answer(RETURNED, number_of(apply(globals[name], count, arguments), MP_NATIVE_TYPE_INT));
    for (uint32_t i = 0; i < count; i++) {
        if (kinds[i] == ARG_BUFFER) {
            put(((buffer *)arguments[i])->bytes, ((buffer *)arguments[i])->length);
        }
    }
    heap_used = before;
}

static void keep(uint32_t index) {
    files[index].base.type = &type_buffer;
    files[index].length = get_word();
    files[index].bytes = reserve(files[index].length);
    get(files[index].bytes, files[index].length);
}

/* The module's code begins with a jump to mpy_init, which reads nothing of its function object but the module's globals. */
static void start_module(void) {
    static mp_module_context_t context;
    static mp_obj_fun_bc_t function;
    function.context = &context;
    mp_obj_t (*init)(mp_obj_fun_bc_t *, size_t, size_t, mp_obj_t *) = (void *)module_text;
    init(&function, 0, 0, NULL);
}

void run(void) {
    uint32_t kept = 0;
    get(module_text, get_word());
    get(module_rodata, get_word());
    uint32_t count = get_word();
    for (uint32_t i = 0; i < count && i < MOST_QSTRS - OWN_QSTRS; i++) {
        qstr_table[i] = (uint16_t)(OWN_QSTRS + i);
    }
    start_module();
    for (;;) {
        uint32_t name = get_word();
        if (name == KEEP) {
            keep(kept++ % MOST_FILES);
        } else {
            call(name);
        }
    }
}
