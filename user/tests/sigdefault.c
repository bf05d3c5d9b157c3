/* sigdefault.c - what each signal does to a process that has not prepared for it.            (lab 11) */
#define _GNU_SOURCE
#include <signal.h>
#include "say.h"

int
main(void)
{
	int status;

	for (int sig = 1; sig <= 64; sig++) {
		pid_t pid;

		if (sig == 32 || sig == 33)             /* some C libraries keep these to themselves */
			continue;
		pid = fork();
		if (pid == 0) {
			setpgid(0, 0);                  /* in an orphaned group the terminal's stop signals do nothing */
			kill(getpid(), sig);
			_exit(5);                       /* still here: ignored, or continued after a stop */
		}
		if (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status)) {
			say("signal %d: stopped by %d, ", sig, WSTOPSIG(status));
			kill(pid, SIGCONT);
			waitpid(pid, &status, 0);
		} else {
			say("signal %d: ", sig);
		}
		say_status("then", status);
	}
	CALL(kill(getpid(), 0));
	CALL(kill(getpid(), 65));
	CALL(kill(getpid(), -1));
	CALL(kill(1 << 22, SIGTERM));
	CALL(kill(-(1 << 22), SIGTERM));
	if (fork() == 0) {                              /* KILL reaches even a stopped process that blocks everything */
		sigset_t all;

		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		kill(getpid(), SIGTERM);
		say("blocked\n");
		kill(getpid(), SIGKILL);
		_exit(0);
	}
	wait(&status);
	say_status("blocked all", status);
	return 0;
}
