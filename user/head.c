/* head [-n LINES] [-c BYTES] [FILE...] - print the beginning of files, 10 lines by default. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long lines = 10, bytes = -1;

static void
head(FILE *f)
{
	long left = bytes >= 0 ? bytes : lines;
	int c;

	while (left > 0 && (c = getc(f)) != EOF) {
		putchar(c);
		left -= bytes >= 0 || c == '\n';
	}
}

int
main(int argc, char **argv)
{
	int opt, status = 0;

	if (argc > 1 && argv[1][0] == '-' && isdigit(argv[1][1])) {     /* head -5 */
		lines = atol(argv[1] + 1);
		optind = 2;
	}
	while ((opt = getopt(argc, argv, "n:c:")) != -1) {
		if (opt == 'n')
			lines = atol(optarg);
		else if (opt == 'c')
			bytes = atol(optarg);
		else
			return 2;
	}
	if (optind == argc)
		head(stdin);
	for (int i = optind; i < argc; i++) {
		FILE *f = fopen(argv[i], "r");

		if (!f) {
			fprintf(stderr, "head: %s: %s\n", argv[i], strerror(errno));
			status = 1;
			continue;
		}
		if (argc - optind > 1)
			printf("%s==> %s <==\n", i > optind ? "\n" : "", argv[i]);
		head(f);
		fclose(f);
	}
	return status;
}
