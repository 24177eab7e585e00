#ifdef __thumb__

@ bw_compile_query: a query as machine code, for Arm chips (Thumb-1 instructions only), that counts a block of flat planes without
@ masks. By hand, since what gcc makes of it in C is half as large again and takes twice as long.
@
@ A query's bit that is 1 would invert its plane. The code inverts nothing: that a register holds a complement is known while
@ the code is made. A sum of complements is a sum or its complement; only the OR in a full adder has to be another instruction,
@ by De Morgan. So five instructions add two planes, as in scan_thumb.S, and the XOR with a mask and the load of it go away.
@
@ What is made is a leaf that bw_scan_compiled calls, anywhere in memory, of a length that the width alone decides:
@ r0 planes, r1 ones, r2 twos, r3 fours, r9 eights, r10 sixteens, wider counters on the stack; r8 the lanes that are left, the
@ zero flag set when there are none. r4-r7 are for work, r11 and r12 hold a carry until its partner is there.

        .syntax unified
        .thumb
        .text

@ The stack frame. A place is the number of a register, or of a word of the stack that the made code sees, and in bit 31 whether a
@ complement is there: as part of an instruction, that bit falls off the halfword.
        .equ    WORK, 0         @ r4-r7, by what they are for
        .equ    COUNTERS, 16    @ ones, twos, fours, eights, sixteens, of the stack's words 1-4 those in use
        .equ    OUT, 52         @ the lanes that are
        .equ    HELD, 56        @ an eight, a sixteen
        .equ    CODE, 64        @ of the query: its next word
        .equ    STEPS, 68
        .equ    COUNTER, 72
        .equ    FRAME, 76

        .equ    LDMIA_ALL, 0xC8F0
        .equ    EORS, 0x4040
        .equ    BX_LR, 0x4770

@ While it is made: r7 where the next instruction goes, r8 EORS, r9 the query's bits to come, the next one lowest, r10 bit 31 alone;
@ r11, r12 return addresses.

@ Set bit 31 of \to as \from has it, 0 before or XORed, through \by.
        .macro  flip to, from, by
        mov     \by, r10
        ands    \by, \from
        eors    \to, \by
        .endm

