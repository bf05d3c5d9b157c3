/* time.h - timespec, timeval, timers, clock numbers. */
#pragma once
#include "lib/abi/types.h"

#define CLOCK_REALTIME                  0
#define CLOCK_MONOTONIC                 1
#define CLOCK_PROCESS_CPUTIME_ID        2
#define CLOCK_THREAD_CPUTIME_ID         3
#define CLOCK_MONOTONIC_RAW             4
#define CLOCK_REALTIME_COARSE           5
#define CLOCK_MONOTONIC_COARSE          6
#define CLOCK_BOOTTIME                  7
#define TIMER_ABSTIME                   1

#define ITIMER_REAL     0
#define ITIMER_VIRTUAL  1
#define ITIMER_PROF     2

#define UTIME_NOW       0x3fffffff      /* tv_nsec values of utimensat(2) */
#define UTIME_OMIT      0x3ffffffe

struct timespec {
	time_t tv_sec;
	int64_t tv_nsec;
};

struct timeval {
	time_t tv_sec;
	suseconds_t tv_usec;
};

struct itimerval {
	struct timeval it_interval;
	struct timeval it_value;
};

struct timezone {
	int32_t tz_minuteswest;
	int32_t tz_dsttime;
};

struct tms {                            /* times(2), in 1/100 s */
	clock_t tms_utime;
	clock_t tms_stime;
	clock_t tms_cutime;
	clock_t tms_cstime;
};
