/* crowd.c - three thousand processes at once, and ten thousand one after the other: no memory is lost.      (lab 11)
 *
 * Idea.       crowd [ALIVE [SEQUENTIAL]]. Children wait for a signal; then all are killed and reaped. Free memory afterwards must
 *             be what it was after a first, small round (which has filled the kernel's caches).
 *
 * There is no host run.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include "say.h"

static long
free_kib(void)
{
	struct sysinfo si;

	sysinfo(&si);
	return si.freeram * si.mem_unit / 1024;
}

static int
together(int n)
{
	int first = 0, made = 0, reaped = 0, pid;

	for (int i = 0; i < n; i++) {
		pid = fork();
		if (pid == 0)
			for (;;)
				pause();
		if (pid < 0)
			break;
		if (!first) {
			first = pid;
			setpgid(pid, pid);
		}
		setpgid(pid, first);
		made++;
	}
	kill(-first, SIGKILL);
	while (wait(NULL) > 0)
		reaped++;
	return reaped == made ? made : -1;
}

int
main(int argc, char **argv)
{
	int alive = argc > 1 ? atoi(argv[1]) : 3000, sequential = argc > 2 ? atoi(argv[2]) : 10000;
	long before, after;
	int n;

	together(100);
	before = free_kib();
	n = together(alive);
	if (n != alive)
		say("%d of %d alive at once\n", n, alive);
	for (int i = 0; i < sequential; i++) {
		int pid = fork();

		if (pid == 0)
			_exit(0);
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			say("fork %d failed\n", i);
	}
	after = free_kib();
	say(n == alive && after > before - 1024 ? "ok\n" : "%ld KiB free, later %ld\n", before, after);
	return 0;
}
