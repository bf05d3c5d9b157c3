/* builtin.c - commands that must act on the shell itself, and a few that are just faster so. */
#include "user/sh/sh.h"

static int
builtin_true(char **argv)
{
	return **argv == 'f';                   /* also called false */
}

static int
builtin_echo(char **argv)
{
	bool newline = !argv[1] || strcmp(argv[1], "-n") != 0;

	for (argv += newline ? 1 : 2; *argv; argv++)
		printf("%s%s", *argv, argv[1] ? " " : "");
	if (newline)
		putchar('\n');
	return fflush(stdout) ? 1 : 0;
}

/* ---- the shell's state ---- */

static int
builtin_cd(char **argv)
{
	const char *dir = argv[1] ? argv[1] : var_get("HOME");
	char path[PATH_MAX];

	if (dir && strcmp(dir, "-") == 0)
		dir = var_get("OLDPWD");
	if (!dir || chdir(dir) < 0) {
		complain("cd: %s: %s", dir ? dir : "no directory", strerror(dir ? errno : EINVAL));
		return 1;
	}
	if (var_get("PWD"))
		var_set("OLDPWD", var_get("PWD"));
	if (getcwd(path, sizeof path))
		var_set("PWD", path);
	return 0;
}

static int
builtin_umask(char **argv)
{
	mode_t mask = umask(argv[1] ? strtol(argv[1], NULL, 8) : 0);

	if (!argv[1]) {
		umask(mask);
		printf("%04o\n", mask);
	}
	return 0;
}

static int
builtin_exit(char **argv)
{
	shell_exit(argv[1] ? atoi(argv[1]) : last_status);
}

/* break, continue, return: run.c sees `flow` at each step, and stops. */
static int
builtin_flow(char **argv)
{
	flow = **argv == 'b' ? FLOW_BREAK : **argv == 'c' ? FLOW_CONTINUE : FLOW_RETURN;
	flow_count = argv[1] ? atoi(argv[1]) : 1;
	return flow != FLOW_RETURN ? 0 : argv[1] ? atoi(argv[1]) : last_status;
}

/* set -e +e -x +x, set [--] ARG... */
static int
builtin_set(char **argv)
{
	int n = 0;

	for (argv++; *argv && (**argv == '-' || **argv == '+'); argv++) {
		option_e = strchr(*argv, 'e') ? **argv == '-' : option_e;
		option_x = strchr(*argv, 'x') ? **argv == '-' : option_x;
		if (strcmp(*argv, "--") == 0) {
			args = (struct args){ 0, NULL };
			argv++;
			break;
		}
	}
	while (argv[n])
		n++;
	if (n == 0)
		return 0;
	args = (struct args){ 0, malloc(n * sizeof *argv) };    /* kept: the old ones may still be in use */
	while (args.list && args.count < n && (args.list[args.count] = strdup(argv[args.count])))
		args.count++;
	return args.count < n;
}

static int
builtin_shift(char **argv)
{
	int n = argv[1] ? atoi(argv[1]) : 1;

	if (n < 0 || n > args.count)
		return 1;
	args = (struct args){ args.count - n, args.list + n };
	return 0;
}

/* ---- variables ---- */

static int
builtin_export(char **argv)
{
	for (argv++; *argv; argv++) {
		size_t n = name_length(*argv);
		char *name = mem_string(*argv, n);

		if (n == 0 || ((*argv)[n] && (*argv)[n] != '=')) {
			complain("export: bad name %s", *argv);
			return 1;
		}
		if ((*argv)[n])
			var_set(name, *argv + n + 1);
		var_export(name);
	}
	return 0;
}

static int
builtin_unset(char **argv)
{
	for (argv++; *argv; argv++) {
		var_set(*argv, NULL);
		var_set(function_name(*argv), NULL);
	}
	return 0;
}

/* read [-r] NAME...: a word of the line for each, and what remains for the last; always as with -r.
 * Reads byte by byte: what follows belongs to whoever reads next. */
