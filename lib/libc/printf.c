/* printf.c - the printf family: fmt_write into a file, a descriptor or memory. */
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

/* An unbuffered file still gets its text in one piece, by way of vdprintf. */
int
vfprintf(FILE *restrict f, const char *restrict fmt, va_list ap)
{
	if (f->mode == _IONBF)
		return vdprintf(f->fd, fmt, ap);
	return fmt_write(put_file, f, fmt, ap);
}

struct chunk {
	int fd;
	size_t n;
	char buf[256];
};

static void
put_chunk(void *arg, char c)
{
	struct chunk *k = arg;

	k->buf[k->n++] = c;
	if (k->n == sizeof k->buf) {
		write(k->fd, k->buf, k->n);
		k->n = 0;
	}
}

int
vdprintf(int fd, const char *restrict fmt, va_list ap)
{
	struct chunk k;
	int n;

	k.fd = fd;
	k.n = 0;
	n = fmt_write(put_chunk, &k, fmt, ap);
	if (k.n > 0)
		write(fd, k.buf, k.n);
	return n;
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
