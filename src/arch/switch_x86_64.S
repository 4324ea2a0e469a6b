/* SPDX-License-Identifier: MIT */
/*
 * The switch for x86-64, System V calling convention.
 *
 * A saved context, from the stack pointer upward, 8 bytes each:
 *
 *	mxcsr and x87 control word | r15 | r14 | r13 | r12 | rbx | rbp | return address
 *
 * The control words are callee-saved by the ABI (section 3.2.1); a task that changes its rounding
 * mode must not change its neighbours'.
 *
 * Resuming is a plain `ret`. With a single call site for all switches (core/worker.c) the return
 * predictor is right nearly always, and an indirect jump is not. Because nothing here is reached
 * by an indirect jump or call except the two functions' first instructions, IBT holds and is
 * declared; a shadow stack cannot hold, so SHSTK is left undeclared and the loader turns it off.
 */

	.text

	.globl	wf_context_switch
	.hidden	wf_context_switch
	.type	wf_context_switch, @function
	.p2align 5
wf_context_switch:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)

	movq	%rsp, (%rdi)
	movq	(%rsi), %rsp

	/* The other stack has the same layout, so the same unwinding rules hold. */
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	popq	%r14
	.cfi_adjust_cfa_offset -8
	popq	%r13
	.cfi_adjust_cfa_offset -8
	popq	%r12
	.cfi_adjust_cfa_offset -8
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	xorl	%eax, %eax
	ret
	.cfi_endproc
	.size	wf_context_switch, . - wf_context_switch

/*
 * Lays out a context whose `ret` lands in context_start with the entry in r12 and its argument in
 * r13. rbp is zero: the chain of frame pointers ends here.
 */
	.globl	wf_context_init
	.hidden	wf_context_init
	.type	wf_context_init, @function
	.p2align 4
wf_context_init:
	.cfi_startproc
	endbr64
	leaq	-80(%rsi), %rax
	stmxcsr	(%rax)
	fnstcw	4(%rax)
	movq	$0, 8(%rax)		/* r15 */
	movq	$0, 16(%rax)		/* r14 */
	movq	%rcx, 24(%rax)		/* r13: the argument */
	movq	%rdx, 32(%rax)		/* r12: the entry */
	movq	$0, 40(%rax)		/* rbx */
	movq	$0, 48(%rax)		/* rbp */
	leaq	context_start(%rip), %rdx
	movq	%rdx, 56(%rax)
	movq	$0, 64(%rax)		/* after the `ret`, rsp is here: aligned to 16 */
	movq	$0, 72(%rax)
	movq	%rax, (%rdi)
	ret
	.cfi_endproc
	.size	wf_context_init, . - wf_context_init

	.type	context_start, @function
	.p2align 4
context_start:
	.cfi_startproc
	.cfi_undefined rip		/* the outermost frame: debuggers and unwinders stop */
	movq	%r13, %rdi
	call	*%r12
	ud2				/* an entry does not return */
	.cfi_endproc
	.size	context_start, . - context_start

/* Declares IBT (feature 1, bit 0) and nothing else. */
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 1, 0

	.section .note.GNU-stack, "", @progbits
