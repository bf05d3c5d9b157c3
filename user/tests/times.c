/* times.c - clocks go forward, sleeps last long enough.                                     (lab 5) */
#include <sys/time.h>
#include <time.h>
#include "show.h"

static long
now_ms(int clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int
main(void)
{
	long a = now_ms(CLOCK_MONOTONIC), b, last = 0;
	struct timespec t = { 0, 120000000 }, res;
	int back = 0;

	SHOW(nanosleep(&t, NULL));
	b = now_ms(CLOCK_MONOTONIC);
	HOLDS(b - a >= 119 && b - a < 20000);
	for (int i = 0; i < 20000; i++) {
		struct timespec u;

		clock_gettime(CLOCK_MONOTONIC, &u);
		long v = u.tv_sec * 1000000000 + u.tv_nsec;
		back += v < last;
		last = v;
	}
	SHOW(back);
	HOLDS(now_ms(CLOCK_REALTIME) > 1700000000000);
	HOLDS(now_ms(CLOCK_REALTIME) / 1000 - (long)time(NULL) <= 1);
	SHOW(clock_getres(CLOCK_MONOTONIC, &res));
	SHOW(clock_gettime(99, &t));
	t.tv_nsec = -1;
	SHOW(nanosleep(&t, NULL));
	return 0;
}
