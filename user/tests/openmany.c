/* openmany.c - opens files until it fails: EMFILE, and all descriptors come back.           (lab 8) */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int
open_all(void)
{
	int n = 0, last = -1, fd;

	while ((fd = open("/dev/null", O_RDONLY)) >= 0) {
		last = fd;
		n++;
	}
	printf("%s\n", strerror(errno));
	for (fd = 3; fd <= last; fd++)
		close(fd);
	return n;
}

int
main(void)
{
	int a = open_all(), b = open_all();
	int p[2];

	printf("at least 64: %d, the same again: %d\n", a >= 64, a == b);
	printf("pipe: %d\n", pipe(p));
	return 0;
}
