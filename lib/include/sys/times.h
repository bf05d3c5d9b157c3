/* sys/times.h - processor time of a process and its children. */
#pragma once
#include "lib/abi/time.h"

clock_t times(struct tms *buf);
