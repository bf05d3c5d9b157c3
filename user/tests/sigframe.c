/* sigframe.c - what a handler finds on its stack, and what happens to what it changes there, at random.   (lab 11)
 *
 * Idea.       sigframe [SEED [WHAT]]. Registers, red zone and SSE registers get random values, a signal comes, and all is
 *             printed afterwards; handlers look into the saved context and change it; faults of all kinds are told and
 *             mended. WHAT is a set of letters, as at the end of the file.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "dice.h"
#include "sigset.h"

/* The saved registers, in the order of struct sigcontext, which begins 40 bytes into the ucontext. */
enum { R8, R9, R10, R11, R12, R13, R14, R15, RDI, RSI, RBP, RBX, RDX, RAX, RCX, RSP, RIP, EFL, CSGSFS, ERR, TRAPNO, OLDMASK, CR2, FPSTATE };
static const char *const name[] = { "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx" };

static uint64_t *regs_of(void *context) { return (uint64_t *)context + 5; }

static uint64_t
big(void)
{
	return (uint64_t)roll(1u << 30) << 34 | (uint64_t)roll(1u << 30) << 17 | roll(1u << 30);
}

/* ---- registers ---- */

static uint64_t in[15], out[15];
static int change;                 /* which register the handler changes; -1: none */
static uint64_t change_to;

