/* diemix.c - children that end in all ways there are without signals, and what their parents hear.       (lab 4)
 *
 * Idea.       diemix [SEED]. A random row of deaths; some die deep in a chain of processes, each of which passes on what it heard.
 */
#include <sys/wait.h>
#include "dice.h"
#include "say.h"

enum { DEATHS = 13 };

static char data[64] = { (char)0xc3 };
static char *volatile low = (char *)8;
static volatile int zero;

static void
die(int how, int code)
{
	switch (how) {
	case 0: _exit(code);
	case 1: *low = 1; break;
	case 2: *(volatile char *)(uintptr_t)(void *)_exit = 1; break;
	case 3: (void)*(volatile char *)0xffff888000001000ull; break;
	case 4: (void)*(volatile char *)0x8000000000000000ull; break;
	case 5: __asm__ volatile("ud2"); break;
	case 6: __asm__ volatile("hlt"); break;
	case 7: __asm__ volatile("int3"); break;
	case 8: zero = code / zero; break;
	case 9: ((void (*)(void))(uintptr_t)data)(); break;
	case 10: __asm__ volatile("mov $0, %%rsp; push %%rax" : : : "memory"); break;
	case 11: __asm__ volatile("mov %0, %%cr3" : : "r"(0ul)); break;
	default: exit(code + 1);
	}
	_exit(99);
}

/* Die below `depth` further processes. Returns: what the parent of the first one hears. */
static int
chain(int depth, int how, int code)
{
	int status = -1, pid = fork();

	if (pid == 0) {
		if (depth == 0)
			die(how, code);
		status = chain(depth - 1, how, code);
		_exit(WIFSIGNALED(status) ? 100 + WTERMSIG(status) : WEXITSTATUS(status));
	}
	if (waitpid(pid, &status, 0) != pid)
		say("waitpid: errno %d\n", errno);
	return status;
}

int
main(int argc, char **argv)
{
	int how, code, depth, status;

	dice_seed(argc > 1 ? argv[1] : NULL);
	for (int i = 0; i < 24; i++) {
		how = roll(3) ? roll(DEATHS) : 0;
		code = roll(99);
		depth = roll(3) ? 0 : roll(4);
		status = chain(depth, how, code);
		say("%d at depth %d, code %d: status %x\n", how, depth, code, status & 0xff7f);
	}
	return roll(120);
}
