/* regmix.c - parent and child go on with all registers that the parent had.                  (lab 4)
 *
 * Idea.       regmix [SEED]. Fills every register that a system call keeps, and those of the FPU, forks, and looks at them
 *             again on both sides.
 */
#include "dice.h"
#include "say.h"

enum { REGS = 12, XMMS = 16 };

uint64_t reg_in[REGS], reg_out[REGS], xmm_in[2 * XMMS], xmm_out[2 * XMMS];
uint32_t mxcsr_in, mxcsr_out;
int fork_with(void);

#define EACH_XMM(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#define LOAD_XMM(n) "movdqu xmm_in+16*" #n "(%rip), %xmm" #n "\n"
#define KEEP_XMM(n) "movdqu %xmm" #n ", xmm_out+16*" #n "(%rip)\n"
#define EACH_REG(f) f(0, rbx) f(1, rbp) f(2, r12) f(3, r13) f(4, r14) f(5, r15) f(6, rdi) f(7, rsi) f(8, rdx) f(9, r8) \
	f(10, r9) f(11, r10)
#define LOAD_REG(n, r) "movq reg_in+8*" #n "(%rip), %" #r "\n"
#define KEEP_REG(n, r) "movq %" #r ", reg_out+8*" #n "(%rip)\n"

asm(".text\n"
    "fork_with:\n"
    "pushq %rbx\n pushq %rbp\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
    "ldmxcsr mxcsr_in(%rip)\n"
    EACH_XMM(LOAD_XMM)
    EACH_REG(LOAD_REG)
    "movl $57, %eax\n"
    "syscall\n"
    EACH_REG(KEEP_REG)
    EACH_XMM(KEEP_XMM)
    "stmxcsr mxcsr_out(%rip)\n"
    "popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbp\n popq %rbx\n"
    "ret\n");

static uint64_t
random64(void)
{
	return (uint64_t)roll(1u << 31) << 33 ^ (uint64_t)roll(1u << 31) << 11 ^ roll(1u << 31);
}

static int
differences(void)
{
	int n = mxcsr_in != mxcsr_out;

	for (int i = 0; i < REGS; i++)
		n += reg_in[i] != reg_out[i];
	for (int i = 0; i < 2 * XMMS; i++)
		n += xmm_in[i] != xmm_out[i];
	return n;
}

/* depth forks, each by the child of the one before. Returns: differences seen by all of them. */
static int
chain(int depth)
{
	int pid, status = 0, n;

	for (int i = 0; i < REGS; i++)
		reg_in[i] = random64();
	for (int i = 0; i < 2 * XMMS; i++)
		xmm_in[i] = random64();
	mxcsr_in = 0x1f80 | roll(4) << 13;
	pid = fork_with();
	n = differences();
	if (pid == 0)
		_exit(depth > 1 ? n + chain(depth - 1) : n);
	if (waitpid(pid, &status, 0) != pid)
		say("waitpid: errno %d\n", errno);
	say("depth %d: registers differ: %d, in the children %d, first %lx\n", depth, n, WEXITSTATUS(status), (long)reg_out[0]);
	return n + WEXITSTATUS(status);
}

int
main(int argc, char **argv)
{
	dice_seed(argc > 1 ? argv[1] : NULL);
	for (int i = 0; i < 4; i++)
		chain(1 + roll(4));
	return 0;
}
