/* wc [-lwc] [FILE...] - count lines, words and bytes. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int lines_wanted, words_wanted, bytes_wanted;

struct counts {
	long lines, words, bytes;
};

static void
count(FILE *f, struct counts *n)
{
	int c, in_word = 0;

	while ((c = getc(f)) != EOF) {
		n->bytes++;
		n->lines += c == '\n';
		n->words += !isspace(c) && !in_word;
		in_word = !isspace(c);
	}
}

static void
print(const struct counts *n, const char *name)
{
	const char *gap = "";

	if (lines_wanted) {
		printf("%ld", n->lines);
		gap = " ";
	}
	if (words_wanted) {
		printf("%s%ld", gap, n->words);
		gap = " ";
	}
	if (bytes_wanted)
		printf("%s%ld", gap, n->bytes);
	printf(name ? " %s\n" : "\n", name);
}

int
main(int argc, char **argv)
{
	struct counts n = { 0 }, total = { 0 };
	int opt, status = 0;

	while ((opt = getopt(argc, argv, "lwc")) != -1) {
		lines_wanted |= opt == 'l';
		words_wanted |= opt == 'w';
		bytes_wanted |= opt == 'c';
		if (opt == '?')
			return 2;
	}
	if (!lines_wanted && !words_wanted && !bytes_wanted)
		lines_wanted = words_wanted = bytes_wanted = 1;
	if (optind == argc) {
		count(stdin, &n);
		print(&n, NULL);
		return 0;
	}
	for (int i = optind; i < argc; i++) {
		FILE *f = fopen(argv[i], "r");

		if (!f) {
			fprintf(stderr, "wc: %s: %s\n", argv[i], strerror(errno));
			status = 1;
			continue;
		}
		n = (struct counts){ 0 };
		count(f, &n);
		fclose(f);
		print(&n, argv[i]);
		total.lines += n.lines;
		total.words += n.words;
		total.bytes += n.bytes;
	}
	if (argc - optind > 1)
		print(&total, "total");
	return status;
}
