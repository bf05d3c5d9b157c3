/* forkwait.c - fork, exit statuses, waiting for one child and for any.                       (lab 4) */
#include <stdlib.h>
#include "say.h"

static pid_t
child_exiting(int code)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(code);
	return pid;
}

int
main(void)
{
	static const int codes[] = { 0, 1, 42, 127, 128, 255, 256, 257, -1 };
	pid_t pids[10];
	int status, sum = 0;

	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
		pid_t pid = child_exiting(codes[i]);

		CHECK(pid > 0);
		CHECK(waitpid(pid, &status, 0) == pid);
		say_status("child", status);
	}
	for (int i = 0; i < 10; i++)
		pids[i] = child_exiting(i);
	for (int i = 9; i >= 5; i--) {                  /* in any order that we like */
		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
		say_status("picked", status);
	}
	for (int i = 0; i < 5; i++) {
		CHECK(wait(&status) > 0);
		sum += WEXITSTATUS(status);
	}
	say("sum of the others %d\n", sum);
	CALL(wait(&status));
	CALL(waitpid(1 << 22, &status, 0));
	return 7;
}
