/* env [-i] [NAME=VALUE...] [COMMAND ARG...] - run COMMAND with a changed environment, or print it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	static char *empty[] = { NULL };
	int i = 1;

	if (argc > 1 && strcmp(argv[1], "-i") == 0) {
		environ = empty;
		i++;
	}
	for (; i < argc && strchr(argv[i], '='); i++) {
		char *value = strchr(argv[i], '=');

		*value = 0;
		setenv(argv[i], value + 1, 1);
	}
	if (i < argc) {
		execvp(argv[i], argv + i);
		fprintf(stderr, "env: %s: %s\n", argv[i], strerror(errno));
		return errno == ENOENT ? 127 : 126;
	}
	for (char **e = environ; *e; e++)
		puts(*e);
	return 0;
}
