/* Rice-coded gaps to sums in C, for chips that are not Arm. docs/format.md, "WORD". */
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

#endif