static int
builtin_read(char **argv)
{
	const char *ifs = var_get("IFS") ? var_get("IFS") : " \t\n", *p;
	struct text line = { "", 0, 0 };
	ssize_t got;
	size_t n;
	char c;

	while ((got = read(0, &c, 1)) == 1 && c != '\n')
		text_put(&line, c);
	check_limits();
	p = line.s;
	for (argv += argv[1] && strcmp(argv[1], "-r") == 0 ? 2 : 1; *argv; argv++) {
		p += strspn(p, ifs);
		n = argv[1] ? strcspn(p, ifs) : strlen(p);
		while (!argv[1] && n > 0 && strchr(ifs, p[n - 1]))
			n--;
		var_set(*argv, mem_string(p, n));
		p += n;
	}
	return got != 1;
}

/* ---- running ---- */

static int
builtin_eval(char **argv)
{
	char *text = "";

	for (argv++; *argv; argv++)
		text = join(text, *argv, " ");
	last_status = 0;
	return run_text(text);
}

/* . FILE */
static int
builtin_dot(char **argv)
{
	int status = argv[1] ? run_file(argv[1]) : 2;

	if (flow == FLOW_RETURN)
		flow = FLOW_NONE;
	return status < 0 ? 1 : status;
}

/* exec [PROGRAM [ARG...]]: run.c leaves its redirections as they are. */
static int
builtin_exec(char **argv)
{
	if (argv[1])
		exec_program(argv + 1);
	return 0;
}

/* ---- test ---- */

static bool
test_unary(char op, const char *arg)
{
	struct stat st;

	switch (op) {
	case 'n': return *arg;
	case 'z': return !*arg;
	case 't': return isatty(atoi(arg));
	case 'r': case 'w': case 'x': return access(arg, op == 'r' ? R_OK : op == 'w' ? W_OK : X_OK) == 0;
	case 'h': case 'L': return lstat(arg, &st) == 0 && S_ISLNK(st.st_mode);
	}
	if (stat(arg, &st) < 0)
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

static int
test_binary(const char *a, const char *op, const char *b)
{
	static const char *const names[] = { "=", "!=", "-eq", "-ne", "-lt", "-le", "-gt", "-ge" };
	long x = atol(a), y = atol(b);
	bool same = strcmp(a, b) == 0;
	bool values[] = { same, !same, x == y, x != y, x < y, x <= y, x > y, x >= y };

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		if (strcmp(op, names[i]) == 0)
			return !values[i];
	}
	complain("test: unknown operator %s", op);
	return 2;
}

/* The condition in words[0...n): STRING, -OP ARG, A OP B, or ! and one of these.
 * Returns: 0 it is true, 1 it is not, 2 it is none. */
static int
test_words(char **words, int n)
{
	int status;

	if (n > 1 && strcmp(*words, "!") == 0) {
		status = test_words(words + 1, n - 1);
		return status == 2 ? 2 : !status;
	}
	if (n < 2)
		return n == 0 || !**words;
	if (n == 2 && **words == '-' && words[0][1] && strchr("nztrwxhLfdpcbse", words[0][1]) && !words[0][2])
		return !test_unary(words[0][1], words[1]);
	if (n == 3)
		return test_binary(words[0], words[1], words[2]);
	complain("test: not a condition: %s ...", *words);
	return 2;
}

/* test CONDITION, [ CONDITION ] */
static int
builtin_test(char **argv)
{
	int n = 0;

	while (argv[n + 1])
		n++;
	if (**argv == '[' && strcmp(argv[n--], "]") != 0) {
		complain("[: missing ]");
		return 2;
	}
	return test_words(argv + 1, n);
}

builtin_fn *
builtin_find(const char *name)
{
	static const struct { const char *name; builtin_fn *fn; } table[] = {
		{ ":", builtin_true }, { "true", builtin_true }, { "false", builtin_true }, { "echo", builtin_echo },
		{ "test", builtin_test }, { "[", builtin_test }, { "cd", builtin_cd }, { "umask", builtin_umask },
		{ "exit", builtin_exit }, { "break", builtin_flow }, { "continue", builtin_flow },
		{ "return", builtin_flow }, { "set", builtin_set }, { "shift", builtin_shift },
		{ "export", builtin_export }, { "unset", builtin_unset }, { "read", builtin_read },
		{ "eval", builtin_eval }, { ".", builtin_dot }, { "exec", builtin_exec }, { "jobs", builtin_jobs },
		{ "fg", builtin_fg }, { "bg", builtin_fg }, { "wait", builtin_wait },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (strcmp(table[i].name, name) == 0)
			return table[i].fn;
	}
	return NULL;
}
