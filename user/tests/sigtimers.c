/* sigtimers.c - alarm, setitimer, pause, sigsuspend, interrupted sleeps.                     (lab 11) */
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include "say.h"

static volatile int caught, count;

static void
on_signal(int sig)
{
	caught = sig;
	count++;
}

static void
arm(long ms, long interval_ms)
{
	struct itimerval it = { { 0, interval_ms * 1000 }, { 0, ms * 1000 } };

	setitimer(ITIMER_REAL, &it, NULL);
}

int
main(void)
{
	struct sigaction act;
	struct timespec ts = { 5, 0 }, rest = { 0, 0 };
	struct itimerval it;
	sigset_t block, empty;
	char c;
	int p[2];

	memset(&act, 0, sizeof act);
	act.sa_handler = on_signal;
	sigaction(SIGALRM, &act, NULL);
	CALL(alarm(100));
	CHECK(alarm(0) > 90);
	CALL(alarm(0));
	arm(20, 0);
	CALL(pause());
	say("caught %d\n", caught);
	arm(20, 0);
	CALL(nanosleep(&ts, &rest));
	CHECK(rest.tv_sec == 4);
	pipe(p);
	arm(20, 0);
	CALL(read(p[0], &c, 1));
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigemptyset(&empty);
	sigprocmask(SIG_BLOCK, &block, NULL);
	count = 0;
	arm(10, 0);
	ts = (struct timespec){ 0, 50000000 };
	CALL(nanosleep(&ts, NULL));                     /* blocked: sleeps to the end */
	say("count %d\n", count);
	CALL(sigsuspend(&empty));                       /* and comes now */
	say("count %d\n", count);
	sigprocmask(SIG_SETMASK, NULL, &empty);
	CHECK(sigismember(&empty, SIGALRM));
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	count = 0;
	arm(5, 5);
	while (count < 10)
		pause();
	CALL(getitimer(ITIMER_REAL, &it));
	CHECK(it.it_interval.tv_usec == 5000);
	arm(0, 0);
	CALL(getitimer(ITIMER_REAL, &it));
	CHECK(it.it_value.tv_sec == 0 && it.it_value.tv_usec == 0);
	CALL(setitimer(77, &it, NULL));
	it.it_value.tv_usec = 1000000;
	CALL(setitimer(ITIMER_REAL, &it, NULL));
	return 0;
}
