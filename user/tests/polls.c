/* polls.c - poll on pipes, files and bad descriptors.                                        (lab 7) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/select.h>
#include <time.h>
#include "say.h"

static void
show(struct pollfd *p, int n, int timeout)
{
	int r = poll(p, n, timeout);

	say("poll = %d:", r);
	for (int i = 0; i < n; i++)
		say(" %x", p[i].revents);
	say("\n");
}

int
main(void)
{
	struct timespec before, after;
	struct timeval tv = { 0, 0 };
	int p[2], q[2], file, status;
	static char buf[65536];
	fd_set set;
	struct pollfd *volatile nowhere = (struct pollfd *)8;

	pipe(p);
	pipe(q);
	file = open("polls.tmp", O_CREAT | O_RDWR, 0644);
	struct pollfd f[] = {
		{ p[0], POLLIN, 0 }, { p[1], POLLOUT, 0 }, { file, POLLIN | POLLOUT, 0 }, { -1, POLLIN, 77 }, { 99, POLLIN, 0 }
	};
	show(f, 5, 0);
	show(f, 1, 0);
	clock_gettime(CLOCK_MONOTONIC, &before);
	show(f, 1, 50);
	clock_gettime(CLOCK_MONOTONIC, &after);
	CHECK((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000 >= 49);
	write(p[1], "x", 1);
	show(f, 3, -1);
	write(p[1], buf, 65535);
	show(f, 2, 0);
	read(p[0], buf, 65536);
	show(f, 2, 0);
	if (fork() == 0) {                              /* another process makes it ready */
		struct timespec ts = { 0, 20000000 };

		nanosleep(&ts, NULL);
		write(p[1], "y", 1);
		_exit(0);
	}
	show(f, 1, -1);
	wait(&status);
	read(p[0], buf, 1);
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	FD_SET(q[0], &set);
	CALL(select(q[0] + 1, &set, NULL, NULL, &tv));
	write(q[1], "z", 1);
	FD_ZERO(&set);
	FD_SET(p[0], &set);
	FD_SET(q[0], &set);
	CALL(select(q[0] + 1, &set, NULL, NULL, NULL));
	CHECK(!FD_ISSET(p[0], &set) && FD_ISSET(q[0], &set));
	close(p[1]);
	show(f, 1, -1);
	close(q[0]);
	f[0] = (struct pollfd){ q[1], POLLOUT, 0 };
	show(f, 1, -1);
	CALL(poll(nowhere, 1, 0));
	CALL(poll(NULL, 0, 1));
	CALL(unlink("polls.tmp"));
	return 0;
}
