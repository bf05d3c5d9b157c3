/* stdlib.c - numbers, sorting, environment, options. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
digit_value(char c)
{
	if (isdigit(c))
		return c - '0';
	return isalpha(c) ? tolower(c) - 'a' + 10 : 99;
}

/* Skip spaces, take the sign and the base prefix.
 * Returns: where the digits begin; *base is 8, 10, 16 or as given.
 */
static const char *
number_start(const char *s, int *base, bool *negative)
{
	while (isspace(*s))
		s++;
	*negative = *s == '-';
	if (*s == '-' || *s == '+')
		s++;
	if ((*base == 0 || *base == 16) && s[0] == '0' && (s[1] | 32) == 'x' && isxdigit(s[2])) {
		*base = 16;
		return s + 2;
	}
	if (*base == 0)
		*base = *s == '0' ? 8 : 10;
	return s;
}

/* The magnitude of the number at s, capped at max with ERANGE; *end is after it, or s if there is none. */
static unsigned long
number_parse(const char *s, char **end, int base, bool *negative, unsigned long max)
{
	const char *p = number_start(s, &base, negative);
	const char *first = p;
	unsigned long v = 0;
	bool over = false;

	for (; digit_value(*p) < base; p++) {
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, digit_value(*p), &v))
			over = true;
	}
	if (end)
		*end = (char *)(p == first ? s : p);
	if (over || v > max) {
		errno = ERANGE;
		return max;
	}
	return v;
}

long
strtol(const char *restrict s, char **restrict end, int base)
{
	bool negative;
	unsigned long v = number_parse(s, end, base, &negative, (unsigned long)LONG_MAX + 1);

	if (!negative && v > LONG_MAX) {
		errno = ERANGE;
		return LONG_MAX;
	}
	return negative ? -v : v;
}

unsigned long
strtoul(const char *restrict s, char **restrict end, int base)
{
	bool negative;
	unsigned long v = number_parse(s, end, base, &negative, ULONG_MAX);

	return negative ? -v : v;
}

long long
strtoll(const char *restrict s, char **restrict end, int base)
{
	return strtol(s, end, base);
}

unsigned long long
strtoull(const char *restrict s, char **restrict end, int base)
{
	return strtoul(s, end, base);
}

int
atoi(const char *s)
{
	return strtol(s, NULL, 10);
}

long
atol(const char *s)
{
	return strtol(s, NULL, 10);
}

int
abs(int n)
{
	return n < 0 ? -n : n;
}

long
labs(long n)
{
	return n < 0 ? -n : n;
}

static void
swap(char *a, char *b, size_t n)
{
	while (n-- > 0) {
		char c = *a;

		*a++ = *b;
		*b++ = c;
	}
}

/* Let the element at `root` sink into the heap of the first `count` elements. */
static void
heap_sink(char *base, size_t root, size_t count, size_t size, int (*compare)(const void *, const void *))
{
	size_t child;

	for (; (child = 2 * root + 1) < count; root = child) {
		if (child + 1 < count && compare(base + child * size, base + (child + 1) * size) < 0)
			child++;
		if (compare(base + root * size, base + child * size) >= 0)
			return;
		swap(base + root * size, base + child * size, size);
	}
}

/* Heap sort: n log n always, no memory. Equal elements may change places. */
void
qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
	for (size_t i = count / 2; i-- > 0; )
		heap_sink(base, i, count, size, compare);
	while (count-- > 1) {
		swap(base, (char *)base + count * size, size);
		heap_sink(base, 0, count, size, compare);
	}
}

static uint64_t random_state = 1;

void
srand(unsigned seed)
{
	random_state = seed;
}

int
rand(void)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return random_state >> 33;
}

/* The place of NAME=... in environ, or of the NULL at its end. */
static char **
env_find(const char *name)
{
	size_t n = strlen(name);
	char **e = environ;

	while (*e && (strncmp(*e, name, n) != 0 || (*e)[n] != '='))
		e++;
	return e;
}

char *
getenv(const char *name)
{
	char **e = env_find(name);

	return *e ? strchr(*e, '=') + 1 : NULL;
}

/* Put NAME=value into environ; the strings and the array that exec made are left to themselves. */
int
setenv(const char *name, const char *value, int overwrite)
{
	char **e = env_find(name), **grown;
	size_t n = strlen(name) + strlen(value) + 2, count = e - environ;
	char *entry;

	if (*e && !overwrite)
		return 0;
	entry = malloc(n);
	if (!entry)
		return -1;
	snprintf(entry, n, "%s=%s", name, value);
	if (*e) {
		*e = entry;
		return 0;
	}
	grown = malloc((count + 2) * sizeof *grown);
	if (!grown) {
		free(entry);
		return -1;
	}
	memcpy(grown, environ, count * sizeof *grown);
	grown[count] = entry;
	grown[count + 1] = NULL;
	environ = grown;
	return 0;
}

int
unsetenv(const char *name)
{
	char **e = env_find(name);

	for (; *e; e++)
		e[0] = e[1];
	return 0;
}

char *optarg;
int optind = 1, opterr = 1, optopt;

/* The next option letter of argv; ':' after a letter in `options` means it takes an argument (optarg).
 * Returns: the letter; '?' for an unknown one or a missing argument, with a message; -1 at the end.
 */
int
getopt(int argc, char *const argv[], const char *options)
{
	static char *rest = "";         /* letters of the current word not yet looked at */
	const char *known;

	if (!*rest) {
		if (optind >= argc || argv[optind][0] != '-' || !argv[optind][1])
			return -1;
		rest = argv[optind++] + 1;
		if (strcmp(rest, "-") == 0) {
			rest = "";
			return -1;
		}
	}
	optopt = *rest++;
	known = optopt == ':' ? NULL : strchr(options, optopt);
	if (!known) {
		if (opterr)
			fprintf(stderr, "%s: unknown option -%c\n", argv[0], optopt);
		return '?';
	}
	if (known[1] != ':')
		return optopt;
	if (!*rest && optind >= argc) {
		if (opterr)
			fprintf(stderr, "%s: option -%c needs an argument\n", argv[0], optopt);
		return '?';
	}
	optarg = *rest ? rest : argv[optind++];
	rest = "";
	return optopt;
}
