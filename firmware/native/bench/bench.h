/* What `bitwren bench` calls on an emulated chip. Never part of a native module. */
#ifndef BITWREN_BENCH_H
#define BITWREN_BENCH_H

#include "../internal.h"

/* One call's arguments, all of 32 bits: host/bitwren_host/bench/machine.py packs them in this order. */
typedef struct bench_job {
    const uint8_t *data; /* a .bwt or .bwe file, or codes row by row */
    uint32_t size;       /* of the file, or how many codes */
    const void *query;   /* a code or a text */
    uint32_t number;     /* k, or the bytes of the text */
    void *out;
    uint8_t *work;
    const uintptr_t *extents; /* or NULL: where the file lies when it is in pieces, `data` then being of no use */
    uint32_t extent_count;
} bench_job;

/* The same for bench_rank. */
typedef struct bench_ranking {
    const uint8_t *table;
    uint32_t table_size;
    const uint8_t *encoder;
    uint32_t encoder_size;
    bw_question question; /* without its source */
    uint32_t k, stages;
    bw_result *ranked;
    uint8_t *work;
    const uintptr_t *extents; /* of the table, or NULL */
    uint32_t extent_count;
} bench_ranking;

#endif
