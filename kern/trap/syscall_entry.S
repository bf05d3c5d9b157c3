/* syscall_entry.S - the fast road into the kernel and back.                                  (lab 3)
 *
 * Idea.       SYSCALL leaves the return address in rcx and the flags in r11 and touches no memory (SDM vol.
 *             2). On the fast road we save what C would destroy and Linux's ABI keeps, mostly where struct
 *             trapframe has it:
 *
 *                 trapframe   ss rsp rflags cs  rip error rdi rsi rdx r8 r9 r10 | rax rcx r11 rbx ... vector
 *                 fast road   -- --  rsp    r11 rip error rdi rsi rdx r8 r9 r10
 *
 *             C keeps rbx, rbp, r12 to r15 by itself, so a call that does not look at them never stores them.
 *             Only calls that need all registers (SYSCALL_FRAME) or meet pending work put the rest in order,
 *             and go back by IRET.
 * Interface.  syscall_entry (MSR_LSTAR), syscall_table, syscall_frame_table, syscall_none,
 *             syscall_with_frame.
 * Invariants. I1 SFMASK cleared IF, DF, TF, AC, NT: no interrupt until the stack is ours.
 *             I2 SYSRET faults in the kernel, on the user's stack, if rcx is not canonical (SDM vol. 2,
 *                SYSRET). On the fast road rcx is the address after a SYSCALL instruction below USER_END,
 *                whose page is never mapped: canonical. Whoever may have changed rip takes the road by
 *                trap_user_return and IRET.
 *             I3 the stack is 16-aligned at every call.
 */
#include "kern/trap/offsets.h"

	.section .text.hot, "ax"
	.balign 64
	.global syscall_entry
	.type syscall_entry, @function
syscall_entry:
	/* 1. Our GS, our stack (syscall_rsp is SYSCALL_SKIP below the top). */
	swapgs
	movq %rsp, %gs:CPU_USER_RSP
	movq %gs:CPU_SYSCALL_RSP, %rsp
	pushq %gs:CPU_USER_RSP
	pushq %r11
	pushq %rcx
	pushq %rax                           /* error: the number, for restarts */

	/* 2. What C destroys and the ABI keeps. */
	pushq %rdi
	pushq %rsi
	pushq %rdx
	pushq %r8
	pushq %r9
	pushq %r10
	sti

	/* 3. Call. Arguments are in place but the fourth: SYSCALL took rcx. */
	cmpq $ASM_NSYSCALL, %rax
	jae 2f
	movq %r10, %rcx
	call *syscall_table(, %rax, 8)

	/* 4. Anything to do before user mode? Interrupts off from here, or the answer would be old. */
1:	cli
	cmpl $0, %gs:CPU_WORK
	jne syscall_work
	movq TF_R10 - TF_R10(%rsp), %r10
	movq TF_R9 - TF_R10(%rsp), %r9
	movq TF_R8 - TF_R10(%rsp), %r8
	movq TF_RDX - TF_R10(%rsp), %rdx
	movq TF_RSI - TF_R10(%rsp), %rsi
	movq TF_RDI - TF_R10(%rsp), %rdi
	movq TF_RIP - TF_R10(%rsp), %rcx
	movq TF_CS - TF_R10(%rsp), %r11
	movq TF_RFLAGS - TF_R10(%rsp), %rsp
	swapgs
	sysretq

2:	movq $-ASM_ENOSYS, %rax
	jmp 1b

	/* Complete the frame: rax and below from the registers, which still are the user's but rcx and r11; those
	 * two as SYSCALL left them. Then the upper part: rsp and rflags to their places. rbx is lost to C, not to
	 * the frame. */
	.macro COMPLETE_FRAME
	pushq %rax
	pushq TF_RIP - TF_RAX(%rsp)
	pushq TF_CS - TF_RCX(%rsp)
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq $ASM_VEC_SYSCALL
	movq TF_RFLAGS(%rsp), %rbx
	movq %rbx, TF_RSP(%rsp)
	movq TF_CS(%rsp), %rbx
	movq %rbx, TF_RFLAGS(%rsp)
	movq $ASM_SEL_UCODE, TF_CS(%rsp)
	movq $ASM_SEL_UDATA, TF_SS(%rsp)
	.endm

/* The call is done, its result in rax, and work is pending. */
syscall_work:
	COMPLETE_FRAME
syscall_leave:
	movq %rsp, %rdi
	call trap_user_return
	jmp trap_exit_user

/* Stands in syscall_table for calls of syscall_frame_table: drops the return address, completes the frame and
 * calls them. rax still holds the number, rdi rsi rdx rcx r8 r9 the arguments. */
	.global syscall_with_frame
	.type syscall_with_frame, @function
syscall_with_frame:
	addq $8, %rsp
	COMPLETE_FRAME
	call *syscall_frame_table(, %rax, 8)
	movq %rax, TF_RAX(%rsp)
	jmp syscall_leave

/* Numbers nobody registered. */
	.global syscall_none
	.type syscall_none, @function
syscall_none:
	movq $-ASM_ENOSYS, %rax
	ret

	.section .data
	.balign 64
	.global syscall_table
syscall_table:
	.rept ASM_NSYSCALL
	.quad syscall_none
	.endr

	.section .bss
	.balign 64
	.global syscall_frame_table
syscall_frame_table:
	.skip ASM_NSYSCALL * 8

	.section .note.GNU-stack, "", @progbits
