/* orphanmix.c - as init: parents that end before their children, and what init hears of them. (lab 4)
 *
 * Idea.       orphanmix LIST... Each list is one parent: numbers are the exit codes of children that outlive it, `z` and a number
 *             of one that ends before it and is not waited for. Prints what the judge can add up.
 *
 * There is no host run: on Linux somebody else is init. Without arguments it only says ok.
 */
#include <stdlib.h>
#include "peek.h"
#include "say.h"

static void
orphan(int code)
{
	int parent = getppid();

	while (getppid() == parent && parent != 1)
		;
	_exit(getppid() == 1 ? code : 250);
}

static void
parent(const char *list)
{
	struct peek info;
	int n = 0;

	while (*list && *list != ',') {
		int zombie = *list == 'z', code = atoi(list + zombie), pid = fork();

		if (pid == 0) {
			if (!zombie)
				orphan(code);
			_exit(code);
		}
		if (zombie)
			peek_child(pid, &info);
		n++;
		list += strcspn(list, ",");
		list += *list == ',';
	}
	_exit(n);
}

int
main(int argc, char **argv)
{
	int status, count = 0, sum = 0;

	if (argc < 2 || getpid() != 1) {
		say("ok\n");
		return 0;
	}
	for (int i = 1; i < argc; i++)
		if (fork() == 0)
			parent(argv[i]);
	while (wait(&status) > 0) {
		count++;
		sum += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
	}
	say("ended %d, sum %d, then errno %d\n", count, sum, errno);
	return 0;
}
