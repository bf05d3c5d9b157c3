/* sigset.h - signal sets as the kernel has them: 64 bits, bit N-1 for signal N, whatever the C library's type. */
#pragma once
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "say.h"

#define BIT(sig) (1ul << ((sig) - 1))

static inline uint64_t
set_mask(int how, uint64_t set)
{
	uint64_t old = 0;

	syscall(SYS_rt_sigprocmask, how, &set, &old, 8);
	return old;
}

static inline uint64_t
get_mask(void)
{
	uint64_t now = 0;

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &now, 8);
	return now;
}

static inline uint64_t
get_pending(void)
{
	uint64_t now = 0;

	syscall(SYS_rt_sigpending, &now, 8);
	return now;
}

static inline void
act_on(int sig, void (*fn)(int, siginfo_t *, void *), uint64_t flags, uint64_t mask)
{
	struct sigaction act;

	memset(&act, 0, sizeof act);
	act.sa_sigaction = fn;
	act.sa_flags = (int)(flags | SA_SIGINFO);
	for (int s = 1; s <= 64; s++)
		if ((mask & BIT(s)) && s != 32 && s != 33)
			sigaddset(&act.sa_mask, s);
	if (sigaction(sig, &act, NULL) != 0)
		say("sigaction %d: errno %d\n", sig, errno);
}

static inline void
act_simple(int sig, void (*fn)(int))
{
	struct sigaction act;

	memset(&act, 0, sizeof act);
	act.sa_handler = fn;
	sigaction(sig, &act, NULL);
}
