/* sigorder.c - pending signals: once each, kept while blocked, delivered by sigtimedwait or all at once.   (lab 11) */
#include <signal.h>
#include <time.h>
#include "say.h"

static int order[16];
static volatile int n;

static void note(int sig) { order[n++] = sig; }

static void
note_and_mask(int sig)
{
	sigset_t now;

	order[n++] = sig;
	sigprocmask(SIG_SETMASK, NULL, &now);
	say("in %d: HUP blocked %d, USR1 blocked %d, USR2 blocked %d\n", sig, sigismember(&now, SIGHUP),
	    sigismember(&now, SIGUSR1), sigismember(&now, SIGUSR2));
}

int
main(void)
{
	struct timespec none = { 0, 10000000 };
	struct sigaction act;
	sigset_t set, pending;
	siginfo_t info;

	memset(&act, 0, sizeof act);
	act.sa_handler = note;
	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGUSR2, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR2);
	raise(SIGUSR1);
	raise(SIGUSR1);                                 /* counts once */
	raise(SIGHUP);
	say("delivered %d\n", n);
	sigpending(&pending);
	say("pending HUP %d USR1 %d USR2 %d TERM %d\n", sigismember(&pending, SIGHUP), sigismember(&pending, SIGUSR1),
	    sigismember(&pending, SIGUSR2), sigismember(&pending, SIGTERM));
	sigemptyset(&pending);
	sigaddset(&pending, SIGHUP);
	CALL(sigtimedwait(&pending, &info, &none));
	CHECK(info.si_signo == SIGHUP && info.si_pid == getpid());
	CALL(sigtimedwait(&pending, &info, &none));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	say("delivered %d, sum %d\n", n, order[0] + order[1]);

	act.sa_handler = note_and_mask;
	sigaddset(&act.sa_mask, SIGUSR2);
	sigaction(SIGHUP, &act, NULL);
	raise(SIGHUP);
	act.sa_flags = SA_NODEFER | SA_RESETHAND;
	sigemptyset(&act.sa_mask);
	sigaction(SIGHUP, &act, NULL);
	raise(SIGHUP);
	sigaction(SIGHUP, NULL, &act);
	CHECK(act.sa_handler == SIG_DFL);
	CALL(sigaction(SIGKILL, &act, NULL));
	CALL(sigaction(SIGSTOP, &act, NULL));
	CALL(sigaction(0, &act, NULL));
	CALL(sigaction(65, &act, NULL));
	CALL(sigprocmask(77, &set, NULL));
	sigfillset(&set);
	CALL(sigprocmask(SIG_SETMASK, &set, NULL));
	sigprocmask(SIG_SETMASK, NULL, &set);
	CHECK(!sigismember(&set, SIGKILL) && !sigismember(&set, SIGSTOP) && sigismember(&set, SIGTERM));
	return 0;
}
