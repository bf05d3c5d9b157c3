/* printf.c - the printf family: fmt_write into a file, or into memory. A variadic function cannot hand its
 * arguments on, so each has a v twin that takes a va_list. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void
put_file(void *arg, char c)
{
	fputc(c, arg);
}

/* To a descriptor: it is made a file for as long as this takes, so that the text goes out in one piece. */
int
vdprintf(int fd, const char *restrict fmt, va_list ap)
{
	char buf[BUFSIZ];
	FILE f = { .fd = fd, .mode = _IOFBF, .buf = buf };
	int n = fmt_write(put_file, &f, fmt, ap);

	return fflush(&f) ? EOF : n;
}

/* To an unbuffered file likewise. */
int
vfprintf(FILE *restrict f, const char *restrict fmt, va_list ap)
{
	return f->mode == _IONBF ? vdprintf(f->fd, fmt, ap) : (int)fmt_write(put_file, f, fmt, ap);
}

int
vprintf(const char *restrict fmt, va_list ap)
{
	return vfprintf(stdout, fmt, ap);
}

int
printf(const char *restrict fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vfprintf(stdout, fmt, ap);
	va_end(ap);
	return n;
}

int
fprintf(FILE *restrict f, const char *restrict fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vfprintf(f, fmt, ap);
	va_end(ap);
	return n;
}

int
dprintf(int fd, const char *restrict fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vdprintf(fd, fmt, ap);
	va_end(ap);
	return n;
}

int
sprintf(char *restrict buf, const char *restrict fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, INT_MAX, fmt, ap);
	va_end(ap);
	return n;
}

void
perror(const char *what)
{
	int e = errno;

	if (what && *what)
		fprintf(stderr, "%s: %s\n", what, strerror(e));
	else
		fprintf(stderr, "%s\n", strerror(e));
}
