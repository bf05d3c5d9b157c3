/* sigexec.c - over exec: handlers go back to default, ignored and blocked signals stay so.   (lab 11) */
#include <signal.h>
#include "say.h"

static void nothing(int sig) { (void)sig; }

static const char *
kind(int sig)
{
	struct sigaction act;

	if (sigaction(sig, NULL, &act) < 0)
		return strerror(errno);
	return act.sa_handler == SIG_DFL ? "default" : act.sa_handler == SIG_IGN ? "ignored" : "handled";
}

int
main(int argc, char **argv)
{
	char *args[] = { "again", NULL };
	sigset_t set, pending;

	if (argc == 1 && strcmp(argv[0], "again") != 0) {
		sigprocmask(SIG_SETMASK, NULL, &set);
		signal(SIGUSR1, nothing);
		signal(SIGUSR2, SIG_IGN);
		signal(SIGHUP, SIG_DFL);
		sigemptyset(&set);
		sigaddset(&set, SIGTERM);
		sigaddset(&set, SIGALRM);
		sigprocmask(SIG_SETMASK, &set, NULL);
		kill(getpid(), SIGTERM);                /* pending: survives as well */
		if (fork() == 0) {                      /* but fork does not pass pending signals on */
			sigpending(&pending);
			say("child: pending %d, USR1 %s, USR2 %s\n", sigismember(&pending, SIGTERM), kind(SIGUSR1),
			    kind(SIGUSR2));
			_exit(0);
		}
		wait(NULL);
		execve(argv[0], args, args + 1);
		return 1;
	}
	say("USR1 %s, USR2 %s, HUP %s\n", kind(SIGUSR1), kind(SIGUSR2), kind(SIGHUP));
	sigprocmask(SIG_SETMASK, NULL, &set);
	sigpending(&pending);
	say("TERM blocked %d pending %d, ALRM blocked %d, INT blocked %d\n", sigismember(&set, SIGTERM),
	    sigismember(&pending, SIGTERM), sigismember(&set, SIGALRM), sigismember(&set, SIGINT));
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	say("not reached\n");
	return 0;
}
