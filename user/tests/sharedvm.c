/* sharedvm.c - processes that share one address space fork it, map, protect and unmap in it, all at once.      (lab 13)
 *
 * Idea.       Adders count in a page that each fork makes copy-on-write again: a translation that a CPU has kept too long would
 *             lose a count. Mappers move memory about, and look whether what they wrote is still there. Forkers
 *             fork; how often, and what they see in their copies, the seed says: sharedvm [SEED].
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "dice.h"
#include "say.h"

enum { ADDERS = 3, MAPPERS = 2, STACK = 65536, PAGE = 4096 };

static volatile long counts[ADDERS][PAGE / sizeof(long)] __attribute__((aligned(4096)));
static volatile long done[ADDERS], wrong, stop;
static volatile unsigned told;         /* what the next child is to find */

/* A child that runs fn(arg) in our memory, on a stack of its own. */
static int
start(void (*fn)(long), long arg)
{
	char *stack = (char *)mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + STACK;
	void **sp = (void **)(stack - 64);
	long pid;

	sp[0] = (void *)fn;
	sp[1] = (void *)arg;
	asm volatile("syscall\n\t"
		"testq %%rax, %%rax\n\t"
		"jnz 1f\n\t"
		"xorl %%ebp, %%ebp\n\t"
		"popq %%rax\n\t"
		"popq %%rdi\n\t"
		"call *%%rax\n\t"
		"movl $60, %%eax\n\t"
		"xorl %%edi, %%edi\n\t"
		"syscall\n"
		"1:" : "=a"(pid) : "a"(SYS_clone), "D"(CLONE_VM | SIGCHLD), "S"(sp), "d"(0) : "rcx", "r11", "r10", "r8", "memory");
	return pid;
}

static void
adder(long me)
{
	long n = 0;

	while (!stop) {
		counts[me][n % 512]++;
		n++;
	}
	done[me] = n;
}

static void
mapper(long me)
{
	for (unsigned i = 1; !stop; i++) {
		size_t size = (1 + i % 20) * PAGE;
		char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			continue;
		for (size_t at = 0; at < size; at += PAGE)
			*(unsigned *)(p + at) = i + at + me;
		mprotect(p, size, PROT_READ);
		for (size_t at = 0; at < size; at += PAGE)
			wrong += *(unsigned *)(p + at) != i + at + me;
		if (i % 3 == 0)
			p = mremap(p, size, size + PAGE * 8, MREMAP_MAYMOVE);
		for (size_t at = 0; p != MAP_FAILED && at < size; at += PAGE)
			wrong += *(unsigned *)(p + at) != i + at + me;
		munmap(p, size + (i % 3 ? 0 : PAGE * 8));
	}
}

/* A child writes to its own copies, and says what it found and what it made of it. Returns its status. */
static int
forked(unsigned add)
{
	int status, pid = fork();

	if (pid == 0) {
		for (int a = 0; a < ADDERS; a++)
			counts[a][add % 512]++;
		told += add;
		_exit(told % 251);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 999;
}

int
main(int argc, char **argv)
{
	long lost = 0;
	int pid[ADDERS + MAPPERS], n = 0, forks;
	unsigned sum = 0;

	dice_seed(argc > 1 ? argv[1] : NULL);
	forks = 30 + (int)roll(31);

	for (int i = 0; i < ADDERS; i++)
		pid[n++] = start(adder, i);
	for (int i = 0; i < MAPPERS; i++)
		pid[n++] = start(mapper, i);
	for (int i = 0; i < forks; i++) {
		told = roll(100000);
		sum = sum * 31 + (unsigned)forked(roll(100000));
	}
	stop = 1;
	for (int i = 0; i < n; i++)
		waitpid(pid[i], NULL, 0);
	for (int a = 0; a < ADDERS; a++) {
		lost += done[a];
		for (int i = 0; i < 512; i++)
			lost -= counts[a][i];
	}
	say("%d children, the sum of what they said: %x\n", forks, sum);
	say("counts lost: %ld\n", lost);
	say("wrong contents: %ld\n", wrong);
	return 0;
}
