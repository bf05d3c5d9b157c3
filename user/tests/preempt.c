/* preempt.c - processes that never give up the processor do not keep others from it.         (lab 4) */
#include "say.h"

static volatile unsigned long spins;

int
main(void)
{
	pid_t pids[4];
	int status;

	for (int i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			while (spins < 3000000ul * (4 - i))     /* the first one takes longest */
				spins++;
			_exit(10 + i);
		}
	}
	for (int i = 3; i >= 0; i--) {
		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
		say_status("spinner", status);
	}
	return 0;
}
