/* dups.c - descriptors: lowest free number, shared offsets, close-on-exec, errors.           (lab 7) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include "say.h"

int
main(int argc, char **argv)
{
	int a, b, status;
	char c = 0;

	if (argc > 1) {                                 /* after exec: which descriptors are left? */
		for (int i = 1; i < argc; i++)
			report("fcntl(F_GETFD)", fcntl(atoi(argv[i]), F_GETFD));
		return 0;
	}
	for (int i = 3; i < 30; i++)
		close(i);
	a = open("dups.tmp", O_RDWR | O_CREAT | O_TRUNC, 0644);
	say("first %d\n", a);
	CALL(write(a, "0123456789", 10));
	b = dup(a);
	say("dup %d\n", b);
	CALL(lseek(b, 3, SEEK_SET));
	CALL(read(a, &c, 1));
	say("read %c\n", c);
	CALL(lseek(b, 0, SEEK_CUR));
	CALL(dup2(a, 10));
	CALL(dup2(10, 10));
	CALL(dup2(99, 11));
	CALL(dup2(99, 99));
	CALL(dup2(a, -1));
	CALL(dup2(a, 1 << 30));
	CALL(dup3(a, a, 0));
	CALL(dup3(a, 11, O_CLOEXEC));
	CALL(dup3(a, 12, O_APPEND));
	CALL(fcntl(11, F_GETFD));
	CALL(fcntl(a, F_DUPFD, 20));
	CALL(fcntl(a, F_DUPFD_CLOEXEC, 20));
	CALL(fcntl(a, F_DUPFD, -1));
	CALL(fcntl(21, F_GETFD));
	CALL(fcntl(10, F_SETFD, FD_CLOEXEC));
	CALL(fcntl(98, F_GETFD));
	CALL(close(a));
	CALL(dup(b));                                   /* the lowest one, which just became free */
	CALL(dup(98));
	if (fork() == 0) {                              /* a child shares the offset as well */
		lseek(b, 7, SEEK_SET);
		_exit(0);
	}
	wait(&status);
	CALL(lseek(b, 0, SEEK_CUR));
	CALL(unlink("dups.tmp"));
	if (fork() == 0) {
		char *args[] = { argv[0], "3", "4", "10", "11", "20", "21", NULL };

		execv(argv[0], args);
		_exit(9);
	}
	wait(&status);
	say_status("after exec", status);
	return 0;
}
