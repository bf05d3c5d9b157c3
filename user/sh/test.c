/* test.c - test EXPR and [ EXPR ]: conditions on files, strings and numbers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "user/sh/sh.h"

static char **at, **end;

static bool test_or(void);

static bool
test_file(char op, const char *path)
{
	struct stat st;

	if (op == 'h' || op == 'L')
		return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
	if (op == 'r' || op == 'w' || op == 'x')
		return access(path, op == 'r' ? R_OK : op == 'w' ? W_OK : X_OK) == 0;
	if (stat(path, &st) < 0)
		return false;
	switch (op) {
	case 'f': return S_ISREG(st.st_mode);
	case 'd': return S_ISDIR(st.st_mode);
	case 'p': return S_ISFIFO(st.st_mode);
	case 'c': return S_ISCHR(st.st_mode);
	case 'b': return S_ISBLK(st.st_mode);
	case 's': return st.st_size > 0;
	default: return op == 'e';
	}
}

static bool
test_unary(char op, const char *arg)
{
	switch (op) {
	case 'n': return *arg;
	case 'z': return !*arg;
	case 't': return isatty(atoi(arg));
	default: return test_file(op, arg);
	}
}

/* Is op a binary operator? Then *result is a OP b. */
static bool
test_binary(const char *a, const char *op, const char *b, bool *result)
{
	static const char *const names[] = { "-eq", "-ne", "-lt", "-le", "-gt", "-ge" };
	long x = atol(a), y = atol(b);
	bool values[] = { x == y, x != y, x < y, x <= y, x > y, x >= y };

	if (strcmp(op, "=") == 0 || strcmp(op, "==") == 0)
		*result = strcmp(a, b) == 0;
	else if (strcmp(op, "!=") == 0)
		*result = strcmp(a, b) != 0;
	else {
		for (int i = 0; i < 6; i++) {
			if (strcmp(op, names[i]) == 0) {
				*result = values[i];
				return true;
			}
		}
		return false;
	}
	return true;
}

static bool
test_primary(void)
{
	bool result;

	if (at == end)
		return false;
	if (end - at >= 3 && test_binary(at[0], at[1], at[2], &result)) {
		at += 3;
		return result;
	}
	if (end - at >= 2 && at[0][0] == '-' && at[0][1] && !at[0][2] && strchr("nztfdpcbsehLrwx", at[0][1])) {
		at += 2;
		return test_unary(at[-2][1], at[-1]);
	}
	if (end - at >= 2 && strcmp(*at, "!") == 0) {
		at++;
		return !test_primary();
	}
	if (end - at >= 2 && strcmp(*at, "(") == 0) {
		at++;
		result = test_or();
		if (at < end)
			at++;
		return result;
	}
	return **at++;
}

static bool
test_and(void)
{
	bool result = test_primary();

	while (at < end && strcmp(*at, "-a") == 0) {
		at++;
		result &= test_primary();
	}
	return result;
}

static bool
test_or(void)
{
	bool result = test_and();

	while (at < end && strcmp(*at, "-o") == 0) {
		at++;
		result |= test_and();
	}
	return result;
}

int
builtin_test(char **argv)
{
	bool result;

	at = argv + 1;
	for (end = at; *end; end++)
		;
	if (strcmp(argv[0], "[") == 0) {
		if (end == at || strcmp(end[-1], "]") != 0) {
			complain("[: missing ]");
			return 2;
		}
		end--;
	}
	result = test_or();
	if (at < end) {
		complain("test: unexpected %s", *at);
		return 2;
	}
	return !result;
}
