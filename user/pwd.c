/* pwd - print the current directory. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
main(void)
{
	char path[PATH_MAX];

	if (!getcwd(path, sizeof path)) {
		fprintf(stderr, "pwd: %s\n", strerror(errno));
		return 1;
	}
	puts(path);
	return 0;
}
