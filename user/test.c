/* test CONDITION, [ CONDITION ] - end with status 0 if it is true, 1 if it is not, 2 if it is none.
 *
 * CONDITION: STRING, -n STRING, -z STRING, -e -f -d -L -p -c -b -s -r -w -x FILE, -t DESCRIPTOR, A = B,
 *            A != B, M -eq -ne -lt -le -gt -ge N, ! CONDITION. The shell's `if [ a = b ]` runs this program.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { YES, NO, NONE };

static int
complain(const char *what, const char *word)
{
	fprintf(stderr, "test: %s %s\n", what, word);
	return NONE;
}

static int
test_unary(const char *op, const char *arg)
{
	struct stat st;

	if (op[0] != '-' || !op[1] || op[2] || !strchr("nztrwxLfdpcbse", op[1]))
		return complain("unknown operator", op);
	switch (op[1]) {
	case 'n': return *arg ? YES : NO;
	case 'z': return *arg ? NO : YES;
	case 't': return isatty(atoi(arg)) ? YES : NO;
	case 'r': return access(arg, R_OK) == 0 ? YES : NO;
	case 'w': return access(arg, W_OK) == 0 ? YES : NO;
	case 'x': return access(arg, X_OK) == 0 ? YES : NO;
	case 'L': return lstat(arg, &st) == 0 && S_ISLNK(st.st_mode) ? YES : NO;
	}
	if (stat(arg, &st) < 0)
		return NO;
	switch (op[1]) {
	case 'f': return S_ISREG(st.st_mode) ? YES : NO;
	case 'd': return S_ISDIR(st.st_mode) ? YES : NO;
	case 'p': return S_ISFIFO(st.st_mode) ? YES : NO;
	case 'c': return S_ISCHR(st.st_mode) ? YES : NO;
	case 'b': return S_ISBLK(st.st_mode) ? YES : NO;
	case 's': return st.st_size > 0 ? YES : NO;
	default: return YES;
	}
}

static int
test_binary(const char *a, const char *op, const char *b)
{
	static const char *const names[] = { "=", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge" };
	char *end_a, *end_b;
	long x = strtol(a, &end_a, 10), y = strtol(b, &end_b, 10);
	int same = strcmp(a, b) == 0;
	int values[] = { same, !same, x == y, x != y, x < y, x <= y, x > y, x >= y };

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		if (strcmp(op, names[i]) != 0)
			continue;
		if (i > 1 && (end_a == a || *end_a))
			return complain("not a number:", a);
		if (i > 1 && (end_b == b || *end_b))
			return complain("not a number:", b);
		return values[i] ? YES : NO;
	}
	return complain("unknown operator", op);
}

static int
test_words(char **words, int n)
{
	int result;

	if (n == 3 && strcmp(words[0], "!") != 0)
		return test_binary(words[0], words[1], words[2]);
	if (n > 1 && strcmp(words[0], "!") == 0) {
		result = test_words(words + 1, n - 1);
		return result == NONE ? NONE : result == YES ? NO : YES;
	}
	if (n == 2)
		return test_unary(words[0], words[1]);
	if (n < 2)
		return n == 1 && *words[0] ? YES : NO;
	return complain("too many words after", words[0]);
}

int
main(int argc, char **argv)
{
	size_t n = strlen(argv[0]);

	if (n > 0 && argv[0][n - 1] == '[' && strcmp(argv[--argc], "]") != 0)
		return complain("missing", "]");
	return test_words(argv + 1, argc - 1);
}
