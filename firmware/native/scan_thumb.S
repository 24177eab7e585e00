#ifdef __thumb__

@ The inner loops for every Arm chip (Thumb-1 instructions only), scheduled by hand: gcc spills the counters, which doubles the cost.
@
@ bw_scan_blocks:
@ r0 planes, r1 ones, r2 twos, r3 masks, r4-r7 what is being added, r8 fours, r9 eights, r10 sixteens; r11, r12 and lr hold
@ a carry until its partner is there. The counters above sixteens are touched once in 32 planes and live on the stack.
@ About 282 instructions for 32 planes of 32 documents, 24 more for a block.
@
@ bw_scan_compiled does the same, but calls code made for the query (compile_thumb.S) to count a block: 196 for 32 planes of 256.

        .syntax unified
        .thumb
        .text

@ The stack frame
        .equ    HIGH, 0         @ five words
        .equ    LANES, 20       @ live, not overflowed
        .equ    SCAN, 24
        .equ    NEXT, 28        @ the block after this one
        .equ    MASKS_END, 32
        .equ    RIPPLE, 36      @ where to enter the ripple
        .equ    LIVE, 40        @ the next block's live word
        .equ    LIVE_END, 44
        .equ    CODE, 48        @ or 0
        .equ    FRAME, 52

@ bw_scan
        .equ    SCAN_COUNT, 40
        .equ    SCAN_OVER, 80
        .equ    SCAN_STRIDE, 84
        .equ    SCAN_IDLE, 88
        .equ    SCAN_MASKS, 92
        .equ    SCAN_MASKS_END, 96
        .equ    SCAN_LIVE, 100
        .equ    SCAN_CODE, 104

@ \sum + \a + \b of each lane: the sum stays in \sum, the carry is left in \a; \b is lost.
        .macro  full_add a, b, sum
        eors    \a, \b
        eors    \b, \sum
        eors    \sum, \a
        orrs    \a, \b
        eors    \a, \sum
        .endm

@ Four planes into ones and twos; r4 is the carry, a four. Three low registers are too few to load the last two masks as a pair.
        .macro  add4
        ldmia   r0!, {r4, r5}
        ldmia   r3!, {r6, r7}
        eors    r4, r6
        eors    r5, r7
        full_add r4, r5, r1
        ldmia   r0!, {r5, r6}
        ldmia   r3!, {r7}
        eors    r5, r7
        ldmia   r3!, {r7}
        eors    r6, r7
        full_add r5, r6, r1
        full_add r4, r5, r2
        .endm

@ r4 and the held carry into a counter in a high register.
        .macro  add_held held, counter
        mov     r5, \held
        mov     r6, \counter
        full_add r4, r5, r6
        mov     \counter, r6
        .endm

        .macro  add8            @ r4 is an eight
        add4
        mov     r11, r4
        add4
        add_held r11, r8
        .endm

        .macro  add16           @ r4 is a sixteen
        add8
        mov     r12, r4
        add8
        add_held r12, r9
        .endm

