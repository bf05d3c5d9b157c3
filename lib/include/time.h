/* time.h - clocks and calendar. */
#pragma once
#include "lib/abi/time.h"

struct tm {
	int tm_sec, tm_min, tm_hour;
	int tm_mday;            /* 1..31 */
	int tm_mon;             /* 0..11 */
	int tm_year;            /* since 1900 */
	int tm_wday;            /* 0 is Sunday */
	int tm_yday;            /* 0..365 */
	int tm_isdst;
};

time_t time(time_t *t);
int clock_gettime(clockid_t clock, struct timespec *ts);
int clock_settime(clockid_t clock, const struct timespec *ts);
int clock_getres(clockid_t clock, struct timespec *ts);
int nanosleep(const struct timespec *ts, struct timespec *rest);
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *ts, struct timespec *rest);
struct tm *gmtime_r(const time_t *restrict t, struct tm *restrict tm);
