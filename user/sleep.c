/* sleep SECONDS - wait; SECONDS may have a fraction. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int
main(int argc, char **argv)
{
	struct timespec ts = { 0, 0 };
	char *p;

	if (argc != 2 || (!isdigit(*argv[1]) && *argv[1] != '.')) {
		fprintf(stderr, "usage: sleep SECONDS\n");
		return 2;
	}
	ts.tv_sec = strtol(argv[1], &p, 10);
	if (*p == '.') {
		long unit = 100000000;

		for (p++; isdigit(*p); p++, unit /= 10)
			ts.tv_nsec += (*p - '0') * unit;
	}
	while (nanosleep(&ts, &ts) < 0) {
		if (errno != EINTR) {
			fprintf(stderr, "sleep: %s\n", strerror(errno));
			return 1;
		}
	}
	return 0;
}
