/* gsbase.c - a process that loads a segment register changes its own base address, and nobody else's.      (lab 4)
 *
 * Idea.       Parent and child have the same GS base. The child loads GS with the null selector, which makes its base 0, and gives
 *             up the CPU, again and again; the parent looks whether its own base is still there.
 */
#include <sched.h>
#include <sys/syscall.h>
#include "say.h"

#define ARCH_SET_GS 0x1001

static unsigned long word = 0x1234567;

static unsigned long
gs_word(void)
{
	unsigned long v;

	asm volatile("movq %%gs:0, %0" : "=r"(v));
	return v;
}

int
main(void)
{
	int pid, good = 0;

	CALL(syscall(SYS_arch_prctl, ARCH_SET_GS, &word));
	pid = fork();
	if (pid == 0)
		for (int i = 0; i <= 1000; i++) {
			asm volatile("movl %0, %%gs" :: "r"(0));
			if (i == 1000)
				_exit(0);
			sched_yield();
		}
	for (int i = 0; i < 200; i++) {
		good += gs_word() == 0x1234567;
		sched_yield();
	}
	waitpid(pid, NULL, 0);
	say("good: %d\n", good);
	return 0;
}
