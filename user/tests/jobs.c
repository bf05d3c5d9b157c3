/* jobs.c - process groups, sessions, stopping and continuing.                               (lab 11) */
#include <signal.h>
#include <sys/wait.h>
#include "show.h"

static volatile int continued;

static void on_cont(int sig) { (void)sig; continued = 1; }

int
main(void)
{
	int status, pid, ready[2], go[2], me = getpid();
	char c;

	SHOW(setpgid(0, 0) == 0 || errno == EPERM);
	HOLDS(getpgrp() == getpgid(0));
	SHOW(getpgid(999999));
	SHOW(setpgid(999999, 0));
	SHOW(setpgid(0, -1));
	SHOW(getsid(999999));
	pipe(ready);
	pipe(go);
	pid = fork();
	if (pid == 0) {
		signal(SIGCONT, on_cont);
		setpgid(0, 0);
		write(ready[1], "x", 1);
		for (int i = 0; i < 500 && !continued; i++)
			usleep(10000);
		close(go[1]);
		read(go[0], &c, 1);             /* not before it has been seen to go on */
		_exit(continued ? 21 : 22);
	}
	SHOW(read(ready[0], &c, 1));
	HOLDS(getpgid(pid) == pid);
	SHOW(waitpid(pid, &status, WNOHANG | WUNTRACED));
	SHOW(kill(-pid, SIGSTOP));
	HOLDS(waitpid(pid, &status, WUNTRACED) == pid);
	HOLDS(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	SHOW(waitpid(pid, &status, WNOHANG | WUNTRACED));
	SHOW(kill(pid, SIGCONT));
	HOLDS(waitpid(-pid, &status, WCONTINUED) == pid);
	HOLDS(WIFCONTINUED(status));
	write(go[1], "x", 1);
	HOLDS(waitpid(pid, &status, 0) == pid);
	SHOW(WEXITSTATUS(status));
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		HOLDS(setsid() == getpid());
		HOLDS(getsid(0) == getpid() && getpgrp() == getpid());
		SHOW(setsid());
		SHOW(setpgid(0, me));
		fflush(stdout);
		raise(SIGTSTP);         /* its group is orphaned: does not stop */
		_exit(23);
	}
	HOLDS(waitpid(pid, &status, WUNTRACED) == pid);
	printf("status %#x\n", status);
	fflush(stdout);
	/* Killed while stopped. */
	pid = fork();
	if (pid == 0)
		for (;;)
			pause();
	kill(pid, SIGSTOP);
	waitpid(pid, &status, WUNTRACED);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	printf("status %#x\n", status);
	return 0;
}