@ Store EORS \a, \b at the place \at, through \by.
        .macro  exclude a, b, by, at
        lsls    \by, \b, #3
        adds    \by, \a
        add     \by, r8
        strh    \by, [r7, #\at]
        .endm

@ Load two planes into the registers at [r0] and [r0 + 4], in ascending order, and add them.
load_add:
        ldr     r3, [r0]
        ldr     r4, [r0, #4]
        movs    r5, #7
        ands    r3, r5
        ands    r4, r5
        cmp     r3, r4
        bls     1f
        movs    r6, r3
        movs    r3, r4
        movs    r4, r6
1:      movs    r5, #1
        movs    r6, #1
        lsls    r5, r3
        lsls    r6, r4
        orrs    r5, r6
        movs    r6, #LDMIA_ALL >> 8
        lsls    r6, r6, #8
        orrs    r5, r6
        strh    r5, [r7]
        adds    r7, #2
        mov     r5, r9
        lsls    r6, r5, #31
        orrs    r3, r6
        lsrs    r5, r5, #1
        lsls    r6, r5, #31
        orrs    r4, r6
        lsrs    r5, r5, #1
        mov     r9, r5
        b       loaded

@ [r0] + [r0 + 4] + [r1]: the sum's place stays [r1], the carry's becomes [r0], [r0 + 4] is free.
full_add:
        ldr     r3, [r0]
        ldr     r4, [r0, #4]
loaded: ldr     r5, [r1]
        exclude r3, r4, r6, 0
        exclude r4, r5, r6, 2
        exclude r5, r3, r6, 4
        flip    r3, r4, r6
        flip    r4, r5, r6
        flip    r5, r3, r6
        str     r5, [r1]
@ Here also to make r3 |= r4 alone, and then r3's bit 31 XORed by r5's; what follows the fourth instruction does not count.
unite:
        movs    r2, #0x87       @ bics, in the upper nine bits
        movs    r6, r3
        eors    r6, r4
        bmi     3f
        movs    r2, #0x86       @ orrs
        cmp     r3, #0
        bpl     4f
        movs    r2, #0x80       @ ands
        b       4f
3:      cmp     r3, #0
        bmi     4f
        movs    r6, r3          @ only r4 is a complement: its register gets the result, which the other would have to invert
        movs    r3, r4
        movs    r4, r6
4:      lsls    r2, r2, #7
        lsls    r6, r4, #3
        adds    r6, r2
        adds    r6, r3
        strh    r6, [r7, #6]
        exclude r3, r5, r6, 8
        flip    r3, r5, r6
        str     r3, [r0]
        str     r4, [r0, #4]
        adds    r7, #10
        bx      lr

@ Move from [r1] to [r0], one of which is a high register.
move:
        ldr     r3, [r0]
        ldr     r4, [r1]
        lsls    r3, r3, #28
        lsrs    r3, r3, #28
        lsls    r5, r4, #3
        adds    r5, r3
        cmp     r3, #8
        blo     1f
        adds    r5, #0x80 - 8
1:      movs    r6, #0x46
        lsls    r6, r6, #8
        orrs    r5, r6
        strh    r5, [r7]
        adds    r7, #2
        flip    r3, r4, r5
        str     r3, [r0]
        bx      lr

@ WORK and the held carry [r1] into the counter [r2]; the carry's place is in WORK.
add_held:
        mov     r11, lr
        str     r2, [sp, #COUNTER]
        add     r0, sp, #WORK + 4
        bl      move
        add     r0, sp, #WORK + 8
        ldr     r1, [sp, #COUNTER]
        bl      move
        add     r0, sp, #WORK
        add     r1, sp, #WORK + 8
        bl      full_add
        ldr     r0, [sp, #COUNTER]
        bl      move
        bx      r11

@ Eight planes into ones, twos and fours.
add8:
        mov     r11, lr
        mov     r5, r9
        movs    r3, #4
        add     r0, sp, #WORK
1:      lsls    r4, r5, #31
        lsrs    r5, r5, #1
        orrs    r4, r3
        stmia   r0!, {r4}
        adds    r3, #1
        cmp     r3, #8
        bne     1b
        mov     r9, r5
        ldr     r3, ldmia_all
        strh    r3, [r7]
        adds    r7, #2
        subs    r0, #16
        add     r1, sp, #COUNTERS
        bl      full_add
        ldr     r3, [sp, #WORK + 4]
        ldr     r4, [sp, #WORK + 12]
        str     r4, [sp, #WORK + 4]
        str     r3, [sp, #WORK + 12]
        adds    r0, #4
        bl      full_add
        subs    r0, #4
        adds    r1, #4
        bl      full_add
        adds    r0, #4
        subs    r1, #4
        bl      load_add
        adds    r0, #4
        bl      load_add
        subs    r0, #4
        adds    r1, #4
        bl      full_add
        subs    r0, #4
        adds    r1, #4
        bl      full_add
        bx      r11

@ Sixteen planes, also into eights.
add16:
        mov     r12, lr
        bl      add8
        add     r0, sp, #HELD
        add     r1, sp, #WORK
        bl      move
        bl      add8
        add     r1, sp, #HELD
        add     r2, sp, #COUNTERS + 12
        bl      add_held
        bx      r12

        .global bw_compile_query
        .type   bw_compile_query, %function
        .thumb_func
bw_compile_query:               @ (code, bits, idle, to)
        push    {r4-r7, lr}
        mov     r4, r8
        mov     r5, r9
        mov     r6, r10
        mov     r7, r11
        push    {r4-r7}
        sub     sp, #FRAME
        mov     r7, r3
        lsrs    r1, r1, #5
        str     r0, [sp, #CODE]
        str     r1, [sp, #STEPS]
        ldr     r3, eors
        mov     r8, r3
        movs    r3, #1
        lsls    r4, r3, #31
        mov     r10, r4
        add     r0, sp, #COUNTERS
        movs    r4, #2
        movs    r5, #3
        stmia   r0!, {r3-r5}
        movs    r3, #9
        movs    r4, #10
        stmia   r0!, {r3, r4}
        adds    r3, r2, #1
        adds    r4, r2, #2
        adds    r5, r2, #3      @ those past the last are not used
        stmia   r0!, {r2-r5}
        mov     r3, r10
        adds    r3, #8
        movs    r4, #11
        movs    r5, #12
        stmia   r0!, {r3-r5}

planes32:
        ldr     r0, [sp, #CODE]
        ldmia   r0!, {r1}
        str     r0, [sp, #CODE]
        mov     r9, r1
        bl      add16
        add     r0, sp, #HELD + 4
        add     r1, sp, #WORK
        bl      move
        bl      add16
        add     r1, sp, #HELD + 4
        add     r2, sp, #COUNTERS + 16
        bl      add_held

@ Carry into the words of the stack: what is not carried on is in the counter's new bit, and carry & ~bit is ~(~carry | bit).
        add     r1, sp, #COUNTERS + 20
ripple:
        ldr     r3, [sp, #WORK]
        ldr     r4, [sp, #WORK + 4]
        ldr     r5, [r1]
        lsls    r4, r4, #29
        lsrs    r4, r4, #29
        lsls    r0, r5, #29
        lsrs    r0, r0, #29
        lsls    r6, r4, #8
        adds    r6, r0
        movs    r0, #0x98       @ ldr
        lsls    r0, r0, #8
        adds    r6, r0
        strh    r6, [r7]
        movs    r0, #0x08       @ str
        lsls    r0, r0, #8
        subs    r6, r0
        strh    r6, [r7, #4]
        exclude r4, r3, r6, 2
        flip    r5, r3, r6
        str     r5, [r1]
        flip    r4, r5, r6
        mov     r5, r10
        eors    r3, r5
        add     r0, sp, #WORK
        bl      unite
        subs    r7, #2
        ldmia   r1!, {r3}
        lsls    r3, r3, #29
        lsrs    r3, r3, #29
        cmp     r3, #4          @ the last word
        bne     ripple

@ Join the lanes that overflow to those that are out: r8 holds the complement of these.
        add     r0, sp, #WORK + 4
        add     r1, sp, #OUT
        bl      move
        ldr     r3, [sp, #WORK]
        ldr     r4, [sp, #WORK + 4]
        movs    r5, #0
        add     r0, sp, #WORK
        subs    r7, #6
        bl      unite
        subs    r7, #2
        add     r0, sp, #OUT
        add     r1, sp, #WORK
        bl      move
        ldr     r3, leave_made
        strh    r3, [r7]
        lsrs    r3, r3, #16
        strh    r3, [r7, #2]
        adds    r7, #4
        ldr     r4, [sp, #STEPS]
        subs    r4, #1
        str     r4, [sp, #STEPS]
        bne     planes32
        subs    r7, #4
        strh    r3, [r7]        @ the last one returns either way
        dsb                     @ what was written is what is fetched
        isb

        add     r1, sp, #COUNTERS + 36
        add     r2, sp, #COUNTERS
        movs    r0, #0
1:      subs    r1, #4
        ldr     r3, [r1]
        lsrs    r3, r3, #31
        lsls    r0, r0, #1
        orrs    r0, r3
        cmp     r1, r2
        bne     1b
        add     sp, #FRAME
        pop     {r4-r7}
        mov     r8, r4
        mov     r9, r5
        mov     r10, r6
        mov     r11, r7
        pop     {r4-r7, pc}
        .balign 4
ldmia_all:
        .word   LDMIA_ALL
eors:   .word   EORS
leave_made:
        .word   BX_LR << 16 | 0xD100 @ bne over the next one; bx lr
        .size   bw_compile_query, . - bw_compile_query

#endif
