/* start.c - the beginning and the end of a program.
 *
 * Idea.       crt0.S hands over the stack as exec left it; libc_start finds argv, envp and auxv on it, calls main
 *             and ends with its result. exit runs what atexit collected, last first, then flushes stdio.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

#define ATEXIT_MAX 32

int errno;
char **environ;

static struct auxv *aux;
static void (*at_exit[ATEXIT_MAX])(void);
static int at_exit_count;

int main(int argc, char **argv, char **envp);
_Noreturn void libc_start(long *sp);

void
libc_start(long *sp)
{
	int argc = sp[0];
	char **argv = (char **)(sp + 1);
	char **p;

	environ = argv + argc + 1;
	for (p = environ; *p; p++)
		;
	aux = (struct auxv *)(p + 1);
	exit(main(argc, argv, environ));
}

unsigned long
getauxval(unsigned long type)
{
	for (struct auxv *a = aux; a->a_type != AT_NULL; a++) {
		if (a->a_type == type)
			return a->a_val;
	}
	errno = ENOENT;
	return 0;
}

int
atexit(void (*fn)(void))
{
	if (at_exit_count == ATEXIT_MAX)
		return -1;
	at_exit[at_exit_count++] = fn;
	return 0;
}

void
exit(int status)
{
	while (at_exit_count > 0)
		at_exit[--at_exit_count]();
	fflush(NULL);
	_exit(status);
}

void
_Exit(int status)
{
	_exit(status);
}

/* End with SIGABRT, even where it is blocked, handled or not there yet. */
void
abort(void)
{
	sigset_t only = 1ul << (SIGABRT - 1);

	sigprocmask(SIG_UNBLOCK, &only, NULL);
	raise(SIGABRT);
	signal(SIGABRT, SIG_DFL);
	raise(SIGABRT);
	_exit(127);
}

void
assert_fail(const char *cond, const char *file, int line)
{
	dprintf(2, "%s:%d: assertion failed: %s\n", file, line, cond);
	abort();
}
