/* membomb.c - takes all memory there is: that ends in an error or in this process alone, and all comes back.   (lab 5)
 *
 * Idea.       A child maps and touches memory until it is refused or killed. What it got is counted in a shared page. The
 *             second round must get about as much as the first, or something was lost on the way.
 *
 * There is no host run.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include "say.h"

#define CHUNK (1 << 20)

static volatile long *taken;

static void
take_all(void)
{
	for (;;) {
		char *p = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			_exit(errno == ENOMEM ? 0 : 1);
		for (long i = 0; i < CHUNK; i += 4096) {
			p[i] = 1;
			++*taken;
		}
	}
}

int
main(void)
{
	long first = 0;

	taken = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int round = 0; round < 3; round++) {
		*taken = 0;
		in_child("hungry child", take_all);
		say("%ld pages\n", *taken);
		if (round == 0)
			first = *taken;
		if (*taken < 1000 || labs(*taken - first) > first / 20)
			return 1;
	}
	say("ok\n");
	return 0;
}
