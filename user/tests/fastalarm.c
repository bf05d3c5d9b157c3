/* fastalarm.c - an interval timer faster than its signals can be delivered does not stop the machine.   (lab 11)
 *
 * Idea.       One microsecond between alarms: the handler is called again and again, but the program goes on, and so do others.
 *
 * There is no host run: how far a program gets depends on the machine there.
 */
#include <signal.h>
#include <sys/time.h>
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
	struct itimerval it = { { 0, 1 }, { 0, 1 } }, off = { 0 };
	struct sigaction sa = { 0 };
	volatile long work = 0;

	sa.sa_handler = count;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	while (alarms < 20)
		work++;
	setitimer(ITIMER_REAL, &off, NULL);
	signal(SIGALRM, SIG_IGN);
	setitimer(ITIMER_REAL, &it, NULL);        /* nobody takes them now */
	for (work = 0; work < 1000000; work++)
		;
	setitimer(ITIMER_REAL, &off, NULL);
	say("ok\n");
	return 0;
}
