/* switch.S - from one kernel stack to another.                                                (lab 4)
 *
 *     void switch_stacks(uint64_t *save_rsp, uint64_t load_rsp);
 *
 * A thread that is not running has on its stack, from its saved rsp upwards:
 *
 *     rsp -> r15 r14 r13 r12 rbx rbp | return address        seven words; thread.c builds the same for a new
 *     thread
 *
 * C expects just these six registers to survive a call (psABI, 3.2.1), so nothing else needs saving.
 * Interrupts are off.
 *     1. push the six.  2. leave our rsp in *save_rsp, take the other.  3. pop the other thread's six,
 *       return as it.
 */
	.section .text.hot, "ax"
	.globl switch_stacks
	.type switch_stacks, @function
switch_stacks:
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret
	.size switch_stacks, . - switch_stacks
	.section .note.GNU-stack, "", @progbits
