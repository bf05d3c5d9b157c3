/* sigpipe.c - writing to a pipe that nobody reads.                                           (lab 11) */
#include <signal.h>
#include "say.h"

static volatile int caught;

static void on_pipe(int sig) { caught = sig; }

static void
write_on(void)
{
	int p[2];

	pipe(p);
	close(p[0]);
	write(p[1], "x", 1);
}

int
main(void)
{
	static char big[200000];
	int p[2], status;
	pid_t pid;

	in_child("default", write_on);
	signal(SIGPIPE, SIG_IGN);
	pipe(p);
	close(p[0]);
	CALL(write(p[1], "x", 1));
	CALL(write(p[1], "x", 0));
	signal(SIGPIPE, on_pipe);
	CALL(write(p[1], "x", 1));
	say("caught %d\n", caught);
	signal(SIGPIPE, SIG_DFL);
	pipe(p);
	pid = fork();
	if (pid == 0) {                                 /* a writer that waits for room, when the reader goes away */
		close(p[0]);
		write(p[1], big, sizeof big);
		_exit(0);
	}
	close(p[1]);
	read(p[0], big, 1000);
	close(p[0]);
	waitpid(pid, &status, 0);
	say_status("waiting writer", status);
	return 0;
}
