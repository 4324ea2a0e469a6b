/* SPDX-License-Identifier: MIT */
/*
 * The switch for 64-bit Arm, procedure call standard AAPCS64.
 *
 * A saved context, from the stack pointer upward, 8 bytes each:
 *
 *	x19 ... x28 | x29 | x30, signed | d8 ... d15 | fpcr | nothing, for alignment
 *
 * Of v8 to v15 a callee keeps the low halves only (section 6.1.2); what SVE adds to them, and its
 * predicates, belong to the caller. FPCR, the control word, must not change across a call; FPSR, the
 * flags of past exceptions, is nobody's. x18 is the platform's: on Linux a scratch register.
 *
 * Resuming is a plain `ret`, for the return predictor's sake as on x86-64 (docs/design/switch.md).
 *
 * The return address lies in memory for as long as the task sleeps. Therefore it is signed before it
 * is stored and authenticated after it is loaded, with the stack pointer at the entry as modifier:
 * that is the same at both ends, for a stack never moves. paciasp is also the landing pad of an
 * indirect call. So BTI and PAC hold and are declared; on processors without them these instructions
 * do nothing. A guarded control stack (GCS) cannot hold when `ret` returns on another stack, so it is
 * left undeclared and the loader turns it off.
 */

#define FRAME_BYTES 176

	.text

	.globl	wf_context_switch
	.hidden	wf_context_switch
	.type	wf_context_switch, %function
	.p2align 5
wf_context_switch:
	.cfi_startproc
	paciasp
	.cfi_negate_ra_state
	stp	x19, x20, [sp, #-FRAME_BYTES]!
	.cfi_def_cfa_offset FRAME_BYTES
	.cfi_offset x19, -FRAME_BYTES
	.cfi_offset x20, -FRAME_BYTES + 8
	stp	x21, x22, [sp, #16]
	.cfi_offset x21, -FRAME_BYTES + 16
	.cfi_offset x22, -FRAME_BYTES + 24
	stp	x23, x24, [sp, #32]
	.cfi_offset x23, -FRAME_BYTES + 32
	.cfi_offset x24, -FRAME_BYTES + 40
	stp	x25, x26, [sp, #48]
	.cfi_offset x25, -FRAME_BYTES + 48
	.cfi_offset x26, -FRAME_BYTES + 56
	stp	x27, x28, [sp, #64]
	.cfi_offset x27, -FRAME_BYTES + 64
	.cfi_offset x28, -FRAME_BYTES + 72
	stp	x29, x30, [sp, #80]
	.cfi_offset x29, -FRAME_BYTES + 80
	.cfi_offset x30, -FRAME_BYTES + 88
	stp	d8, d9, [sp, #96]
	.cfi_offset d8, -FRAME_BYTES + 96
	.cfi_offset d9, -FRAME_BYTES + 104
	stp	d10, d11, [sp, #112]
	.cfi_offset d10, -FRAME_BYTES + 112
	.cfi_offset d11, -FRAME_BYTES + 120
	stp	d12, d13, [sp, #128]
	.cfi_offset d12, -FRAME_BYTES + 128
	.cfi_offset d13, -FRAME_BYTES + 136
	stp	d14, d15, [sp, #144]
	.cfi_offset d14, -FRAME_BYTES + 144
	.cfi_offset d15, -FRAME_BYTES + 152
	mrs	x9, fpcr
	str	x9, [sp, #160]

	mov	x10, sp
	str	x10, [x0]
	ldr	x10, [x1]
	mov	sp, x10

	/* The other stack has the same layout, so the same unwinding rules hold. Writing FPCR holds up
	 * the processor, and the present value is at hand: so it is written only when it differs. */
	ldr	x10, [sp, #160]
	cmp	x9, x10
	b.eq	1f
	msr	fpcr, x10
1:	ldp	d14, d15, [sp, #144]
	.cfi_restore d14
	.cfi_restore d15
	ldp	d12, d13, [sp, #128]
	.cfi_restore d12
	.cfi_restore d13
	ldp	d10, d11, [sp, #112]
	.cfi_restore d10
	.cfi_restore d11
	ldp	d8, d9, [sp, #96]
	.cfi_restore d8
	.cfi_restore d9
	ldp	x29, x30, [sp, #80]
	.cfi_restore x29
	.cfi_restore x30
	ldp	x27, x28, [sp, #64]
	.cfi_restore x27
	.cfi_restore x28
	ldp	x25, x26, [sp, #48]
	.cfi_restore x25
	.cfi_restore x26
	ldp	x23, x24, [sp, #32]
	.cfi_restore x23
	.cfi_restore x24
	ldp	x21, x22, [sp, #16]
	.cfi_restore x21
	.cfi_restore x22
	ldp	x19, x20, [sp], #FRAME_BYTES
	.cfi_restore x19
	.cfi_restore x20
	.cfi_def_cfa_offset 0
	autiasp
	.cfi_negate_ra_state
	mov	w0, #0
	ret
	.cfi_endproc
	.size	wf_context_switch, . - wf_context_switch

/*
 * Lays out a context whose `ret` lands in context_start, with the stack pointer at the top, the entry
 * in x19 and its argument in x20. x29 is zero: the chain of frame pointers ends here. The other
 * registers are what the memory holds.
 */
	.globl	wf_context_init
	.hidden	wf_context_init
	.type	wf_context_init, %function
	.p2align 4
wf_context_init:
	.cfi_startproc
	bti	c
	sub	x9, x1, #FRAME_BYTES
	adr	x17, context_start
	mov	x16, x1			/* the stack pointer it will be authenticated with */
	pacia1716
	mrs	x10, fpcr
	stp	x2, x3, [x9]		/* x19, x20: the entry and the argument */
	stp	xzr, x17, [x9, #80]	/* x29, x30 */
	str	x10, [x9, #160]
	str	x9, [x0]
	ret
	.cfi_endproc
	.size	wf_context_init, . - wf_context_init

	.type	context_start, %function
	.p2align 4
context_start:
	.cfi_startproc
	.cfi_undefined x30		/* the outermost frame: debuggers and unwinders stop */
	mov	x0, x20
	blr	x19
	brk	#1000			/* an entry does not return */
	.cfi_endproc
	.size	context_start, . - context_start

/* Declares BTI (feature 1, bit 0) and PAC (bit 1), and nothing else. */
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 3, 0

	.section .note.GNU-stack, "", %progbits
