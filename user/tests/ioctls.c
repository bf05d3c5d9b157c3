/* ioctls.c - terminal calls on what is no terminal; FIONREAD on a pipe.                      (lab 7) */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include "say.h"

int
main(void)
{
	struct termios t;
	struct winsize w;
	int file, null, p[2], n = -1;

	OK(file = open("ioctl.tmp", O_CREAT | O_RDWR, 0644));
	OK(null = open("/dev/null", O_RDWR));
	pipe(p);
	CALL(tcgetattr(file, &t));
	CALL(tcgetattr(null, &t));
	CALL(tcgetattr(p[0], &t));
	CALL(tcgetattr(99, &t));
	CALL(ioctl(file, TIOCGWINSZ, &w));
	CALL(ioctl(p[0], TIOCGPGRP, &n));
	CALL(ioctl(null, TIOCSCTTY, 0));
	CALL(ioctl(file, 0x12345678, 0));
	CALL(isatty(file));
	write(p[1], "12345", 5);
	CALL(ioctl(p[0], FIONREAD, &n));
	say("there are %d\n", n);
	CALL(ioctl(p[0], FIONREAD, 8));
	CALL(unlink("ioctl.tmp"));
	return 0;
}
