/* forkfull.c - forks until it is refused, lets all end, and does it again.                    (lab 4)
 *
 * Idea.       forkfull SEED ROUNDS. Children write to all of their memory and wait until they are put into
 *             groups of their own; the parent forks until fork fails, and some more. Then all end, each with
 *             a random code, and it begins again.
 *
 * There is no host run: the machine is to be small. Without arguments it only says ok.
 */
#include <sys/sysinfo.h>
#include <time.h>
#include "dice.h"
#include "say.h"

enum { PAGES = 250, MOST = 1000 };

static char data[PAGES * 4096] = { 1 };

static void
sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static void
child(int code)
{
	for (int i = 0; i < PAGES; i++)
		data[i * 4096] = i;
	while (getpgrp() != getpid())
		sleep_ms(5);
	_exit(code);
}

int
main(int argc, char **argv)
{
	static int pids[MOST];
	int rounds = argc > 2 ? atoi(argv[2]) : 0, n, pid, code, status, sum, refused;
	struct sysinfo si;

	if (argc < 2)
		say("ok\n");
	for (int r = 0; r < rounds; r++) {
		dice_seed(argv[1]);
		for (n = 0; n < MOST; n++) {
			code = (int)roll(100);
			pid = fork();
			if (pid == 0)
				child(code);
			if (pid < 0)
				break;
			pids[n] = pid;
			if (roll(3) == 0)
				sleep_ms(1 + roll(8));
		}
		refused = pid < 0 ? errno : 0;
		for (int i = 0; i < 50; i++)
			if (fork() == 0)
				_exit(200);             /* room again: one has ended too early */
		for (int i = 0; i < n; i++)
			setpgid(pids[i], pids[i]);
		for (sum = 0; wait(&status) > 0;)
			sum += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
		sleep_ms(50);
		sysinfo(&si);
		say("refused: errno %d, children %d, sum %d, free %lu\n", refused, n, sum, (unsigned long)si.freeram);
	}
	return 0;
}
