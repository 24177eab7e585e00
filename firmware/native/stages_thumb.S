#ifdef __thumb__

@ The inner loops of the stages after the Hamming search for Arm chips; postings.c and vectors.c say what they compute.

@ bw_add_postings(postings)
@
@ r0 place, r1 bits, r2 what has been read, r3 a quotient's step, r4 the sums' end, r5 parameter, r6 rarity, r7 postings left;
@ r8 the remainder's mask, r9 and r10 the words in memory, r11 the upper bit, r12 two steps. Three instructions for a bit of the
@ quotient, twelve for all else, and a word is 24.

        .syntax unified
        .thumb
        .text

        .equ    BITS, 0
        .equ    AT, 4
        .equ    END, 8
        .equ    PLACE, 12
        .equ    LEFT, 16
        .equ    RARITY, 20
        .equ    PARAMETER, 24
        .equ    SUMS_END, 28
        .equ    MOST, 32

@ The stack frame
        .equ    POSTINGS, 0
        .equ    FARTHEST, 4     @ where a quotient may lead, the remainder being taken off again
        .equ    SAVED, 16       @ in next_word

        .macro  take_remainder
        mov     r2, r8
        ands    r2, r1
        lsrs    r1, r5
        beq     cut_off         @ the 1 above all bits has gone, too
        .endm

        .global bw_add_postings
        .type   bw_add_postings, %function
        .thumb_func
