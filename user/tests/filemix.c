/* filemix.c - reads and writes of files at random.                                           (lab 7)
 *
 * Idea.       filemix SEED WHAT. Three descriptors of one file, one of them appending. WHAT is a set of
 *             letters: which kinds of steps there are.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include "dice.h"
#include "say.h"

#define MOST 40000

static char buf[MOST];
static int fd[3];

static unsigned
sum(const char *p, long n)
{
	unsigned a = 1;

	for (long i = 0; i < n; i++)
		a = (a + (unsigned char)p[i]) * 31;
	return a;
}

static long
any_size(void)
{
	return roll(3) ? roll(200) : roll(3) ? roll(9000) : roll(MOST);
}

static long
any_place(int far)
{
	return far ? (long)roll(64) << roll(30) : (long)roll(60000);
}

static void
fill(long n)
{
	unsigned c = roll(250);

	for (long i = 0; i < n; i++)
		buf[i] = c + i * 7 + (i >> 8);
}

static void
read_some(int i, int at_place, int far)
{
	long n = any_size(), at = any_place(far), r = at_place ? pread(fd[i], buf, n, at) : read(fd[i], buf, n);

	say("read %d %ld at %ld: %ld sum %u\n", i, n, at_place ? at : -1, r, sum(buf, r));
}

static void
write_some(int i, int at_place, int far)
{
	long n = any_size(), at = any_place(far), r;

	fill(n);
	r = at_place ? pwrite(fd[i], buf, n, at) : write(fd[i], buf, n);
	say("write %d %ld at %ld: %ld\n", i, n, at_place ? at : -1, r);
}

static void
seek(int i)
{
	int whence = roll(3);
	long by = (long)roll(60000) - (whence ? 30000 : 0), r = lseek(fd[i], by, whence);

	say("seek %d by %ld from %d: %ld\n", i, by, whence, r);
}

static void
cut(int i)
{
	long n = roll(60000);
	int r = ftruncate(fd[i], n);

	say("truncate %ld: %d\n", n, r);
}

static void
vectors(int i)
{
	struct iovec v[4];
	long at = 0, r;

	for (int k = 0; k < 4; k++) {
		v[k] = (struct iovec){ buf + at, roll(2000) };
		at += v[k].iov_len;
	}
	fill(at);
	if (roll(2))
		r = writev(fd[i], v, 4);
	else
		r = readv(fd[i], v, 4);
	say("vectors %ld: %ld sum %u\n", at, r, sum(buf, r));
}

static void
whole(void)
{
	struct stat st;
	unsigned s = 0;
	long r, at = 0, most = 3000000;

	fstat(fd[0], &st);
	for (; at < most && (r = pread(fd[0], buf, 1 + roll(MOST), at)) > 0; at += r)
		s = s * 17 + sum(buf, r);
	say("size %ld sum %u\n", (long)st.st_size, s);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "rwpPstv";

	dice_seed(argc > 1 ? argv[1] : NULL);
	for (int i = 0; i < 3; i++)
		fd[i] = open("filemix.data", O_RDWR | O_CREAT | (i ? 0 : O_TRUNC) | (i == 2 ? O_APPEND : 0), 0600);
	for (int step = 0; step < 150; step++) {
		int i = roll(3);

		switch (what[roll((unsigned)strlen(what))]) {
		case 'r': read_some(i, 0, 0); break;
		case 'w': write_some(i, 0, 0); break;
		case 'p': read_some(i, 1, 0); break;
		case 'P': write_some(roll(2), 1, 0); break;
		case 'q': read_some(i, 1, 1); break;
		case 'Q': write_some(roll(2), 1, 1); break;
		case 's': seek(i); break;
		case 't': cut(i); break;
		case 'v': vectors(i); break;
		}
		if (step % 40 == 39)
			whole();
	}
	whole();
	return unlink("filemix.data");
}
