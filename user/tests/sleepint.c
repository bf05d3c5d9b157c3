/* sleepint.c - a signal that arrives just as a thread is going to sleep.                                  (lab 11)
 *
 * Idea.       Alarms at a high rate hit sleeps that begin all the time: each sleep ends in time or with EINTR, nothing else, and
 *             every alarm is delivered before the program goes on.
 */
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include "say.h"

static volatile long alarms;

static void
count(int sig)
{
	(void)sig;
	alarms++;
}

int
main(void)
{
	struct itimerval it = { { 0, 700 }, { 0, 700 } }, off = { 0 };
	struct sigaction sa = { 0 };
	long strange = 0, undelivered = 0;

	sa.sa_handler = count;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	for (int i = 0; i < 20000 && alarms < 1500; i++) {
		struct timespec ts = { 0, 1000 + i % 97 * 11 };
		long before = alarms;

		errno = 0;
		if (nanosleep(&ts, NULL) < 0 && errno != EINTR)
			strange++;
		else if (errno == EINTR && alarms == before)
			undelivered++;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	say("strange results: %ld, undelivered: %ld\n", strange, undelivered);
	return 0;
}
