/* memback.c - whatever processes do, their memory comes back.                                (lab 4)
 *
 * Idea.       memback SEED ROUNDS. Each round is the same row of forks, execs and deaths; after it the free
 *             memory is printed, and what the children's ends add up to: their codes are random, a killed one
 *             counts 1000.
 *
 * There is no host run: how much memory is free is the judge's business. Without arguments it only says ok.
 */
#include <sys/sysinfo.h>
#include <time.h>
#include "dice.h"
#include "say.h"

static char data[9 * 4096] = { 1 };
static char *self;
static int heard;                          /* what the children's ends add up to */
static char **volatile no_list = (char **)8;
static char *volatile nowhere = (char *)8;

static void
nothing(void)
{
}

static void
exec_itself(void)
{
	char *args[] = { self, "0", "0", NULL };

	execv(self, args);
}

static void
exec_nowhere(void)
{
	char *args[] = { self, NULL };

	execv("/nowhere/at/all", args);
	execv(self, no_list);
}

static void child(void (*fn)(void));

static void
tree(void)
{
	for (int i = 0; i < 3; i++)
		if (fork() == 0) {
			data[i * 4096] = 2;
			child(nothing);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
}

static void
fall(void)
{
	*nowhere = 1;
}

static void
quick(void)
{
	char *args[] = { self, "0", "0", NULL };
	int pid = vfork();

	if (pid == 0) {
		execv(self, args);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

static void
child(void (*fn)(void))
{
	int code = (int)roll(100), status = 0, pid = fork();

	if (pid == 0) {
		fn();
		_exit(code);
	}
	waitpid(pid, &status, 0);
	heard += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static void
rest(void)
{
	struct timespec t = { .tv_nsec = 20000000 };

	nanosleep(&t, NULL);
}

int
main(int argc, char **argv)
{
	static void (*const what[])(void) = { nothing, exec_itself, exec_nowhere, tree, fall, quick };
	int rounds = argc > 2 ? atoi(argv[2]) : 0;
	struct sysinfo si;

	self = argv[0];
	if (argc < 2)
		say("ok\n");
	for (int r = 0; r < rounds; r++) {
		dice_seed(argv[1]);
		heard = 0;
		for (int i = 0; i < 16; i++)
			child(what[roll(6)]);
		rest();
		sysinfo(&si);
		say("heard %d free %lu processes %d\n", heard, (unsigned long)si.freeram, si.procs);
	}
	return 0;
}
