/* grep [-vincqE] PATTERN [FILE...] - print the lines that match.
 *
 * PATTERN: . any character, [a-z] [^a-z] a set, * + ? repeat the one before, ^ $ line ends, \c just c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int option_v, option_i, option_n, option_c, option_q;

static int match_here(const char *p, const char *s);

static int
same(char a, char b)
{
	return a == b || (option_i && tolower(a) == tolower(b));
}

/* The length of the single-character pattern at p. */
static size_t
atom_length(const char *p)
{
	size_t n;

	if (*p != '[')
		return *p == '\\' && p[1] ? 2 : 1;
	n = 1 + (p[1] == '^');
	n += p[n] == ']';
	n += strcspn(p + n, "]");
	return n + (p[n] != 0);
}

/* Does the single-character pattern p[n] match c? */
static int
atom_match(const char *p, size_t n, char c)
{
	const char *end = p + n - 1;
	int negate, found = 0;

	if (!c || *p == '.')
		return c != 0;
	if (*p != '[' || n == 1)
		return same(p[n - 1], c);
	negate = p[1] == '^';
	for (p += 1 + negate; p < end; p++) {
		if (p[1] == '-' && p + 2 < end) {
			found |= (c >= *p && c <= p[2]) || (option_i && toupper(c) >= *p && toupper(c) <= p[2]);
			p += 2;
		} else {
			found |= same(*p, c);
		}
	}
	return found != negate;
}

/* As many as there are, then fewer, until the rest matches. */
static int
match_repeat(const char *atom, size_t n, size_t min, size_t max, const char *rest, const char *s)
{
	size_t k = 0;

	while (k < max && atom_match(atom, n, s[k]))
		k++;
	for (k++; k-- > min; ) {
		if (match_here(rest, s + k))
			return 1;
	}
	return 0;
}

static int
match_here(const char *p, const char *s)
{
	size_t n;

	if (!*p)
		return 1;
	if (*p == '$' && !p[1])
		return !*s;
	n = atom_length(p);
	switch (p[n]) {
	case '*': return match_repeat(p, n, 0, -1, p + n + 1, s);
	case '+': return match_repeat(p, n, 1, -1, p + n + 1, s);
	case '?': return match_repeat(p, n, 0, 1, p + n + 1, s);
	default: return atom_match(p, n, *s) && match_here(p + n, s + 1);
	}
}

static int
match(const char *p, const char *s)
{
	if (*p == '^')
		return match_here(p + 1, s);
	do {
		if (match_here(p, s))
			return 1;
	} while (*s++);
	return 0;
}

/* Returns: how many lines of the file were selected. */
static long
search(FILE *f, const char *name, const char *pattern)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;
	long number = 0, count = 0;

	while ((n = getline(&line, &size, f)) >= 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		number++;
		if (match(pattern, line) == option_v)
			continue;
		count++;
		if (option_q || option_c)
			continue;
		if (name)
			printf("%s:", name);
		if (option_n)
			printf("%ld:", number);
		puts(line);
	}
	free(line);
	if (option_c)
		printf(name ? "%s:%ld\n" : "%s%ld\n", name ? name : "", count);
	return count;
}

int
main(int argc, char **argv)
{
	int opt, missing = 0;
	const char *pattern;
	long count = 0;

	while ((opt = getopt(argc, argv, "vincqE")) != -1 && opt != '?') {
		option_v |= opt == 'v';
		option_i |= opt == 'i';
		option_n |= opt == 'n';
		option_c |= opt == 'c';
		option_q |= opt == 'q';
	}
	if (opt == '?' || optind == argc) {
		fprintf(stderr, "usage: grep [-vincq] PATTERN [FILE...]\n");
		return 2;
	}
	pattern = argv[optind++];
	if (optind == argc)
		count = search(stdin, NULL, pattern);
	for (int i = optind; i < argc; i++) {
		FILE *f = fopen(argv[i], "r");

		if (!f) {
			fprintf(stderr, "grep: %s: %s\n", argv[i], strerror(errno));
			missing = 1;
			continue;
		}
		count += search(f, argc - optind > 1 ? argv[i] : NULL, pattern);
		fclose(f);
	}
	return missing ? 2 : count == 0;
}
