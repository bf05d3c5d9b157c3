/* sys/time.h - time of day and interval timers. */
#pragma once
#include "lib/abi/time.h"

int gettimeofday(struct timeval *restrict tv, void *restrict tz);
int getitimer(int which, struct itimerval *it);
int setitimer(int which, const struct itimerval *restrict it, struct itimerval *restrict old);
