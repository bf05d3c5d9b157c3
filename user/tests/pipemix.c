/* pipemix.c - pipes at random: every byte arrives once and in order.                         (lab 7)
 *
 * Idea.       pipemix SEED WHAT. Byte number i of a pipe has a value that follows from i, so the reader
 *             notices what is missing, doubled, or in the wrong place. Each letter of WHAT is a scene.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include "dice.h"
#include "say.h"

#define SAFE 30000               /* bytes that fit however a kernel stores them */

static char buf[70000];
static unsigned long sent, got;

static char
byte_at(unsigned long i)
{
	return i * 2654435761u >> 13;
}

static void
fill(char *p, long n)
{
	for (long i = 0; i < n; i++)
		p[i] = byte_at(sent + i);
}

/* Are these the next n bytes? */
static void
arrived(const char *p, long n)
{
	for (long i = 0; i < n; i++, got++)
		if (p[i] != byte_at(got)) {
			say("byte %lu is wrong\n", got);
			_exit(1);
		}
}

static void
look(int in, int out)
{
	struct pollfd p[2] = { { in, POLLIN, 0 }, { out, POLLOUT, 0 } };
	int n = -1;

	poll(p, 2, 0);
	say("poll %d %d", p[0].revents & (POLLIN | POLLHUP), p[1].revents & (POLLOUT | POLLERR));
	ioctl(in, FIONREAD, &n);
	say(" holds %d\n", n);
}

/* One process at both ends. */
static void
alone(void)
{
	int p[2];

	sent = got = 0;
	pipe2(p, O_NONBLOCK);
	for (int i = 0; i < 120; i++) {
		long n = roll(3) ? roll(300) : roll(9000), r;

		if (roll(2) && sent - got + n < SAFE) {
			fill(buf, n);
			r = write(p[1], buf, n);
			say("write %ld: %ld\n", n, r);
			sent += r > 0 ? r : 0;
		} else {
			r = read(p[0], buf, n);
			say("read %ld: %s %ld\n", n, r < 0 ? strerror(errno) : "", r);
			arrived(buf, r);
		}
		if (i % 5 == 0)
			look(p[0], p[1]);
	}
	close(p[1]);
	look(p[0], p[0]);
	do
		arrived(buf, read(p[0], buf, 5000));
	while (got < sent);
	say("sent %lu got %lu, then %ld\n", sent, got, (long)read(p[0], buf, 10));
	close(p[0]);
}

static void
writer(int fd, unsigned long total)
{
	while (sent < total) {
		long n = roll(4) ? 1 + roll(5000) : 1 + roll(sizeof buf), r;

		if ((unsigned long)n > total - sent)
			n = total - sent;
		fill(buf, n);
		if ((r = write(fd, buf, n)) != n) {
			say("a write of %ld returned %ld\n", n, r);
			_exit(1);
		}
		sent += n;
	}
	_exit(0);
}

/* One writes, one reads, in pieces of other sizes. */
static void
two(void)
{
	unsigned long total = 100000 + roll(300000);
	int p[2], status;
	uint64_t saved;
	long r;

	sent = got = 0;
	pipe(p);
	if (fork() == 0) {
		close(p[0]);
		writer(p[1], total);
	}
	close(p[1]);
	saved = dice;                                    /* how many reads there are is a matter of luck */
	while ((r = read(p[0], buf, roll(4) ? 1 + roll(6000) : 1 + roll(sizeof buf))) > 0)
		arrived(buf, r);
	dice = saved;
	say("%lu of %lu bytes, then %ld\n", got, total, r);
	wait(&status);
	say_status("writer", status);
	close(p[0]);
}

static void
read_all(int fd, void *to, int n)
{
	for (int done = 0, r; done < n; done += r)
		if ((r = read(fd, (char *)to + done, n - done)) <= 0) {
			say("a record ends after %d of %d bytes\n", done, n);
			_exit(1);
		}
}

