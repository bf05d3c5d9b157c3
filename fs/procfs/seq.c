/* seq.c - a text that grows: what every file of /proc is written into.                        (lab 10)
 *
 * Idea.       Whoever describes something prints; memory doubles as needed. Errors are kept in the struct, so
 *             that printing code needs no checks; the reader of the file gets -ENOMEM.
 * Interface.  seq.h.
 * Locks.      The caller's. Allocates: not under a spinlock where it can be avoided.
 */
#include "fs/procfs/seq.h"

#include "kern/mem/kheap.h"
#include "lib/kern/fmt.h"
#include "lib/kern/string.h"

/* Room for n more bytes; false: none. */
static bool
seq_grow(struct seq *s, size_t n)
{
	size_t size = s->size ? s->size : 512;

	if (s->failed || n > SEQ_MAX - s->len)
		s->failed = true;
	if (s->failed || s->len + n <= s->size)
		return !s->failed;
	while (size < s->len + n)
		size *= 2;
	char *buf = krealloc(s->buf, size);
	if (!buf) {
		s->failed = true;
		return false;
	}
	s->buf = buf;
	s->size = size;
	return true;
}

void
seq_put(struct seq *s, const void *data, size_t n)
{
	if (!seq_grow(s, n))
		return;
	memcpy(s->buf + s->len, data, n);
	s->len += n;
}

void
seq_printf(struct seq *s, const char *f, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, f);
	int n = vsnprintf(line, sizeof line, f, ap);
	va_end(ap);
	if ((size_t)n < sizeof line) {
		seq_put(s, line, n);
		return;
	}
	if (!seq_grow(s, n + 1))
		return;
	va_start(ap, f);
	vsnprintf(s->buf + s->len, n + 1, f, ap);
	va_end(ap);
	s->len += n;
}

void
seq_free(struct seq *s)
{
	kfree(s->buf);
	*s = (struct seq){ 0 };
}
