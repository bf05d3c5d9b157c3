/* orphans.c - children of a process that ended get another parent, which reaps them.         (lab 7) */
#include <fcntl.h>
#include <time.h>
#include "say.h"

int
main(void)
{
	struct timespec pause = { 0, 20000000 };
	int p[2], q[2], status;
	char line[64] = "";
	pid_t parent;

	pipe(p);
	pipe(q);
	parent = fork();
	if (parent == 0) {
		pid_t me = getpid();

		if (fork() == 0) {
			char c;

			close(q[1]);
			read(q[0], &c, 1);              /* until everybody else has closed it: the parent is gone */
			while (getppid() == me)
				nanosleep(&pause, NULL);
			write(p[1], "adopted", 7);
			_exit(3);
		}
		_exit(4);
	}
	close(p[1]);
	CHECK(waitpid(parent, &status, 0) == parent);
	say_status("parent", status);
	close(q[0]);
	close(q[1]);
	CALL(read(p[0], line, sizeof line));
	say("%s\n", line);
	CALL(read(p[0], line, sizeof line));            /* end of file: it has ended as well */
	CALL(wait(&status));                            /* and is not our child */
	return 0;
}
