/* sigstack.c - handlers on another stack, also when the first one is used up.                (lab 11) */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include "say.h"

static char stack[32768] __attribute__((aligned(16)));
static jmp_buf out;
static volatile int end;

static int
on_stack(void)
{
	char here;

	return &here >= stack && &here < stack + sizeof stack;
}

static void
show(int sig)
{
	stack_t now;

	sigaltstack(NULL, &now);
	say("signal %d: on the other stack %d, flags %d\n", sig, on_stack(), now.ss_flags);
}

static void
overflow(int sig)
{
	say("signal %d: on the other stack %d\n", sig, on_stack());
	longjmp(out, 1);
}

static void
recurse(void)
{
	volatile char frame[2000];

	frame[0] = 1;
	if (!end)
		recurse();
	end += frame[0];
}

int
main(void)
{
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof stack }, small = { .ss_sp = stack, .ss_size = 100 }, old;
	struct sigaction act;

	CALL(sigaltstack(NULL, &old));
	say("flags %d\n", old.ss_flags);
	CALL(sigaltstack(&small, NULL));
	CALL(sigaltstack(&ss, NULL));
	memset(&act, 0, sizeof act);
	act.sa_handler = show;
	sigaction(SIGUSR1, &act, NULL);
	act.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR2, &act, NULL);
	raise(SIGUSR1);
	raise(SIGUSR2);
	act.sa_handler = overflow;
	act.sa_flags = SA_ONSTACK | SA_NODEFER;
	sigaction(SIGSEGV, &act, NULL);
	if (setjmp(out) == 0)
		recurse();
	ss.ss_flags = SS_DISABLE;
	CALL(sigaltstack(&ss, NULL));
	raise(SIGUSR2);
	return 0;
}
