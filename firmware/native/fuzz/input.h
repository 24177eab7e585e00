/* What both fuzz targets share: a file, a query and how to read the file, out of libFuzzer's bytes.
 *
 * Input: 8 bytes (below), then the text or query, then the first FUZZ_HEAD bytes of page 0, then for each page after it a u16 and
 * as many bytes; the rest of a page is zero. A file of 40 KB is mostly padding, which would be most of what is mutated. */
#ifndef BITWREN_FUZZ_INPUT_H
#define BITWREN_FUZZ_INPUT_H

#include "../bitwren.h"

enum { FUZZ_HEAD = 544, FUZZ_MAX_PAGES = 32 };

typedef struct fuzz_input {
    uint8_t kind;     /* of source, modulo 3: extents, streamed, streamed with a read that fails */
    uint8_t spacing;  /* how long the pieces or the window are */
    uint16_t k;
    uint8_t effort;
    uint8_t fails_at; /* the read that fails */
    uint8_t repeats;  /* of the text; of a table: what has changed since it was written */
    uint8_t length;   /* of the text, in bytes */
    const uint8_t *text;
    uint8_t *file;    /* its checksums, magic, version and size are right: what needs no luck to be wrong is tested elsewhere */
    uint32_t size;
} fuzz_input;

/* Returns 0 when the bytes are too few. */
int fuzz_begin(const uint8_t *bytes, size_t length, const char *magic, fuzz_input *input);
void fuzz_end(fuzz_input *input);

/* One more way to read the same bytes, every piece and window an allocation of its own, so that a step beyond is seen. */
typedef struct fuzz_source {
    bw_source source;
    const fuzz_input *input;
    uint8_t **pieces;
    uintptr_t *extents;
    uint32_t count;
    uint32_t reads_left; /* until one fails */
} fuzz_source;

void fuzz_open_whole(fuzz_source *source, const fuzz_input *input);
void fuzz_open_kind(fuzz_source *source, const fuzz_input *input);
void fuzz_close(fuzz_source *source);

/* Whether all reads succeed: then the source must give what the whole file in memory gives. */
int fuzz_reliable(const fuzz_source *source);

/* Stops the run when a condition does not hold, as a sanitizer does. */
#define DEMAND(condition) ((condition) ? (void)0 : fuzz_stop(#condition, __FILE__, __LINE__))
void fuzz_stop(const char *condition, const char *file, int line) __attribute__((noreturn));

#endif
