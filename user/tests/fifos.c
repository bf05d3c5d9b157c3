/* fifos.c - named pipes: opening waits for the other side, or not.                           (lab 7) */
#include <fcntl.h>
#include <sys/stat.h>
#include "say.h"

int
main(void)
{
	char buf[16];
	int fd, status;

	CALL(mkfifo("ff.tmp", 0644));
	CALL(mkfifo("ff.tmp", 0644));
	CALL(open("ff.tmp", O_WRONLY | O_NONBLOCK));
	OK(fd = open("ff.tmp", O_RDONLY | O_NONBLOCK));
	CALL(read(fd, buf, 1));
	close(fd);
	if (fork() == 0) {
		fd = open("ff.tmp", O_WRONLY);
		write(fd, "through", 7);
		_exit(0);
	}
	OK(fd = open("ff.tmp", O_RDONLY));
	CALL(read(fd, buf, 16));
	CALL(read(fd, buf, 16));
	wait(&status);
	close(fd);
	OK(fd = open("ff.tmp", O_RDWR));
	CALL(write(fd, "both", 4));
	CALL(read(fd, buf, 16));
	CALL(lseek(fd, 0, SEEK_SET));
	CALL(unlink("ff.tmp"));
	return 0;
}