/* Loads rbx, rdx, rsi, rdi, r8-r10 and r12-r15, traps, and stores what is in them afterwards. */
static void
trap_with_registers(void)
{
	__asm__ volatile(
		"push %%rbp\n\tpush %0\n\tpush %1\n\t"
		"mov %0, %%rax\n\t"
		"mov 0(%%rax), %%r8\n\tmov 8(%%rax), %%r9\n\tmov 16(%%rax), %%r10\n\tmov 24(%%rax), %%r11\n\t"
		"mov 32(%%rax), %%r12\n\tmov 40(%%rax), %%r13\n\tmov 48(%%rax), %%r14\n\tmov 56(%%rax), %%r15\n\t"
		"mov 64(%%rax), %%rdi\n\tmov 72(%%rax), %%rsi\n\tmov 80(%%rax), %%rbp\n\tmov 88(%%rax), %%rbx\n\t"
		"mov 96(%%rax), %%rdx\n\tmov 112(%%rax), %%rcx\n\tmov 104(%%rax), %%rax\n\t"
		"ud2\n\t"
		"push %%rax\n\tmov 8(%%rsp), %%rax\n\t"
		"mov %%r8, 0(%%rax)\n\tmov %%r9, 8(%%rax)\n\tmov %%r10, 16(%%rax)\n\tmov %%r11, 24(%%rax)\n\t"
		"mov %%r12, 32(%%rax)\n\tmov %%r13, 40(%%rax)\n\tmov %%r14, 48(%%rax)\n\tmov %%r15, 56(%%rax)\n\t"
		"mov %%rdi, 64(%%rax)\n\tmov %%rsi, 72(%%rax)\n\tmov %%rbp, 80(%%rax)\n\tmov %%rbx, 88(%%rax)\n\t"
		"mov %%rdx, 96(%%rax)\n\tmov %%rcx, 112(%%rax)\n\tpop %%rcx\n\tmov %%rcx, 104(%%rax)\n\t"
		"pop %1\n\tpop %0\n\tpop %%rbp\n\t"
		:: "S"(in), "D"(out) : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}

static void
on_ud2(int sig, siginfo_t *info, void *context)
{
	uint64_t *r = regs_of(context);
	int wrong = 0;

	for (int i = 0; i < 15; i++)
		wrong += r[i] != in[i];
	say("signal %d: %d saved registers are wrong; rip is si_addr: %d; trap %lu\n", sig, wrong, r[RIP] == (uint64_t)info->si_addr,
		r[TRAPNO]);
	if (change >= 0)
		r[change] = change_to;
	r[RIP] += 2;                                     /* ud2 has two bytes */
}

static void
registers(void)
{
	act_on(SIGILL, on_ud2, roll(2) ? SA_NODEFER : 0, 0);
	for (int k = 0; k < 6; k++) {
		for (int i = 0; i < 15; i++)
			in[i] = big(), out[i] = 0;
		change = (int)roll(16) - 1;
		change_to = big();
		trap_with_registers();
		for (int i = 0; i < 15; i++)
			if (out[i] != in[i])
				say("%s changed: to what was asked: %d\n", name[i], i == change && out[i] == change_to);
	}
}

/* ---- red zone ---- */

static volatile int came;

static void
spoil(int sig)
{
	volatile char much[3000];

	for (unsigned i = 0; i < sizeof much; i++)
		much[i] = (char)(sig + i);
	came += much[0] != 0;
}

/* Fills the 128 bytes below the stack pointer, sends a signal, and adds up what is there then. */
static uint64_t
red_zone(uint64_t value, int sig)
{
	uint64_t sum = 0, pid = getpid();

	__asm__ volatile(
		"sub $512, %%rsp\n\t"
		"mov $-128, %%rbx\n"
		"1:\tmov %[v], (%%rsp,%%rbx)\n\tadd $8, %%rbx\n\tjnz 1b\n\t"
		"mov $62, %%eax\n\tsyscall\n\t"
		"mov $-128, %%rbx\n"
		"2:\tadd (%%rsp,%%rbx), %[s]\n\tadd $8, %%rbx\n\tjnz 2b\n\t"
		"add $512, %%rsp\n\t"
		: [s] "+r"(sum) : [v] "r"(value), "D"(pid), "S"((uint64_t)sig) : "rax", "rbx", "rcx", "r11", "memory", "cc");
	return sum;
}

static void
red_zones(void)
{
	for (int i = 0; i < 5; i++) {
		int sig = 34 + (int)roll(20);
		uint64_t v = big();

		act_simple(sig, spoil);
		say("red zone: 16 times %lx make %lx, handlers %d\n", v, red_zone(v, sig), came);
	}
}

/* ---- SSE registers ---- */

static uint64_t xmm_seen[4];

static void
on_fpu(int sig, siginfo_t *info, void *context)
{
	uint64_t *fp = (uint64_t *)regs_of(context)[FPSTATE];
	uint64_t junk = 0x6666;

	(void)sig, (void)info;
	__asm__ volatile("movq %%xmm3, %0\n\tmovq %1, %%xmm3\n\tmovq %1, %%xmm9" : "=r"(xmm_seen[0]) : "r"(junk) : "xmm3", "xmm9");
	xmm_seen[1] = fp[20 + 3 * 2];                    /* saved xmm3 and xmm9: 160 bytes into the area, 16 bytes each */
	xmm_seen[2] = fp[20 + 9 * 2];
	if (change > 0)
		fp[20 + 9 * 2] = change_to;
}

static void
fpu(void)
{
	for (int i = 0; i < 6; i++) {
		uint64_t a = big(), b = big(), a2, b2;
		int sig = 34 + (int)roll(20), pid = getpid();

		change = (int)roll(2);
		change_to = big();
		act_on(sig, on_fpu, 0, 0);
		__asm__ volatile("movq %[a], %%xmm3\n\tmovq %[b], %%xmm9\n\tmov $62, %%eax\n\tsyscall\n\tmovq %%xmm3, %[a2]\n\tmovq %%xmm9, %[b2]"
			: [a2] "=&r"(a2), [b2] "=&r"(b2) : [a] "r"(a), [b] "r"(b), "D"((long)pid), "S"((long)sig)
			: "rax", "rcx", "r11", "memory", "xmm3", "xmm9");
		say("fpu: %lx %lx were saved as %lx %lx; the handler's own was clean %d; afterwards %lx %lx\n", a, b,
			xmm_seen[1], xmm_seen[2], xmm_seen[0] == 0, a2, b2);
	}
}

/* ---- another stack ---- */

static char stacks[2][40000] __attribute__((aligned(16)));

static int
which_stack(void *p)
{
	for (int i = 0; i < 2; i++)
		if ((char *)p >= stacks[i] && (char *)p <= stacks[i] + sizeof stacks[i])
			return i;
	return -1;
}

static volatile int nest, next[3];        /* how many more, and which: drawn before */

static void
on_alt(int sig, siginfo_t *info, void *context)
{
	stack_t now, other = { .ss_sp = stacks[1], .ss_size = sizeof stacks[1] };
	char here;
	int r;

	(void)info;
	sigaltstack(NULL, &now);
	r = sigaltstack(&other, NULL);
	say("signal %d: on stack %d, frame on %d, aligned %d, flags %d, size %lu; another: %d errno %d; came from %d\n", sig,
		which_stack(&here), which_stack(context), (uint64_t)context % 16 == 0, now.ss_flags, (unsigned long)now.ss_size, r,
		r ? errno : 0, which_stack((void *)regs_of(context)[RSP]));
	if (nest-- > 0)
		kill(getpid(), next[nest]);
}

static void
alternate(void)
{
	stack_t ss = { .ss_sp = stacks[0] }, old;

	for (int i = 0; i < 6; i++) {
		ss.ss_size = 16384 + 1000 * roll(20);
		ss.ss_flags = roll(4) ? 0 : SS_DISABLE;
		say("set: %d, ", sigaltstack(&ss, &old));
		say("before: flags %d\n", old.ss_flags);
		act_on(SIGUSR1, on_alt, SA_NODEFER | (roll(2) ? SA_ONSTACK : 0), 0);
		act_on(SIGUSR2, on_alt, SA_NODEFER | (roll(2) ? SA_ONSTACK : 0), 0);
		nest = (int)roll(3);
		for (int k = 0; k < 3; k++)
			next[k] = roll(2) ? SIGUSR1 : SIGUSR2;
		kill(getpid(), roll(2) ? SIGUSR1 : SIGUSR2);
	}
	ss.ss_size = roll(2000);
	ss.ss_flags = 0;
	say("too small: %d errno %d\n", sigaltstack(&ss, NULL), errno);
	ss.ss_flags = 4 + (int)roll(100);
	say("strange flags: %d errno %d\n", sigaltstack(&ss, NULL), errno);
}

/* ---- faults ---- */

static jmp_buf back;
static char *place;

static void
on_fault(int sig, siginfo_t *info, void *context)
{
	uint64_t *r = regs_of(context);
	long off = (char *)info->si_addr - place;

	say("signal %d code %d", sig, info->si_code);
	if (sig == SIGSEGV && info->si_code > 0 && info->si_code < 3)
		say(" at %ld error %lx cr2 too: %d", off, r[ERR] & 0x16, r[CR2] == (uint64_t)info->si_addr);
	say(" trap %lu mask %lx\n", r[TRAPNO], get_mask());
	longjmp(back, 1);
}

static void
fault_once(unsigned what)
{
	static const int prot[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	volatile int zero = 0;
	unsigned p = roll(3), at = roll(4096);

	mprotect(place, 4096, prot[p]);
	say("fault %u, protection %u: ", what, p);
	switch (what) {
	case 0: (void)*(volatile char *)(place + at); break;
	case 1: *(volatile char *)(place + at) = 1; break;
	case 2: (void)*(volatile char *)(place + 4096 + at); break;
	case 3: ((void (*)(void))(place + at))(); break;
	case 4: zero = 1 / zero; break;
	case 5: __asm__ volatile("ud2"); break;
	case 6: __asm__ volatile("int3"); break;
	case 7: __asm__ volatile("hlt"); break;
	case 8: (void)*(volatile char *)(0x8000000000000000ul + at); break;
	}
	say("nothing\n");
}

static void
fault_blocked(void)
{
	set_mask(SIG_BLOCK, BIT(SIGSEGV));
	fault_once(2);
}

static void
fault_ignored(void)
{
	signal(SIGSEGV, SIG_IGN);
	fault_once(2);
}

static void
faults(void)
{
	place = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(place + 4096, 4096);
	for (int sig = 1; sig < 32; sig++)
		if (sig == SIGSEGV || sig == SIGFPE || sig == SIGILL || sig == SIGTRAP || sig == SIGBUS)
			act_on(sig, on_fault, roll(2) ? SA_NODEFER : 0, 0);
	for (volatile int i = 0; i < 14; i++)
		if (setjmp(back) == 0)
			fault_once(roll(9));
		else
			set_mask(SIG_SETMASK, 0);
	in_child("blocked", fault_blocked);
	in_child("ignored", fault_ignored);
}

/* ---- frames that lie ---- */

static unsigned lie;

static void
on_lie(int sig, siginfo_t *info, void *context)
{
	uint64_t *r = regs_of(context);

	(void)sig, (void)info;
	switch (lie) {
	case 0: r[RIP] = 0xffffffff80100000ul + roll(100000); break;
	case 1: r[RIP] = 0x0000800000000000ul + big() % (1ul << 40); break;
	case 2: r[RIP] = 16; break;
	case 3: r[EFL] |= 0x3000; break;                 /* IOPL 3: in and out */
	case 4: r[EFL] &= ~0x200ul; break;               /* no interrupts */
	case 5: r[FPSTATE] = 0xffff888000000000ul; break;
	case 6: r[FPSTATE] = 8; break;
	case 7: r[FPSTATE] = 0; break;
	case 8: r[RSP] = 0xffff888000000000ul; break;
	case 9: r[EFL] |= 0x4000; break;                 /* NT */
	}
}

static void
lie_once(void)
{
	uint64_t flags;

	act_on(SIGUSR1, on_lie, 0, 0);
	kill(getpid(), SIGUSR1);
	__asm__ volatile("pushfq\n\tpop %0" : "=r"(flags));
	say("went on, interrupts %d iopl %lu nt %d\n", !!(flags & 0x200), flags >> 12 & 3, !!(flags & 0x4000));
	if (lie == 3)
		__asm__ volatile("in $0x80, %%al" ::: "rax");
}

/* rt_sigreturn without any signal: the frame is whatever is there. */
static void
return_from_nothing(void)
{
	static uint64_t junk[300];
	uint64_t sp = lie & 1 ? (uint64_t)(junk + 20) : lie & 2 ? 8 : 0xffffffff80000000ul;

	for (unsigned i = 0; i < 300; i++)
		junk[i] = lie & 4 ? big() : 0;
	__asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\tud2" :: "r"(sp) : "memory");
}

static void
lies(void)
{
	for (int i = 0; i < 10; i++) {
		lie = roll(10);
		say("lie %u: ", lie);
		in_child("it", lie_once);
	}
	for (int i = 0; i < 4; i++) {
		lie = roll(8);
		say("nothing %u: ", lie);
		in_child("it", return_from_nothing);
	}
}

int
main(int argc, char **argv)
{
	dice_seed(argc > 1 ? argv[1] : NULL);
	for (const char *w = argc > 2 ? argv[2] : "rzxafl"; *w; w++) {
		void (*fn)(void) = *w == 'r' ? registers : *w == 'z' ? red_zones : *w == 'x' ? fpu : *w == 'a' ? alternate :
			*w == 'f' ? faults : lies;

		in_child("all", fn);
	}
	return 0;
}
