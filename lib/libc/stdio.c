/* stdio.c - buffered files.
 *
 * Idea.       One buffer per file, in the direction of the last operation: see struct FILE in stdio.h.
 *             printf is fmt_write (lib/kern/fmt.c) into such a file.
 * Invariants. I1 pos <= len while reading, pos <= BUFSIZ and len == 0 while writing.
 *             I2 every open FILE is on `all`.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FILE_WRITING    1
#define FILE_EOF        2
#define FILE_ERROR      4
#define FILE_STATIC     8       /* not to be freed */
#define FILE_FRESH      16      /* not used yet: whether it is a terminal is still to be asked */

static char in_buf[BUFSIZ], out_buf[BUFSIZ], err_buf[1];
static FILE file_in = { 0, _IOFBF, FILE_STATIC, 0, 0, in_buf, NULL };
static FILE file_out = { 1, _IOFBF, FILE_STATIC | FILE_FRESH, 0, 0, out_buf, &file_in };
static FILE file_err = { 2, _IONBF, FILE_STATIC, 0, 0, err_buf, &file_out };

FILE *stdin = &file_in, *stdout = &file_out, *stderr = &file_err;
static FILE *all = &file_err;

/* Write all of p[n], however many calls that takes. */
static int
write_all(FILE *f, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(f->fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			f->flags |= FILE_ERROR;
			return EOF;
		}
		p += done;
		n -= done;
	}
	return 0;
}

/* Write out what waits; throw away what was read ahead, moving the file's position back over it. */
int
fflush(FILE *f)
{
	int r = 0;

	if (!f) {
		for (f = all; f; f = f->next) {
			if (f->flags & FILE_WRITING)
				r |= fflush(f);
		}
		return r;
	}
	if (f->flags & FILE_WRITING) {
		r = write_all(f, f->buf, f->pos);
		f->flags &= ~FILE_WRITING;
	} else if (f->pos < f->len) {
		lseek(f->fd, (off_t)f->pos - (off_t)f->len, SEEK_CUR);
	}
	f->pos = f->len = 0;
	return r;
}

/* Turn to writing. The first time, output to a terminal (or to who knows what) becomes line-buffered. */
static void
start_writing(FILE *f)
{
	struct termios t;

	if (f->flags & FILE_WRITING)
		return;
	fflush(f);
	if (f->flags & FILE_FRESH) {
		f->flags &= ~FILE_FRESH;
		if (ioctl(f->fd, TCGETS, &t) == 0 || errno == ENOSYS)
			f->mode = _IOLBF;
	}
	f->flags |= FILE_WRITING;
}

int
fputc(int c, FILE *f)
{
	char byte = c;

	start_writing(f);
	if (f->mode == _IONBF)
		return write_all(f, &byte, 1) ? EOF : (unsigned char)c;
	f->buf[f->pos++] = c;
	if (f->pos == BUFSIZ || (f->mode == _IOLBF && c == '\n')) {
		if (fflush(f))
			return EOF;
	}
	return (unsigned char)c;
}

size_t
fwrite(const void *restrict p, size_t size, size_t count, FILE *restrict f)
{
	const char *s = p;
	size_t n = size * count;

	start_writing(f);
	if (f->mode == _IONBF || (n >= BUFSIZ && f->mode == _IOFBF)) {
		if (fflush(f) || write_all(f, s, n))
			return 0;
		return count;
	}
	for (size_t i = 0; i < n; i++) {
		if (fputc(s[i], f) == EOF)
			return i / size;
	}
	return count;
}

/* Refill an empty read buffer. Returns: false at the end of the file or on an error. */
static bool
refill(FILE *f)
{
	ssize_t n;

	if (f->flags & FILE_WRITING)
		fflush(f);
	if (f == stdin)
		fflush(stdout);         /* so that a prompt is seen */
	n = read(f->fd, f->buf, BUFSIZ);
	f->pos = 0;
	f->len = n > 0 ? n : 0;
	if (n <= 0)
		f->flags |= n == 0 ? FILE_EOF : FILE_ERROR;
	return n > 0;
}

int
fgetc(FILE *f)
{
	if ((f->flags & FILE_WRITING || f->pos == f->len) && !refill(f))
		return EOF;
	return (unsigned char)f->buf[f->pos++];
}

size_t
fread(void *restrict p, size_t size, size_t count, FILE *restrict f)
{
	char *d = p;
	size_t want = size * count, have = 0;

	while (have < want) {
		size_t n;

		if ((f->flags & FILE_WRITING || f->pos == f->len) && !refill(f))
			break;
		n = f->len - f->pos < want - have ? f->len - f->pos : want - have;
		memcpy(d + have, f->buf + f->pos, n);
		f->pos += n;
		have += n;
	}
	return size ? have / size : 0;
}