bw_add_postings:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r0, r1, r4-r7}
        movs    r4, r0
        ldr     r5, [r4, #PARAMETER]
        movs    r3, #2
        lsls    r3, r5
        lsrs    r2, r3, #1
        subs    r2, #1
        mov     r8, r2
        ldr     r2, [r4, #AT]
        mov     r9, r2
        ldr     r2, [r4, #END]
        mov     r10, r2
        movs    r2, #1
        lsls    r2, #31
        mov     r11, r2
        mov     r12, r3
        add     r12, r3
        ldr     r2, [r4, #MOST]
        adds    r2, r3
        str     r2, [sp, #FARTHEST]
        ldr     r0, [r4, #PLACE]
        ldr     r1, [r4, #BITS]
        ldr     r6, [r4, #RARITY]
        ldr     r7, [r4, #LEFT]
        ldr     r4, [r4, #SUMS_END]

posting:
        ldrh    r2, [r4, r0]
        adds    r2, r6
        strh    r2, [r4, r0]
        subs    r7, #1
        beq     done
        lsrs    r1, #1
        bcs     first
        lsrs    r1, #1
        bcs     second
        add     r0, r12
quotient:
        adds    r0, r3
        lsrs    r1, #1
        bcc     quotient
remainder:
        take_remainder
whole:
        lsls    r2, #1
        subs    r0, r2
        bmi     posting
past:
        ldr     r2, [sp, #POSTINGS]
        ldr     r3, [r2, #MOST]
        cmp     r0, r3
        bge     wrong
done:
        ldr     r2, [sp, #POSTINGS]
        str     r1, [r2, #BITS]
        str     r0, [r2, #PLACE]
        str     r7, [r2, #LEFT]
        mov     r0, r9
        str     r0, [r2, #AT]
        movs    r0, #0
leave:
        pop     {r1, r2, r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
wrong:
        movs    r0, #5          @ BW_ERR_FORMAT
        negs    r0, r0
        b       leave

first:                          @ most quotients are this short
        adds    r0, r3
        take_remainder
        lsls    r2, #1
        subs    r0, r2
        bmi     posting
        b       past
second:
        add     r0, r12
        b       remainder

cut_off:
        cmp     r2, #0
        bne     remainder_cut
        bl      next_word       @ it was that 1 that ended the quotient
        ldr     r2, [sp, #FARTHEST]
        cmp     r0, r2
        bgt     wrong
        lsrs    r1, #1
        add     r1, r11
        bcc     quotient
        b       remainder

remainder_cut:
        movs    r3, #0
        movs    r1, r2
1:      adds    r3, #1
        lsrs    r1, #1
        bne     1b
        bl      next_word
        subs    r3, #1          @ bits that are there
        mov     lr, r1
        lsls    r1, r3
        eors    r2, r1
        movs    r1, #1
        lsls    r1, r3
        eors    r2, r1
        mov     r1, r8
        ands    r2, r1
        subs    r3, r5, r3
        subs    r3, #1
        mov     r1, lr
        lsrs    r1, #1
        add     r1, r11
        lsrs    r1, r3
        movs    r3, #2
        lsls    r3, r5
        b       whole

@ A word, inverted, to r1.
next_word:
        mov     r1, r9
        cmp     r1, r10
        beq     1f
        adds    r1, #4
        mov     r9, r1
        subs    r1, #4
        ldr     r1, [r1]
        mvns    r1, r1
        bx      lr
1:      push    {r0, r2, r3, lr}
        ldr     r0, [sp, #SAVED + POSTINGS]
        bl      bw_more_postings
        cmp     r0, #0
        bmi     2f
        ldr     r1, [sp, #SAVED + POSTINGS]
        ldr     r2, [r1, #AT]
        mov     r9, r2
        ldr     r2, [r1, #END]
        mov     r10, r2
        ldr     r2, [r1, #PARAMETER]
        movs    r1, #4
        lsls    r1, r2
        mov     r12, r1
        pop     {r0, r2, r3}
        pop     {r1}
        mov     lr, r1
        b       next_word
2:      add     sp, #SAVED
        b       leave

        .size   bw_add_postings, . - bw_add_postings

@ bw_pass_sums(sum, end, passing): r2 two sums, r3 and r4 added and tested, r5 zero; r8 the end, r9 the bitmaps' rarities, r10 the
@ least, r11 where gains are, less half of where sums are. Seven instructions a word.

        .global bw_pass_sums
        .type   bw_pass_sums, %function
        .thumb_func
bw_pass_sums:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        mov     r8, r1
        ldmia   r2!, {r3-r7}    @ added, tested, bitmaps, least, gains
        mov     r9, r5
        mov     r10, r6
        lsrs    r6, r0, #1
        subs    r7, r6
        mov     r11, r7
        movs    r5, #0
        b       2f
1:      ldr     r2, [r0]
        adds    r6, r2, r3
        tst     r6, r4
        bne     4f
3:      stmia   r0!, {r5}
2:      cmp     r0, r8
        bne     1b
        b       5f
4:      lsrs    r7, r0, #1
        add     r7, r11
        uxth    r1, r2
        add     r1, r9
        ldrb    r6, [r7]
        muls    r1, r6
        cmp     r1, r10
        bhi     5f
        lsrs    r1, r2, #16
        add     r1, r9
        ldrb    r6, [r7, #1]
        muls    r1, r6
        cmp     r1, r10
        bls     3b
5:      pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .size   bw_pass_sums, . - bw_pass_sums

@ bw_add_products(row, end, packed, bits): r1 fields, r3 bits, r4 their mask, r5 a multiplier, r6 a word, r7 its products; r8 the row's
@ end, r9 the sum, r10 multipliers of a word in bytes, r11 their end, r12 where the products are. 36 instructions a word.

        .macro  two_products
        movs    r1, r6
        ands    r1, r4
        ldmia   r2!, {r5}
        muls    r1, r5
        adds    r7, r1
        lsrs    r6, r3
        .endm

        .global bw_add_products
        .type   bw_add_products, %function
        .thumb_func
bw_add_products:
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        mov     r8, r1
        movs    r4, #1
        lsls    r4, r3
        subs    r4, #1
        movs    r5, #0          @ products of fields of 8 bits, one of which a word has
        cmp     r3, #8
        beq     1f
        lsls    r5, r4, #16
        orrs    r4, r5
        movs    r5, #16
1:      mov     r12, r5
        movs    r5, #16
        cmp     r3, #2
        bne     2f
        movs    r5, #32
2:      mov     r10, r5
        movs    r5, #0
        mov     r9, r5
        b       4f
3:      ldmia   r0!, {r6}
        ldmia   r2!, {r5}
        eors    r6, r5
        movs    r7, #0
        mov     r11, r2
        add     r11, r10
5:      two_products
        two_products
        two_products
        two_products
        cmp     r2, r11
        bne     5b
        mov     r5, r12
        lsrs    r7, r5
        add     r9, r7
4:      cmp     r0, r8
        bne     3b
        mov     r0, r9
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .size   bw_add_products, . - bw_add_products

#endif
