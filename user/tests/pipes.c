/* pipes.c - end of file, partial reads, capacity, non-blocking ends.                         (lab 7) */
#define _GNU_SOURCE
#include <fcntl.h>
#include "say.h"

int
main(void)
{
	int p[2], status, *volatile nowhere = (int *)8;
	char buf[8192];
	long total = 0, n;

	CALL(pipe(p));
	CALL(write(p[1], "hello world", 11));
	CALL(read(p[0], buf, 5));
	CALL(read(p[0], buf, 100));
	CHECK(memcmp(buf, " world", 6) == 0);
	CALL(write(p[0], "x", 1));
	CALL(read(p[1], buf, 1));
	CALL(lseek(p[0], 0, SEEK_CUR));
	CALL(pread(p[0], buf, 1, 0));
	CALL(fcntl(p[0], F_SETFL, O_NONBLOCK));
	CALL(read(p[0], buf, 1));
	CALL(read(p[0], buf, 0));
	CALL(fcntl(p[1], F_SETFL, O_NONBLOCK));
	memset(buf, 1, sizeof buf);
	while ((n = write(p[1], buf, 4096)) > 0)
		total += n;
	say("full after %ld: %s\n", total, strerror(errno));
	CALL(read(p[0], buf, 4096));
	CALL(write(p[1], buf, 4096));
	CALL(write(p[1], buf, 1));
	while ((n = read(p[0], buf, sizeof buf)) > 0)
		total -= n;
	say("left %ld: %s\n", total + 4096, strerror(errno));
	close(p[1]);
	CALL(read(p[0], buf, 1));
	CALL(close(p[0]));
	CALL(close(p[0]));

	CALL(pipe2(p, O_CLOEXEC | O_NONBLOCK));
	CALL(fcntl(p[0], F_GETFD));
	CHECK(fcntl(p[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
	CALL(pipe2(p, O_TRUNC));
	CALL(pipe(nowhere));

	pipe(p);                                        /* a reader that waits for a writer, and for its end */
	if (fork() == 0) {
		close(p[1]);
		for (total = 0; (n = read(p[0], buf, sizeof buf)) > 0; )
			total += n;
		_exit(total == 3 * 3000 ? 0 : 1);
	}
	close(p[0]);
	for (int i = 0; i < 3; i++)
		write(p[1], buf, 3000);
	close(p[1]);
	wait(&status);
	say_status("reader", status);
	return 0;
}