/* Several write records of up to PIPE_BUF bytes at once: none is torn. */
static void
records(void)
{
	unsigned n = 2 + roll(3), count[5] = { 0 };
	unsigned long bytes[5] = { 0 };
	struct { unsigned who, len; } head;
	int p[2];

	pipe(p);
	for (unsigned who = 0; who < n; who++)
		if (fork() == 0) {
			for (unsigned i = 0; i < who; i++)
				roll(2);
			for (int i = 0; i < 80; i++) {
				for (volatile int k = roll(60000); k > 0; k--)
					;                /* busy, so that somebody else may come between */
				head.who = who;
				head.len = roll(2) ? 4096 : sizeof head + roll(4096 - sizeof head);
				memset(buf, 'a' + who, head.len);
				memcpy(buf, &head, sizeof head);
				if (write(p[1], buf, head.len) != (long)head.len)
					_exit(1);
			}
			_exit(0);
		}
	close(p[1]);
	while (read(p[0], &head, 1) == 1) {
		read_all(p[0], (char *)&head + 1, sizeof head - 1);
		if (head.who >= n || head.len > 4096 || head.len < sizeof head) {
			say("a record is torn\n");
			_exit(1);
		}
		read_all(p[0], buf, head.len - sizeof head);
		for (unsigned i = 0; i < head.len - sizeof head; i++)
			if (buf[i] != (char)('a' + head.who)) {
				say("a record is mixed with another\n");
				_exit(1);
			}
		count[head.who]++;
		bytes[head.who] += head.len;
	}
	for (unsigned i = 0; i < n; i++) {
		wait(NULL);
		say("%u records of %lu bytes from %u\n", count[i], bytes[i], i);
	}
	close(p[0]);
}

/* Bytes are taken only when they were copied: a buffer that ends in nowhere. */
static void
edges(void)
{
	char *edge = (char *)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + 4096;
	int p[2];

	munmap(edge, 4096);
	sent = got = 0;
	pipe(p);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 30; i++) {
		long n = 1 + roll(600), room = roll(2) ? 0 : roll(300), r;

		fill(buf, n);
		if (sent - got < SAFE)
			sent += write(p[1], buf, n);
		r = read(p[0], edge - room, 1000);
		if (room == 0)
			say("read to nowhere: %ld\n", r);
		else if (r > 0)
			arrived(edge - room, r);
	}
	say("write from nowhere: %ld\n", (long)write(p[1], edge, 10));
	close(p[1]);
	for (long r; (r = read(p[0], buf, 777)) > 0; )
		arrived(buf, r);
	say("sent %lu got %lu\n", sent, got);
	close(p[0]);
}

/* Full pipes, in whole pages; and what a write does that has no room, or not enough. */
static void
full(void)
{
	long total = 0, r, n;
	int p[2];

	sent = got = 0;
	pipe2(p, O_NONBLOCK);
	while ((r = write(p[1], buf, 4096)) > 0)
		total += r;
	say("full after %ld: %s\n", total, strerror(errno));
	look(p[0], p[1]);
	n = 1 + roll(4095);
	say("read %ld: %ld\n", n, (long)read(p[0], buf, n));
	say("write a page: %ld\n", (long)write(p[1], buf, 4096));
	say("read %ld: %ld\n", 4096 - n, (long)read(p[0], buf, 4096 - n));
	look(p[0], p[1]);
	say("write a page: %ld\n", (long)write(p[1], buf, 4096));
	n = 4096 * (1 + roll(8));
	say("read %ld: %ld\n", n, (long)read(p[0], buf, n));
	say("write much: %ld\n", (long)write(p[1], buf, 4096 * 14));
	close(p[0]);
	close(p[1]);
}

/* Who waits for the other side learns that it has gone. */
static void
gone(void)
{
	int p[2], status, well = 1 + roll(100), n = 1 + roll(4096);

	pipe(p);
	if (fork() == 0) {                               /* waits for data; the writer goes */
		close(p[1]);
		_exit(read(p[0], buf, 10) == 0 ? well : 101);
	}
	close(p[0]);
	sched_yield();
	close(p[1]);
	wait(&status);
	say_status("reader", status);
	sent = got = roll(100000);
	fill(buf, sizeof buf);
	pipe(p);
	if (fork() == 0) {                               /* waits for room; the reader goes */
		close(p[0]);
		write(p[1], buf, sizeof buf);
		_exit(101);
	}
	close(p[1]);
	memset(buf, 0, sizeof buf);
	read_all(p[0], buf, n);
	arrived(buf, n);
	say("read %d bytes, the last one is %d\n", n, buf[n - 1]);
	close(p[0]);
	wait(&status);
	say_status("writer", status);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "atrefg";

	dice_seed(argc > 1 ? argv[1] : NULL);
	for (; *what; what++)
		switch (*what) {
		case 'a': alone(); break;
		case 't': two(); break;
		case 'r': records(); break;
		case 'e': edges(); break;
		case 'f': full(); break;
		case 'g': gone(); break;
		}
	return 0;
}
