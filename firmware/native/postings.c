/* Rice-coded gaps to sums, and on from them, in C: for chips that are not Arm, which have stages_thumb.S. docs/format.md, "WORD". */
#include "internal.h"

#ifndef __thumb__

/* The next word's bits, inverted: a 1 ends a quotient. */
static int next_word(bw_postings *postings, uint32_t *word) {
    if (postings->at == postings->end) {
        int status = bw_more_postings(postings);
        if (status < 0) {
            return status;
        }
    }
    *word = ~*postings->at++;
    return BW_OK;
}

/* Bits lie below a 1, which ends a quotient that is cut off, too: nothing is left then. So only what has just been decoded says
 * when a word is due. */
int bw_add_postings(bw_postings *postings) {
    uint32_t bits = postings->bits, left = postings->left, parameter = postings->parameter, word;
    int32_t place = postings->place, step = 2 << parameter;
    do {
        *(bw_half *)(void *)(postings->sums_end + place) += (uint16_t)postings->rarity;
        if (--left == 0) {
            break;
        }
        uint32_t ends;
        do {
            place += step;
            ends = bits & 1;
            bits >>= 1;
            if (ends && bits == 0) {
                int status = next_word(postings, &word);
                if (status < 0 || place > postings->most + step) { /* a quotient without end */
                    return status < 0 ? status : BW_ERR_FORMAT;
                }
                ends = word & 1;
                bits = word >> 1 | 1u << 31;
            }
        } while (!ends);
        uint32_t rest = bits & ((1u << parameter) - 1);
        bits >>= parameter;
        if (bits == 0) { /* it is cut off: below its own 1, the upper bits are missing */
            uint32_t have = 0;
            while (rest >> have > 1) {
                have++;
            }
            int status = next_word(postings, &word);
            if (status < 0) {
                return status;
            }
            rest = (rest ^ 1u << have ^ word << have) & ((1u << parameter) - 1);
            bits = (word >> 1 | 1u << 31) >> (parameter - have - 1);
        }
        place -= (int32_t)(2 * rest);
    } while (place < 0);
    postings->bits = bits;
    postings->left = left;
    postings->place = place;
    return left == 0 || place < postings->most ? BW_OK : BW_ERR_FORMAT;
}

/* Whether a sum may be enough. */
BW_INLINE int is_enough(uint32_t sum, uint32_t gain, const bw_passing *passing) {
    return (sum + passing->bitmaps) * gain > passing->least;
}

bw_word *bw_pass_sums(bw_word *sum, const bw_word *end, const bw_passing *passing) {
    uint32_t added = passing->added, tested = passing->tested;
    for (bw_word *first = sum; sum < end; sum++) {
        uint32_t two = *sum;
        if ((two + added) & tested) {
            const uint8_t *gains = passing->gains + 2 * (sum - first);
            if (is_enough(two & 0xFFFF, gains[0], passing) || is_enough(two >> 16, gains[1], passing)) {
                break;
            }
        }
        *sum = 0;
    }
    return sum;
}

#endif
