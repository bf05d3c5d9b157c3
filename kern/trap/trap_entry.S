/* trap_entry.S - one way in, one way out: from any exception or interrupt to trap_dispatch and back. (lab 3)
 *
 * Idea.       256 stubs of 16 bytes push what the processor did not, so that all frames look alike:
 *
 *                 top of stack   ss rsp rflags cs rip    by the processor
 *                                error                   by the processor, or by the stub
 *                                rdi                     by the stub, which then keeps the vector in it
 *                                the other registers     by trap_common
 *                 %rsp ------->  vector                  by trap_common; the whole is struct trapframe
 *
 * Interface.  trap_stubs (the IDT points into it), trap_return, entry_smap_sites.
 * Invariants. I1 in the kernel GS base is &cpus[n]; in user mode it is the user's, and ours waits in
 *                KERNEL_GS_BASE. CS tells which one is loaded, except between SYSCALL and its SWAPGS:
 *                interrupts are off there, and what cannot be turned off (NMI, double fault, machine check)
 *                asks the register itself.
 *             I2 C code runs with DF and AC clear, whatever user code left.
 */
#include "kern/trap/offsets.h"

#define MSR_GS_BASE 0xc0000101

	.macro PUSH_REGS                     /* rdi is there already, and holds the vector */
	pushq %rsi
	pushq %rdx
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %rax
	pushq %rcx
	pushq %r11
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdi
	.endm

	.macro LOAD_REGS                     /* and leave rsp at rip */
	movq TF_R15(%rsp), %r15
	movq TF_R14(%rsp), %r14
	movq TF_R13(%rsp), %r13
	movq TF_R12(%rsp), %r12
	movq TF_RBP(%rsp), %rbp
	movq TF_RBX(%rsp), %rbx
	movq TF_R11(%rsp), %r11
	movq TF_RCX(%rsp), %rcx
	movq TF_RAX(%rsp), %rax
	movq TF_R10(%rsp), %r10
	movq TF_R9(%rsp), %r9
	movq TF_R8(%rsp), %r8
	movq TF_RDX(%rsp), %rdx
	movq TF_RSI(%rsp), %rsi
	movq TF_RDI(%rsp), %rdi
	addq $TF_RIP, %rsp
	.endm

	.macro CLAC_SITE                     /* three-byte no-op, made CLAC where the CPU has SMAP */
9:	.byte 0x0f, 0x1f, 0x00
	.pushsection .rodata.smap, "a"
	.quad 9b, 0xca
	.popsection
	.endm

	.section .rodata.smap, "a"
	.global entry_smap_sites
	.balign 8
entry_smap_sites:

	.section .text.hot, "ax"

trap_common:
	CLAC_SITE
	cld
	testb $3, TF_CS - TF_RDI(%rsp)
	jz 1f
	swapgs
1:	PUSH_REGS
	movq %rsp, %rdi
	call trap_dispatch
	testb $3, TF_CS(%rsp)
	jz 3f

	/* To user mode: trap_user_return has run, interrupts are off. */
	.global trap_exit_user
trap_exit_user:
	LOAD_REGS
	swapgs
	iretq

3:	LOAD_REGS                             /* to the kernel */
	iretq

/* _Noreturn void trap_return(struct trapframe *tf): the stack below tf is given up. */
	.global trap_return
	.type trap_return, @function
trap_return:
	movq %rdi, %rsp
	xorl %ebp, %ebp                      /* backtraces end here */
	call trap_user_return
	jmp trap_exit_user

/* Stacks of their own (IST). Whose GS is loaded? Ours is a kernel address: the sign bit tells; %ebx
 * remembers. */
trap_common_ist:
	CLAC_SITE
	cld
	PUSH_REGS
	xorl %ebx, %ebx
	movl $MSR_GS_BASE, %ecx
	rdmsr
	testl %edx, %edx
	js 1f
	swapgs
	incl %ebx
1:	movq %rsp, %rdi
	call trap_dispatch_ist
	testl %ebx, %ebx
	jz 2f
	swapgs
2:	LOAD_REGS
	iretq

	/* Vectors with an error code: 8, 10 to 14, 17, 21, 29, 30 (SDM vol. 3, 6.15; AMD vol. 2, 8.2). */
#define HAS_ERROR(v) (0x60227d00 >> (v) & 1)
#define ON_IST(v) ((v) == 2 || (v) == 8 || (v) == 18)

	.balign 16
	.global trap_stubs
	.type trap_stubs, @function
trap_stubs:
	.set v, 0
	.rept 256
	.balign 16
	.if v >= 32
	pushq $-1
	.elseif !(HAS_ERROR(v))
	pushq $0
	.endif
	pushq %rdi
	movl $v, %edi
	.if ON_IST(v)
	jmp trap_common_ist
	.else
	jmp trap_common
	.endif
	.set v, v + 1
	.endr

	.section .rodata.smap, "a"
	.quad 0, 0

	.section .note.GNU-stack, "", @progbits
