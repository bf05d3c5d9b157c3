/* forkbomb.c - forks until it fails: the failure is a clean error, everything comes back.    (lab 11)
 *
 * Idea.       Every child waits at a pipe for the end; the parent counts how many it could make, lets them go, reaps all, and does
 *             it again. A second round that gets far fewer children has found a leak.
 *
 * There is no host run.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int
round_of_forks(void)
{
	int gate[2], n = 0, pid, err = 0;
	char c;

	if (pipe(gate) < 0)
		return -1;
	for (;;) {
		pid = fork();
		if (pid == 0) {
			close(gate[1]);
			read(gate[0], &c, 1);
			_exit(0);
		}
		if (pid < 0) {
			err = errno;
			break;
		}
		n++;
	}
	close(gate[1]);
	close(gate[0]);
	while (wait(NULL) > 0)
		;
	printf("%d children, then: %s\n", n, strerror(err));
	return err == EAGAIN || err == ENOMEM ? n : -1;
}

int
main(void)
{
	int a = round_of_forks(), b = round_of_forks();

	if (a < 30 || b < a - a / 10 - 2)
		return 1;
	printf("ok\n");
	return 0;
}
