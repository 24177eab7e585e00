# Where qemu-xtensa begins, and the three system calls that the stand-in makes: Linux's, number in a2, arguments in a6, a3, a4.
	.section .literal,"ax",@progbits
	.p2align 2
.Lstack:
	.long stack_top
.Lrun:
	.long run

	.text
	.p2align 2
	.global _start
	.type _start,@function
_start:
	l32r a1, .Lstack
	movi a0, 0
	l32r a8, .Lrun
	callx8 a8

	.p2align 2
	.global leave
	.type leave,@function
leave:
	entry a1, 32
	or a6, a2, a2
	movi a2, 118
	syscall

	.p2align 2
	.global read_some
	.type read_some,@function
read_some:
	entry a1, 32
	or a6, a2, a2
	movi a2, 12
	syscall
	retw.n

	.p2align 2
	.global write_some
	.type write_some,@function
write_some:
	entry a1, 32
	or a6, a2, a2
	movi a2, 13
	syscall
	retw.n

	.section .note.GNU-stack,"",@progbits
