/* The nearest documents so far: a heap of keys (Williams 1964), each distance << shift | slot, so that of equal distances the
 * lowest slot is nearest. It lies in the memory of the hits, which are twice as long. */
#include "internal.h"

/* Put a key into its place in the heap below keys[at], of `count` keys in all. keys[count] is no greater than the key: so a node
 * with one child needs no case of its own. */
static void sift(uint32_t *keys, uint32_t at, uint32_t count, uint32_t key) {
    uint32_t *to = keys + at, *child;
    const uint32_t *end = keys + count;
    while ((child = to + (to - keys) + 1) < end) {
        uint32_t farther = child[0];
        if (child[1] > farther) {
            farther = *++child;
        }
        if (farther <= key) {
            break;
        }
        *to = farther;
        to = child;
    }
    *to = key;
}

void bw_start_nearest(bw_nearest *nearest, bw_hit *hits, uint32_t wanted, uint32_t planes) {
    uint32_t *key = (uint32_t *)hits, *end = key + wanted;
    nearest->keys = key;
    nearest->wanted = nearest->empty = wanted;
    nearest->shift = 31 - planes;
    while (key < end) {
        *key++ = BW_NOBODY;
    }
    *end = 0;
}

void bw_replace_farthest(bw_nearest *nearest, uint32_t key) {
    uint32_t at = nearest->empty;
    if (at > 0) { /* filled from the end, so that a heap comes of it in linear time (Floyd 1964) */
        nearest->empty = --at;
    }
    sift(nearest->keys, at, nearest->wanted, key);
}

int bw_finish_nearest(bw_nearest *nearest) {
    uint32_t *keys = nearest->keys, mask = (1u << nearest->shift) - 1;
    bw_hit *hit = (bw_hit *)keys + nearest->wanted;
    for (uint32_t count = nearest->wanted; count-- > 0;) {
        uint32_t key = keys[0];
        sift(keys, 0, count, keys[count]);
        hit--; /* where the keys are that are no longer in the heap */
        hit->distance = key >> nearest->shift;
        hit->slot = key & mask;
    }
    return (int)(nearest->wanted - nearest->empty);
}
