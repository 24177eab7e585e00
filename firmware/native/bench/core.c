/* The core as it is, called on files in memory. */
#include "bench.h"

/* gcc may call it for what is left of structures that are copied. */
void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memcpy(void *restrict to, const void *restrict from, size_t length) {
    for (size_t i = 0; i < length; i++) {
        ((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
    return to;
}

static void open_source(bw_source *source, const uint8_t *data, uint32_t size, const uintptr_t *extents, uint32_t count) {
    source->base = extents ? NULL : data;
    source->extents = extents;
    source->extent_count = count;
    source->extent_hint = 0;
    source->read = NULL;
    source->size = size;
}

static void set_source(bw_source *source, const bench_job *job) {
    open_source(source, job->data, job->size, job->extents, job->extent_count);
}

int bench_search(const bench_job *job) {
    bw_source source;
    bw_table table;
    set_source(&source, job);
    int status = bw_open_table(&source, &table);
    return status < 0 ? status : bw_search(&source, &table, job->query, job->number, job->out, job->work);
}

/* The same with the query compiled to code, behind the work memory. */
int bench_compiled(const bench_job *job) {
    bw_source source;
    bw_table table;
    set_source(&source, job);
    int status = bw_open_table(&source, &table);
    uint16_t *executable = (uint16_t *)(void *)(job->work + BW_SEARCH_WORK);
    bw_changes none;
    none.live = none.rows = NULL;
    none.live_size = none.rows_size = 0;
    return status < 0 ? status
                      : bw_search_effort(&source, &table, &none, job->query, job->number, 100, job->out, job->work, executable);
}

int bench_tokens(const bench_job *job) {
    bw_source source;
    bw_encoder encoder;
    set_source(&source, job);
    int status = bw_open_encoder(&source, &encoder);
    return status < 0 ? status : bw_tokens(&source, &encoder, job->query, job->number, job->out, 0);
}

int bench_vector(const bench_job *job) {
    bw_source source;
    bw_encoder encoder;
    set_source(&source, job);
    int status = bw_open_encoder(&source, &encoder);
    return status < 0 ? status : bw_vector(&source, &encoder, job->query, job->number, job->out, job->work);
}

int bench_encode(const bench_job *job) {
    bw_source source;
    bw_encoder encoder;
    set_source(&source, job);
    int status = bw_open_encoder(&source, &encoder);
    return status < 0 ? status : bw_encode(&source, &encoder, job->query, job->number, NULL, NULL, job->out, job->work);
}

int bench_rank(bench_ranking *job) {
    bw_source table_file, encoder_file;
    bw_table table;
    open_source(&table_file, job->table, job->table_size, job->extents, job->extent_count);
    open_source(&encoder_file, job->encoder, job->encoder_size, NULL, 0);
    job->question.fold = &encoder_file;
    int status = bw_open_table(&table_file, &table);
    bw_changes none;
    none.live = none.rows = NULL;
    none.live_size = none.rows_size = 0;
    return status < 0 ? status
                      : bw_rank(&table_file, &table, &none, &job->question, job->k, job->stages, job->ranked, job->work);
}
