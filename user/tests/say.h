/* say.h - how the tests report: one write per line, nothing buffered that a fork could double. */
#pragma once
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static inline void __attribute__((format(printf, 1, 2)))
say(const char *f, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, f);
	n = vsnprintf(line, sizeof line, f, ap);
	va_end(ap);
	if (write(1, line, n) != n)
		_exit(99);
}

/* Print what a call returned, or which error it met. */
static inline long
report(const char *what, long result)
{
	if (result == -1)
		say("%s: %s\n", what, strerror(errno));
	else
		say("%s = %ld\n", what, result);
	return result;
}
#define CALL(expr) report(#expr, (long)(expr))

/* For results that differ from run to run: only whether it worked. */
static inline long
report_ok(const char *what, long result)
{
	say("%s: %s\n", what, result == -1 ? strerror(errno) : "ok");
	return result;
}
#define OK(expr) report_ok(#expr, (long)(expr))

/* A condition that should hold everywhere. */
#define CHECK(cond) say("%s: %s\n", #cond, (cond) ? "yes" : "NO")

static inline void
say_status(const char *what, int status)
{
	if (WIFEXITED(status))
		say("%s: exit %d\n", what, WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		say("%s: signal %d\n", what, WTERMSIG(status));
	else if (WIFSTOPPED(status))
		say("%s: stopped by %d\n", what, WSTOPSIG(status));
	else
		say("%s: status %x\n", what, status);
}

/* Run fn in a child and print how it ended. */
static inline void
in_child(const char *what, void (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		fn();
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		say("%s: waitpid: %s\n", what, strerror(errno));
	else
		say_status(what, status);
}
