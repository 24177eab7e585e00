#ifdef __thumb__

@ bw_multiply for Arm chips: (weights, packed, count, sums, rows). products.c says what it computes.
@
@ Cortex-M0+ and M3: r0 weights, r1 packed, r2-r5 what is multiplied, r6 the fields' mask, r7 the sum, r12 the packed input's end. Twelve
@ instructions for four products, half of one for the loop.
@ Chips that multiply two pairs at once: r0, r1 and r12 as above, r2-r5 weights, r6-r9 inputs, r10 two weights, lr the sum. 21
@ instructions for sixteen products.

        .syntax unified
        .thumb
        .text

@ The stack frame
        .equ    PACKED, 0
        .equ    COUNT, 4
        .equ    ENTRY, 4        @ in its place
        .equ    SUMS, 8

        .global bw_multiply
        .type   bw_multiply, %function
        .thumb_func

#ifndef __ARM_FEATURE_DSP

        .equ    ROWS, 32        @ an argument

        .macro  products4
        ldmia   r0!, {r2}
        ldmia   r1!, {r3-r5}    @ signs, even, odd
        eors    r2, r3
        lsrs    r3, r2, #8
        ands    r2, r6
        ands    r3, r6
        muls    r2, r4
        muls    r3, r5
        lsrs    r2, #16
        lsrs    r3, #16
        adds    r7, r2
        adds    r7, r3
        .endm
        .equ    BYTES4, 24

bw_multiply:
        push    {r1-r7, lr}
        adds    r1, #4
        adds    r1, r2
        adds    r1, r2
        adds    r1, r2
        mov     r12, r1
        negs    r2, r2          @ begin so far into the loop that it ends with the input
        movs    r3, #12
        ands    r2, r3
        movs    r3, #BYTES4 / 4
        muls    r2, r3
        adr     r3, sixteen
        adds    r2, r3
        str     r2, [sp, #ENTRY]
        ldr     r6, fields
row:
        ldr     r1, [sp, #PACKED]
        ldr     r2, [sp, #ENTRY]
        ldmia   r1!, {r7}
        mov     pc, r2
        .balign 4
sixteen:
        products4
        products4
        products4
        products4
        cmp     r1, r12
        bne     sixteen
        ldr     r2, [sp, #SUMS]
        ldr     r3, [r2]
        adds    r7, r3
        stmia   r2!, {r7}
        str     r2, [sp, #SUMS]
        ldr     r2, [sp, #ROWS]
        subs    r2, #1
        str     r2, [sp, #ROWS]
        bne     row
        pop     {r1-r7, pc}
        .balign 4
fields:
        .word   0x00FF00FF

#else

        .equ    ROWS, 48

        .macro  products4 weights, even, odd
        sxtb16  r10, \weights
        sxtb16  \weights, \weights, ror #8
        smlad   lr, r10, \even, lr
        smlad   lr, \weights, \odd, lr
        .endm

bw_multiply:
        push    {r1-r11, lr}
        adds    r1, #4
        add     r12, r1, r2, lsl #1
row:
        ldr     r1, [sp, #PACKED]
        ldr     lr, [r1], #4
        ldr     r2, [sp, #COUNT]
        ands    r2, r2, #12
        beq     sixteen
single:
        ldr     r3, [r0], #4
        ldrd    r4, r5, [r1], #8
        products4 r3, r4, r5
        subs    r2, r2, #4
        bne     single
        cmp     r1, r12
        beq     store
sixteen:
        ldmia   r0!, {r2-r5}
        ldmia   r1!, {r6-r9}
        products4 r2, r6, r7
        products4 r3, r8, r9
        ldmia   r1!, {r6-r9}
        products4 r4, r6, r7
        products4 r5, r8, r9
        cmp     r1, r12
        bne     sixteen
store:
        ldr     r2, [sp, #SUMS]
        ldr     r3, [r2]
        add     r3, lr
        stmia   r2!, {r3}
        str     r2, [sp, #SUMS]
        ldr     r2, [sp, #ROWS]
        subs    r2, r2, #1
        str     r2, [sp, #ROWS]
        bne     row
        pop     {r1-r11, pc}

#endif

        .size   bw_multiply, . - bw_multiply

#endif

#ifdef __linux__
/* As in scan_thumb.S. */
        .section .note.GNU-stack,"",%progbits
#endif
