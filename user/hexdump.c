/* hexdump [FILE...] - bytes in hexadecimal and as characters, 16 a line. Equal lines are shown as one `*`. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void
print_line(unsigned long at, const unsigned char *p, size_t n)
{
	printf("%08lx ", at);
	for (size_t i = 0; i < 16; i++) {
		printf(i < n ? "%s%02x" : "%s  ", i == 8 ? "  " : " ", i < n ? p[i] : 0);
	}
	printf("  |");
	for (size_t i = 0; i < n; i++)
		putchar(isprint(p[i]) ? p[i] : '.');
	printf("|\n");
}

static void
dump(FILE *f)
{
	unsigned char line[16], before[16];
	unsigned long at = 0;
	int repeated = 0;
	size_t n;

	while ((n = fread(line, 1, sizeof line, f)) > 0) {
		if (at > 0 && n == 16 && memcmp(line, before, 16) == 0) {
			if (!repeated)
				puts("*");
			repeated = 1;
		} else {
			print_line(at, line, n);
			repeated = 0;
		}
		memcpy(before, line, 16);
		at += n;
	}
	printf("%08lx\n", at);
}

int
main(int argc, char **argv)
{
	int status = 0;

	if (argc == 1)
		dump(stdin);
	for (int i = 1; i < argc; i++) {
		FILE *f = strcmp(argv[i], "-C") == 0 ? NULL : fopen(argv[i], "r");

		if (f) {
			dump(f);
			fclose(f);
		} else if (strcmp(argv[i], "-C") != 0) {
			fprintf(stderr, "hexdump: %s: %s\n", argv[i], strerror(errno));
			status = 1;
		} else if (argc == 2) {
			dump(stdin);
		}
	}
	return status;
}
