/* bigpipe.c - megabytes through a pipe in odd pieces, and through a chain of processes.      (lab 7) */
#include <stdlib.h>
#include "say.h"

#define TOTAL (1 << 20)

static unsigned char buf[70001];

static void
produce(int fd)
{
	unsigned value = 1, done = 0, sizes[] = { 1, 4095, 4096, 4097, 65536, 70001, 7 };

	for (int k = 0; done < TOTAL; k++) {
		unsigned n = sizes[k % 7];

		if (n > TOTAL - done)
			n = TOTAL - done;
		for (unsigned i = 0; i < n; i++)
			buf[i] = value = value * 69069 + 1;
		if (write(fd, buf, n) != (long)n)
			_exit(1);
		done += n;
	}
}

/* Copy fd 0..1 as a filter would. */
static void
copy(int in, int out)
{
	long n;

	while ((n = read(in, buf, 5000)) > 0)
		if (write(out, buf, n) != n)
			_exit(1);
}

int
main(void)
{
	int p[4][2], status, bad = 0;
	unsigned value = 1, total = 0;
	long n;

	for (int i = 0; i < 4; i++)
		pipe(p[i]);
	for (int i = 0; i < 4; i++) {
		if (fork() == 0) {
			for (int k = 0; k < 4; k++) {
				if (k != i)
					close(p[k][1]);
				if (k != i - 1)
					close(p[k][0]);
			}
			if (i == 0)
				produce(p[0][1]);
			else
				copy(p[i - 1][0], p[i][1]);
			_exit(0);
		}
	}
	for (int i = 0; i < 4; i++)
		close(p[i][1]);
	while ((n = read(p[3][0], buf, sizeof buf)) > 0) {
		for (long i = 0; i < n; i++) {
			value = value * 69069 + 1;
			bad += buf[i] != (unsigned char)value;
		}
		total += n;
	}
	say("total %u, bad %d\n", total, bad);
	while (wait(&status) > 0)
		say_status("child", status);
	return 0;
}