@ Carry r4 into a counter on the stack: where the counter's new bit is 1 there was nothing to carry on. Four instructions of two
@ bytes, which SCAN_IDLE relies on.
        .macro  carry_into slot
        ldr     r5, [sp, #HIGH + 4 * \slot]
        eors    r5, r4
        str     r5, [sp, #HIGH + 4 * \slot]
        bics    r4, r5
        .endm
        .equ    CARRY_BYTES, 8

        .global bw_scan_blocks
        .type   bw_scan_blocks, %function
        .thumb_func
bw_scan_blocks:                 @ (planes, blocks, scan)
        movs    r3, #0
        b       scan

        .global bw_scan_compiled
        .type   bw_scan_compiled, %function
        .thumb_func
bw_scan_compiled:               @ (planes, blocks, scan)
        ldr     r3, [r2, #SCAN_CODE]
scan:   push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        sub     sp, #FRAME
        str     r3, [sp, #CODE]
        str     r2, [sp, #SCAN]
        adds    r2, #SCAN_STRIDE
        ldr     r4, [r2, #SCAN_MASKS_END - SCAN_STRIDE]
        str     r4, [sp, #MASKS_END]
        ldr     r4, [r2, #SCAN_LIVE - SCAN_STRIDE]
        str     r4, [sp, #LIVE]
        lsls    r1, r1, #2
        adds    r4, r1
        str     r4, [sp, #LIVE_END]
        ldr     r4, [r2, #SCAN_IDLE - SCAN_STRIDE]
        movs    r5, #CARRY_BYTES
        muls    r4, r5
        ldr     r5, to_ripple
here:   add     r5, pc          @ here + 4
        adds    r4, r5
        str     r4, [sp, #RIPPLE]
        b       block
        .balign 4
to_ripple:
        .word   ripple - here - 4

finish:
        ldr     r7, [sp, #SCAN]
        ldr     r0, [r7, #SCAN_LIVE]
        subs    r0, r6, r0
        lsrs    r0, r0, #2
        add     sp, #FRAME
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}

done:
        ldr     r0, [sp, #NEXT]
block:
        ldr     r6, [sp, #LIVE]
        ldr     r5, [sp, #LIVE_END]
        cmp     r6, r5
        beq     finish
        ldmia   r6!, {r5}
        str     r6, [sp, #LIVE]
        str     r5, [sp, #LANES]
        ldr     r7, [sp, #SCAN]
        ldr     r4, [r7, #SCAN_STRIDE]
        adds    r4, r0
        str     r4, [sp, #NEXT]
        cmp     r5, #0
        beq     done            @ no lane lives
        ldmia   r7!, {r1-r5}
        mov     r6, sp
        stmia   r6!, {r1-r5}
        ldmia   r7!, {r1, r2, r4-r6}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        ldr     r3, [r7, #SCAN_MASKS - SCAN_COUNT]
        ldr     r5, [sp, #CODE]
        cmp     r5, #0
        beq     planes32

        ldr     r4, [sp, #LANES]
        mov     r3, r8          @ fours
        mov     r8, r4
        blx     r5
        beq     done
        mov     r5, r8
        mov     r8, r3
        b       found

planes32:
        add16
        mov     lr, r4
        add16
        add_held lr, r10
        ldr     r5, [sp, #RIPPLE]
        mov     pc, r5          @ past the counters that this width does not have: two instructions for up to sixteen
ripple:
        carry_into 0
        carry_into 1
        carry_into 2
        carry_into 3
        carry_into 4
        ldr     r5, [sp, #LANES]
        bics    r5, r4
        str     r5, [sp, #LANES]
        beq     over            @ no lane is left
        ldr     r4, [sp, #MASKS_END]
        cmp     r3, r4
        beq     found
        b       planes32
over:   b       done

found:                          @ r5 is LANES
        mvns    r5, r5
        ldr     r7, [sp, #SCAN]
        adds    r7, #SCAN_COUNT
        mov     r0, sp
        ldmia   r0!, {r3, r4, r6}
        stmia   r7!, {r3, r4, r6}
        ldmia   r0!, {r3, r4}
        stmia   r7!, {r3, r4}
        mov     r3, r8
        mov     r4, r9
        mov     r6, r10
        stmia   r7!, {r1-r4, r6}
        str     r5, [r7]        @ over
        ldr     r6, [sp, #LIVE]
        subs    r6, #4
        b       finish
        .size   bw_scan_blocks, . - bw_scan_blocks

        .global bw_spread
        .type   bw_spread, %function
        .thumb_func
bw_spread:                      @ (code, masks, end)
        push    {r4, r5, lr}
1:      ldmia   r0!, {r3}
        mvns    r3, r3
        movs    r4, #32
2:      lsrs    r3, r3, #1
        sbcs    r5, r5          @ the carry less one
        stmia   r1!, {r5}
        subs    r4, #1
        bne     2b
        cmp     r1, r2
        bne     1b
        pop     {r4, r5, pc}
        .size   bw_spread, . - bw_spread

@ bw_count_of(scan, lane): shifting a word by lane + 1 brings the lane's bit into the carry, which adding the value to itself takes in.
        .macro  gather word
        ldr     r3, [r0, #\word]
        lsrs    r3, r1
        adcs    r2, r2
        .endm

        .global bw_count_of
        .type   bw_count_of, %function
        .thumb_func
bw_count_of:
        adds    r1, #1
        movs    r2, #0
        gather  SCAN_OVER
        .irp    word, 16, 12, 8, 4, 0
        gather  SCAN_COUNT + \word
        .endr
        ldr     r3, [r0, #SCAN_IDLE]
        lsrs    r2, r3          @ words of `high` that are not in use
        .irp    word, 36, 32, 28, 24, 20
        gather  SCAN_COUNT + \word
        .endr
        movs    r0, r2
        bx      lr
        .size   bw_count_of, . - bw_count_of

@ bw_tally, from the two bw_lanes (counters, then the dead) on
        .equ    LANES, 48
        .equ    DEAD, 40
        .equ    BUFFER, 96
        .equ    FULL, 160
        .equ    TO, 0           @ these from FULL
        .equ    COUNTED, 4
        .equ    WORDS, 8
        .equ    RIPPLES, 12
        .equ    FLIP, 16
        .equ    PLACES, 20

@ The plane of the mask's lowest bit: its words are to be loaded from r5. Twelve instructions a plane with what follows.
        .macro  next_plane
        rsbs    r5, r0, #0
        beq     left            @ no bit is
        ands    r5, r0
        eors    r0, r5
        muls    r5, r3
        lsrs    r5, #27
        ldrb    r5, [r2, r5]
        adds    r5, r1
        .endm

@ About 160 instructions for eight planes of 64 lanes besides. r8 is the tally, r9 its FULL, r11 the loop for planes of one word or two.
        .global bw_count_planes
        .type   bw_count_planes, %function
        .thumb_func
bw_count_planes:                @ (mask, planes, tally)
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        mov     r8, r2
        adds    r2, #FULL
        mov     r9, r2
        ldr     r4, [r2, #TO]
        ldr     r5, [r2, #WORDS]
        ldr     r2, [r2, #PLACES]
        ldr     r3, de_bruijn
        adr     r6, single
        lsrs    r5, #1
        beq     begin
        adr     r6, double
begin:
        mov     r11, r6
        cmp     r4, r9
        beq     full
        mov     pc, r11
        .balign 4
single:
        next_plane
        ldr     r6, [r5]
        stmia   r4!, {r6, r7}
        cmp     r4, r9
        bne     single
        b       full
        .balign 4
double:
        next_plane
        ldmia   r5!, {r6, r7}
        stmia   r4!, {r6, r7}
        cmp     r4, r9
        bne     double
full:
        push    {r0-r3}
        mov     r7, r9
        ldr     r4, [r7, #COUNTED]
        adds    r4, #8
        str     r4, [r7, #COUNTED]
        ldr     r4, [r7, #WORDS]
        mov     r10, r4
        movs    r4, #0
        mov     lr, r4          @ lanes left
        mov     r1, r8
        mov     r0, r8
        adds    r0, #BUFFER
word:
        mov     r12, r1
        ldmia   r1!, {r2, r3}
        ldr     r4, [r0, #0]
        ldr     r5, [r0, #8]
        full_add r4, r5, r2
        ldr     r5, [r0, #16]
        ldr     r6, [r0, #24]
        full_add r5, r6, r2
        full_add r4, r5, r3
        ldr     r5, [r0, #32]
        ldr     r6, [r0, #40]
        full_add r5, r6, r2
        ldr     r6, [r0, #48]
        ldr     r7, [r0, #56]
        full_add r6, r7, r2
        full_add r5, r6, r3
        ldr     r6, [r1]
        full_add r4, r5, r6
        subs    r1, #8
        stmia   r1!, {r2, r3, r6}
        mov     r7, r9
        ldr     r5, [r7, #FLIP] @ adding complements to complements gives the complement
        eors    r4, r5
        ldr     r7, [r7, #RIPPLES]
ripple_on:
        ldr     r5, [r1]
        eors    r5, r4
        stmia   r1!, {r5}
        bics    r4, r5          @ where the new bit is 1 there was nothing to carry on
        subs    r7, #1
        bne     ripple_on
        mov     r1, r12
        ldr     r5, [r1, #DEAD]
        orrs    r5, r4
        str     r5, [r1, #DEAD]
        mvns    r5, r5
        mov     r4, lr
        orrs    r4, r5
        mov     lr, r4
        adds    r1, #LANES
        adds    r0, #4
        mov     r5, r10
        subs    r5, #1
        mov     r10, r5
        bne     word
        mov     r5, lr
        cmp     r5, #0
        pop     {r0-r3}
        beq     nobody
        mov     r4, r8
        adds    r4, #BUFFER
        mov     pc, r11
left:
        movs    r0, #1
        mov     r5, r9
        str     r4, [r5, #TO]
        b       return
nobody:
        movs    r0, #0
return:
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .balign 4
de_bruijn:
        .word   0x077CB531
        .size   bw_count_planes, . - bw_count_planes

#endif

#ifdef __linux__
/* Linked into MicroPython's unix port, whose stack shall stay what it is: not executable. */
        .section .note.GNU-stack,"",%progbits
#endif
