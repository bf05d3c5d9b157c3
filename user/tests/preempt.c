/* preempt.c - processes that never give up the processor do not keep others from it.         (lab 4)
 *
 * Idea.       preempt [SEED]. Four spin, each of them longer than the next, and end with random codes.
 */
#include "dice.h"
#include "say.h"

static volatile unsigned long spins;

int
main(int argc, char **argv)
{
	pid_t pids[4];
	int status;

	dice_seed(argc > 1 ? argv[1] : NULL);
	for (int i = 0; i < 4; i++) {
		int code = (int)roll(200);

		pids[i] = fork();
		if (pids[i] == 0) {
			while (spins < 3000000ul * (4 - i))     /* the first one takes longest */
				spins++;
			_exit(code);
		}
	}
	for (int i = 3; i >= 0; i--) {
		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
		say_status("spinner", status);
	}
	return 0;
}
