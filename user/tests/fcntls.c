/* fcntls.c - descriptor flags, status flags, and what cannot be changed.                     (lab 7) */
#define _GNU_SOURCE
#include <fcntl.h>
#include "say.h"

#define LARGEFILE 0100000       /* the kernel may or may not show it */

int
main(void)
{
	int a, b, p[2];

	OK(a = open("fc.tmp", O_CREAT | O_RDWR | O_APPEND | O_CLOEXEC, 0644));
	CALL(fcntl(a, F_GETFD));
	say("flags %o\n", fcntl(a, F_GETFL) & ~LARGEFILE);
	CALL(fcntl(a, F_SETFD, 0));
	CALL(fcntl(a, F_GETFD));
	CALL(fcntl(a, F_SETFL, O_NONBLOCK | O_WRONLY | O_CREAT | O_TRUNC));
	say("flags %o\n", fcntl(a, F_GETFL) & ~LARGEFILE);
	b = dup(a);                                     /* status flags are shared, descriptor flags are not */
	CALL(fcntl(b, F_SETFL, O_APPEND));
	CALL(fcntl(b, F_SETFD, FD_CLOEXEC));
	say("flags %o\n", fcntl(a, F_GETFL) & ~LARGEFILE);
	CALL(fcntl(a, F_GETFD));
	CALL(fcntl(a, 9999, 0));
	CALL(fcntl(99, F_GETFL));
	OK(b = open("fc.tmp", O_WRONLY));
	say("flags %o\n", fcntl(b, F_GETFL) & ~LARGEFILE);
	pipe(p);
	say("flags %o %o\n", fcntl(p[0], F_GETFL), fcntl(p[1], F_GETFL));
	CALL(fcntl(p[0], F_GETPIPE_SZ));
	CALL(unlink("fc.tmp"));
	return 0;
}
