/* appends.c - four processes append to one file: no line is lost, none is torn; what appends nothing leaves the
 * offset alone.                                                                              (lab 7) */
#include <fcntl.h>
#include <sys/stat.h>
#include "say.h"

#define LINES 200
#define LENGTH 64

static void
nothing(void)
{
	char *volatile nowhere = (char *)8;
	int fd = open("ap.tmp", O_RDWR | O_APPEND);

	lseek(fd, 7, SEEK_SET);
	CALL(write(fd, "", 0));
	say("offset %ld\n", (long)lseek(fd, 0, SEEK_CUR));
	CALL(write(fd, nowhere, 10));
	say("offset %ld\n", (long)lseek(fd, 0, SEEK_CUR));
	CALL(write(fd, "end", 3));
	say("offset %ld\n", (long)lseek(fd, 0, SEEK_CUR));
	close(fd);
}

int
main(void)
{
	char line[LENGTH];
	int fd, status, count[4] = { 0 }, torn = 0;
	struct stat st;

	close(open("ap.tmp", O_CREAT | O_TRUNC | O_WRONLY, 0644));
	for (int who = 0; who < 4; who++) {
		if (fork() == 0) {
			fd = open("ap.tmp", O_WRONLY | O_APPEND);
			memset(line, 'a' + who, LENGTH);
			line[LENGTH - 1] = '\n';
			for (int i = 0; i < LINES; i++) {
				if (write(fd, line, LENGTH) != LENGTH)
					_exit(1);
			}
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		say_status("writer", status);
	stat("ap.tmp", &st);
	say("size %ld\n", (long)st.st_size);
	fd = open("ap.tmp", O_RDONLY);
	while (read(fd, line, LENGTH) == LENGTH) {
		for (int i = 1; i < LENGTH - 1; i++)
			torn += line[i] != line[0];
		torn += line[LENGTH - 1] != '\n';
		if (line[0] >= 'a' && line[0] <= 'd')
			count[line[0] - 'a']++;
	}
	say("lines %d %d %d %d, torn %d\n", count[0], count[1], count[2], count[3], torn);
	nothing();
	CALL(unlink("ap.tmp"));
	return 0;
}
