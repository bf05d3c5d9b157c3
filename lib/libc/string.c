/* string.c - the string functions that only programs need. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *
strcpy(char *restrict dst, const char *restrict src)
{
	memcpy(dst, src, strlen(src) + 1);
	return dst;
}

/* At most n bytes; what src does not fill is set to NUL. */
char *
strncpy(char *restrict dst, const char *restrict src, size_t n)
{
	size_t len = strnlen(src, n);

	memcpy(dst, src, len);
	memset(dst + len, 0, n - len);
	return dst;
}

char *
strcat(char *restrict dst, const char *restrict src)
{
	strcpy(dst + strlen(dst), src);
	return dst;
}

size_t
strspn(const char *s, const char *accept)
{
	size_t n = 0;

	while (s[n] && strchr(accept, s[n]))
		n++;
	return n;
}

size_t
strcspn(const char *s, const char *reject)
{
	size_t n = 0;

	while (s[n] && !strchr(reject, s[n]))
		n++;
	return n;
}

char *
strpbrk(const char *s, const char *accept)
{
	s += strcspn(s, accept);
	return *s ? (char *)s : NULL;
}

char *
strtok(char *restrict s, const char *restrict delim)
{
	static char *rest;

	if (!s)
		s = rest;
	s += strspn(s, delim);
	rest = s + strcspn(s, delim);
	if (*rest)
		*rest++ = 0;
	return *s ? s : NULL;
}

char *
strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *p = malloc(len + 1);

	if (!p)
		return NULL;
	memcpy(p, s, len);
	p[len] = 0;
	return p;
}

char *
strdup(const char *s)
{
	return strndup(s, strlen(s));
}

static const char *const error_texts[] = {
	[0] = "Success",
#define ERRNO(nr, name, text) [nr] = text,
#include "lib/abi/errnos.h"
#undef ERRNO
};

char *
strerror(int errnum)
{
	static char unknown[32];

	if (errnum >= 0 && errnum < (int)(sizeof error_texts / sizeof *error_texts) && error_texts[errnum])
		return (char *)error_texts[errnum];
	snprintf(unknown, sizeof unknown, "Unknown error %d", errnum);
	return unknown;
}

char *
strsignal(int sig)
{
	static const char *const names[] = {
		[SIGHUP] = "Hangup", [SIGINT] = "Interrupt", [SIGQUIT] = "Quit", [SIGILL] = "Illegal instruction",
		[SIGTRAP] = "Trace/breakpoint trap", [SIGABRT] = "Aborted", [SIGBUS] = "Bus error",
		[SIGFPE] = "Floating point exception", [SIGKILL] = "Killed", [SIGUSR1] = "User defined signal 1",
		[SIGSEGV] = "Segmentation fault", [SIGUSR2] = "User defined signal 2", [SIGPIPE] = "Broken pipe",
		[SIGALRM] = "Alarm clock", [SIGTERM] = "Terminated", [SIGSTKFLT] = "Stack fault",
		[SIGCHLD] = "Child exited", [SIGCONT] = "Continued", [SIGSTOP] = "Stopped (signal)",
		[SIGTSTP] = "Stopped", [SIGTTIN] = "Stopped (tty input)", [SIGTTOU] = "Stopped (tty output)",
		[SIGURG] = "Urgent I/O condition", [SIGXCPU] = "CPU time limit exceeded",
		[SIGXFSZ] = "File size limit exceeded", [SIGVTALRM] = "Virtual timer expired",
		[SIGPROF] = "Profiling timer expired", [SIGWINCH] = "Window changed", [SIGIO] = "I/O possible",
		[SIGPWR] = "Power failure", [SIGSYS] = "Bad system call",
	};
	static char unknown[32];

	if (sig > 0 && sig <= SIGSYS)
		return (char *)names[sig];
	snprintf(unknown, sizeof unknown, "Unknown signal %d", sig);
	return unknown;
}
