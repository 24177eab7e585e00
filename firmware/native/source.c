/* Where bytes come from: memory, mapped flash in pieces, or a window that is refilled. */
#include "internal.h"

/* The piece of mapped flash that holds an offset: usually that of the fetch before, else found in log2(pieces) steps. */
static uint32_t find_extent(bw_source *source, uint32_t offset) {
    const uintptr_t *extents = source->extents;
    uint32_t low = source->extent_hint, high = source->extent_count;
    if (low >= high || extents[2 * low] > offset) {
        low = 0;
    } else if (low + 1 == high || offset < extents[2 * low + 2]) {
        return low;
    }
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (extents[2 * middle] <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    source->extent_hint = low;
    return low;
}

static const uint8_t *fetch_extents(bw_source *source, uint32_t offset, uint32_t length, uint8_t *scratch) {
    uint32_t done = 0;
    while (done < length) {
        uint32_t index = find_extent(source, offset + done);
        const uintptr_t *extent = source->extents + 2 * index;
        uint32_t end = index + 1 < source->extent_count ? (uint32_t)extent[2] : source->size;
        const uint8_t *at = (const uint8_t *)(extent[1] + (offset + done - extent[0]));
        uint32_t here = bw_min(end - (offset + done), length - done);
        if (here == length) {
            return at;
        }
        for (uint32_t i = 0; i < here; i++) {
            scratch[done + i] = at[i];
        }
        done += here;
    }
    return scratch;
}

/* The window always begins at a multiple of 4, so that aligned offsets come out aligned. */
static const uint8_t *fetch_window(bw_source *source, uint32_t offset, uint32_t length, uint32_t ahead) {
    if (offset >= source->window_start && length <= source->window_length &&
        offset - source->window_start <= source->window_length - length) {
        return source->window + (offset - source->window_start);
    }
    uint32_t skip = offset & 3, start = offset - skip;
    uint32_t most = bw_min(source->window_size, source->size - start);
    if (most < skip + length) {
        return NULL;
    }
    uint32_t wanted = ahead < most - skip ? ahead + skip : most;
    source->window_length = 0; /* a read that fails, or raises, leaves nothing valid behind */
    if (source->read(source->context, start, source->window, wanted) != 0) {
        return NULL;
    }
    source->window_start = start;
    source->window_length = wanted;
    return source->window + skip;
}

const uint8_t *bw_fetch(bw_source *source, uint32_t offset, uint32_t length, uint32_t ahead, uint8_t *scratch) {
    if (offset > source->size || length > source->size - offset || length > BW_MIN_WINDOW - (offset & 3)) {
        return NULL;
    }
    if (source->base) {
        return source->base + offset;
    }
    if (source->extents) {
        return fetch_extents(source, offset, length, scratch);
    }
    return fetch_window(source, offset, length, ahead);
}

uint32_t bw_span(bw_source *source, uint32_t offset, const uint8_t **at) {
    if (offset >= source->size) {
        return 0;
    }
    if (source->base) {
        *at = source->base + offset;
        return source->size - offset;
    }
    if (source->extents) {
        uint32_t index = find_extent(source, offset);
        const uintptr_t *extent = source->extents + 2 * index;
        *at = (const uint8_t *)(extent[1] + (offset - extent[0]));
        return (index + 1 < source->extent_count ? bw_min((uint32_t)extent[2], source->size) : source->size) - offset;
    }
    uint32_t skip = offset - source->window_start;
    if (offset < source->window_start || skip >= source->window_length) {
        return 0;
    }
    *at = source->window + skip;
    return source->window_length - skip;
}
