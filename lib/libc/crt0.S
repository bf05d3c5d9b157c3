/* crt0.S - the first and the smallest things: entry, system calls, signal return, setjmp.
 *
 * Idea.       Every stub loads its number and jumps to syscall_common; errno is set there and nowhere else.
 * Interface.  _start; one weak function per line of syscalls.h, under the call's name or the one given in the
 *             table of renames below; syscall(nr, ...); sigreturn_trampoline; setjmp and longjmp.
 */

/* 1. Entry. At rsp: argc, argv[], NULL, envp[], NULL, auxv pairs (psABI 3.4.1). Never returns. */
	.text
	.globl _start
	.type _start, @function
_start:
	xorl %ebp, %ebp                 /* the outermost frame, for debuggers */
	movq %rsp, %rdi
	andq $-16, %rsp
	call libc_start
	hlt

/* 2. System calls. In: eax = number, arguments as for a C function. Out: rax, or -1 and errno. */
	.type syscall_common, @function
syscall_common:
	movq %rcx, %r10                 /* the instruction overwrites rcx: argument 4 travels in r10 */
	syscall
	cmpq $-4095, %rax
	jae 1f
	ret
1:	negl %eax
	movl %eax, errno(%rip)
	movq $-1, %rax
	ret

/* Names that mean something else in C: the library's function of that name is written in C. */
#define exit            sys_exit
#define exit_group      _exit
#define brk             sys_brk
#define vfork           sys_vfork
#define clone           sys_clone
#define getcwd          sys_getcwd
#define reboot          sys_reboot
#define time            sys_time
#define pread64         pread
#define pwrite64        pwrite
#define newfstatat      fstatat
#define fadvise64       posix_fadvise
#define rt_sigreturn    sys_rt_sigreturn

#define SYSCALL(nr, name, nargs) \
	.weak name; .type name, @function; name: movl $nr, %eax; jmp syscall_common; .size name, . - name;
#include "lib/abi/syscalls.h"

/* long syscall(long nr, a, b, c, d, e, f): the seventh C argument is on the stack. */
	.globl syscall
	.type syscall, @function
syscall:
	movq %rdi, %rax
	movq %rsi, %rdi
	movq %rdx, %rsi
	movq %rcx, %rdx
	movq %r8, %rcx
	movq %r9, %r8
	movq 8(%rsp), %r9
	jmp syscall_common

/* 3. A signal handler returns to here; rsp is at the frame's ucontext. */
	.globl sigreturn_trampoline
	.type sigreturn_trampoline, @function
sigreturn_trampoline:
	movl $15, %eax                  /* rt_sigreturn */
	syscall
	hlt

/* 4. int setjmp(jmp_buf env): save what a call must preserve, and where this call returns to. */
	.globl setjmp
	.type setjmp, @function
setjmp:
	movq %rbx, 0(%rdi)
	movq %rbp, 8(%rdi)
	movq %r12, 16(%rdi)
	movq %r13, 24(%rdi)
	movq %r14, 32(%rdi)
	movq %r15, 40(%rdi)
	leaq 8(%rsp), %rax              /* rsp after the return */
	movq %rax, 48(%rdi)
	movq (%rsp), %rax
	movq %rax, 56(%rdi)
	xorl %eax, %eax
	ret

/* void longjmp(jmp_buf env, int value): return from that setjmp again, with value or 1. */
	.globl longjmp
	.type longjmp, @function
longjmp:
	movl %esi, %eax
	testl %eax, %eax
	jnz 1f
	incl %eax
1:	movq 0(%rdi), %rbx
	movq 8(%rdi), %rbp
	movq 16(%rdi), %r12
	movq 24(%rdi), %r13
	movq 32(%rdi), %r14
	movq 40(%rdi), %r15
	movq 48(%rdi), %rsp
	jmp *56(%rdi)

	.section .note.GNU-stack, "", @progbits
