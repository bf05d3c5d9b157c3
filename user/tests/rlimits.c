/* rlimits.c - limits are kept, inherited and enforced for descriptors.                       (lab 7) */
#include <fcntl.h>
#include <sys/resource.h>
#include "say.h"

int
main(void)
{
	struct rlimit lim, back;
	int fd, status, last = -1;

	CALL(getrlimit(RLIMIT_NOFILE, &lim));
	CHECK(lim.rlim_cur >= 64 && lim.rlim_cur <= lim.rlim_max);
	lim.rlim_cur = 20;
	CALL(setrlimit(RLIMIT_NOFILE, &lim));
	CALL(getrlimit(RLIMIT_NOFILE, &back));
	CHECK(back.rlim_cur == 20 && back.rlim_max == lim.rlim_max);
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		last = fd;
	say("last %d: %s\n", last, strerror(errno));
	CALL(dup(0));
	CALL(dup2(0, 20));
	close(19);
	CALL(pipe((int[2]){ 0, 0 }));
	CALL(dup(0));
	if (fork() == 0) {
		CALL(dup(0));
		_exit(0);
	}
	wait(&status);
	lim.rlim_cur = lim.rlim_max = 25;
	CALL(setrlimit(RLIMIT_NOFILE, &lim));
	CALL(dup(0));
	lim.rlim_cur = 26;
	CALL(setrlimit(RLIMIT_NOFILE, &lim));
	CALL(getrlimit(77, &lim));
	CALL(setrlimit(77, &lim));
	CALL(getrlimit(RLIMIT_NOFILE, (struct rlimit *)8));
	CALL(getrlimit(RLIMIT_STACK, &lim));
	return 0;
}
