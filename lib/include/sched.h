/* sched.h - giving up the processor. */
#pragma once
#include "lib/abi/sched.h"

int sched_yield(void);