/* One character of room is certain only after a read, which is where callers need it. */
int
ungetc(int c, FILE *f)
{
	if (c == EOF || f->flags & FILE_WRITING || f->pos == 0)
		return EOF;
	f->buf[--f->pos] = c;
	f->flags &= ~FILE_EOF;
	return c;
}

char *
fgets(char *restrict s, int size, FILE *restrict f)
{
	int n = 0, c = 0;

	while (n < size - 1 && c != '\n' && (c = fgetc(f)) != EOF)
		s[n++] = c;
	s[n] = 0;
	return n > 0 ? s : NULL;
}

/* A whole line with its newline, into *line, which grows as needed. Returns: its length; -1 at the end. */
ssize_t
getline(char **restrict line, size_t *restrict size, FILE *restrict f)
{
	size_t n = 0;
	int c = 0;

	while (c != '\n' && (c = fgetc(f)) != EOF) {
		if (!*line || n + 2 > *size) {
			size_t more = *line && *size ? *size * 2 : 120;
			char *p = realloc(*line, more);

			if (!p)
				return -1;
			*line = p;
			*size = more;
		}
		(*line)[n++] = c;
		(*line)[n] = 0;
	}
	return n > 0 ? (ssize_t)n : -1;
}

static int
mode_flags(const char *mode)
{
	int flags = strchr(mode, '+') ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;

	if (mode[0] == 'w')
		flags |= O_CREAT | O_TRUNC;
	if (mode[0] == 'a')
		flags |= O_CREAT | O_APPEND;
	if (strchr(mode, 'e'))
		flags |= O_CLOEXEC;
	if (strchr(mode, 'x'))
		flags |= O_EXCL;
	return flags;
}

FILE *
fdopen(int fd, const char *mode)
{
	FILE *f = malloc(sizeof *f + BUFSIZ);

	(void)mode;
	if (!f)
		return NULL;
	*f = (FILE){ fd, _IOFBF, FILE_FRESH, 0, 0, (char *)(f + 1), all };
	all = f;
	return f;
}

FILE *
fopen(const char *restrict path, const char *restrict mode)
{
	int fd = open(path, mode_flags(mode), 0666);
	FILE *f = fd < 0 ? NULL : fdopen(fd, mode);

	if (fd >= 0 && !f)
		close(fd);
	return f;
}

int
fclose(FILE *f)
{
	int r = fflush(f);
	FILE **p = &all;

	while (*p != f)
		p = &(*p)->next;
	*p = f->next;
	r |= close(f->fd);
	if (!(f->flags & FILE_STATIC))
		free(f);
	return r;
}

int
fseek(FILE *f, long offset, int whence)
{
	fflush(f);
	f->flags &= ~FILE_EOF;
	return lseek(f->fd, offset, whence) < 0 ? -1 : 0;
}

long
ftell(FILE *f)
{
	off_t at = lseek(f->fd, 0, SEEK_CUR);

	if (at < 0)
		return -1;
	return f->flags & FILE_WRITING ? at + (off_t)f->pos : at - (off_t)(f->len - f->pos);
}

void
rewind(FILE *f)
{
	fseek(f, 0, SEEK_SET);
	clearerr(f);
}

/* The buffer itself is ours; only its mode changes. */
int
setvbuf(FILE *restrict f, char *restrict buf, int mode, size_t size)
{
	(void)buf, (void)size;
	f->mode = mode;
	f->flags &= ~FILE_FRESH;
	return 0;
}

int
fileno(FILE *f)
{
	return f->fd;
}

int
feof(FILE *f)
{
	return f->flags & FILE_EOF;
}

int
ferror(FILE *f)
{
	return f->flags & FILE_ERROR;
}

void
clearerr(FILE *f)
{
	f->flags &= ~(FILE_EOF | FILE_ERROR);
}

int
getc(FILE *f)
{
	return fgetc(f);
}

int
getchar(void)
{
	return fgetc(stdin);
}

int
putc(int c, FILE *f)
{
	return fputc(c, f);
}

int
putchar(int c)
{
	return fputc(c, stdout);
}

int
fputs(const char *restrict s, FILE *restrict f)
{
	size_t n = strlen(s);

	return fwrite(s, 1, n, f) == n ? 0 : EOF;
}

int
puts(const char *s)
{
	return fputs(s, stdout) == EOF ? EOF : putchar('\n');
}
