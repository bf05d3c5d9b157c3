/* sys/random.h - random bytes from the kernel. */
#pragma once
#include "lib/abi/sched.h"
#include "lib/abi/types.h"

ssize_t getrandom(void *buf, size_t n, unsigned flags);
