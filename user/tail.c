/* tail [-n LINES] [FILE...] - print the end of files, 10 lines by default; -n +N: from line N on.
 *
 * Idea.       A ring of the last lines read; whatever leaves the ring was too early.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long lines = 10;
static int from_start;

static void
tail(FILE *f)
{
	char **ring = calloc(lines + 1, sizeof *ring), *line = NULL;
	size_t size = 0;
	long n = 0;

	if (!ring) {
		fprintf(stderr, "tail: out of memory\n");
		exit(1);
	}
	for (; getline(&line, &size, f) >= 0; n++) {
		if (from_start) {
			if (n + 1 >= lines)
				fputs(line, stdout);
		} else if (lines > 0) {
			free(ring[n % lines]);
			ring[n % lines] = strdup(line);
		}
	}
	for (long i = n > lines ? n - lines : 0; i < n && !from_start && lines > 0; i++)
		fputs(ring[i % lines], stdout);
	for (long i = 0; i < lines; i++)
		free(ring[i]);
	free(ring);
	free(line);
}

int
main(int argc, char **argv)
{
	int opt, status = 0;

	if (argc > 1 && argv[1][0] == '-' && isdigit(argv[1][1])) {     /* tail -5 */
		lines = atol(argv[1] + 1);
		optind = 2;
	}
	while ((opt = getopt(argc, argv, "n:")) != -1) {
		if (opt != 'n')
			return 2;
		from_start = *optarg == '+';
		lines = strtol(optarg + (*optarg == '-'), NULL, 10);
	}
	if (optind == argc)
		tail(stdin);
	for (int i = optind; i < argc; i++) {
		FILE *f = fopen(argv[i], "r");

		if (!f) {
			fprintf(stderr, "tail: %s: %s\n", argv[i], strerror(errno));
			status = 1;
			continue;
		}
		if (argc - optind > 1)
			printf("%s==> %s <==\n", i > optind ? "\n" : "", argv[i]);
		tail(f);
		fclose(f);
	}
	return status;
}
