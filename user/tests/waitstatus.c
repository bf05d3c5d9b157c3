/* waitstatus.c - what wait4 says, in every case that needs no signals.                      (lab 4) */
#include <sys/resource.h>
#include <sys/wait.h>
#include "show.h"

static int
child(int code)
{
	int pid = fork();

	if (pid == 0)
		_exit(code);
	return pid;
}

int
main(void)
{
	int status = -1, a, b, pid;
	int *volatile wrong = (int *)8;

	SHOW(wait(&status));
	SHOW(waitpid(1, &status, 0));
	SHOW(waitpid(-1, &status, 12345678));
	a = child(0);
	b = child(255);
	HOLDS(waitpid(b, &status, 0) == b);
	printf("status %#x\n", status);
	HOLDS(waitpid(a, &status, 0) == a);
	printf("status %#x\n", status);
	SHOW(waitpid(a, &status, 0));
	a = child(7);
	while ((pid = waitpid(-1, &status, WNOHANG)) == 0)
		;
	HOLDS(pid == a);
	printf("status %#x\n", status);
	a = child(300);
	HOLDS(wait(NULL) == a);
	a = child(1);
	SHOW(wait(wrong));
	b = fork();
	if (b == 0) {
		/* An orphan's parent is somebody else, soon. */
		int parent = getppid();
		int grandchild = fork();

		if (grandchild == 0) {
			while (getppid() != 1 && getppid() == parent)
				;
			_exit(0);
		}
		_exit(9);
	}
	HOLDS(waitpid(b, &status, 0) == b && WEXITSTATUS(status) == 9);
	SHOW(waitpid(b, &status, 0));
	return 3;
}
