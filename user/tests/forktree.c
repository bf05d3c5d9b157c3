/* forktree.c - a tree of processes, three wide and three deep: every exit status arrives.   (lab 4) */
#include <sys/wait.h>
#include "show.h"

/* The number of processes in this subtree, as an exit status. */
static int
grow(int depth)
{
	int sum = 1, status;

	if (depth == 0)
		return sum;
	for (int i = 0; i < 3; i++) {
		int pid = fork();

		if (pid == 0)
			_exit(grow(depth - 1));
		if (pid < 0)
			return 255;
	}
	while (wait(&status) > 0)
		sum += WIFEXITED(status) ? WEXITSTATUS(status) : 100;
	return sum;
}

int
main(void)
{
	printf("1 + 3 + 9 + 27 = %d\n", grow(3));
	for (int i = 0; i < 200; i++) {
		int status, pid = fork();

		if (pid == 0)
			_exit(i & 127);
		if (waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != (i & 127))
			printf("child %d: wrong\n", i);
	}
	printf("200 in a row\n");
	return 0;
}
