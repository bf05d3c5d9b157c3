/* builtin.c - commands that the shell must or may as well do itself. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/times.h>
#include <unistd.h>
#include "user/sh/sh.h"

static int
builtin_true(char **argv)
{
	(void)argv;
	return 0;
}

static int
builtin_false(char **argv)
{
	(void)argv;
	return 1;
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
builtin_pwd(char **argv)
{
	char path[PATH_MAX];

	(void)argv;
	if (!getcwd(path, sizeof path)) {
		complain("pwd: %s", strerror(errno));
		return 1;
	}
	puts(path);
	return 0;
}

static int
builtin_exit(char **argv)
{
	shell_exit(argv[1] ? atoi(argv[1]) : last_status);
}

static int
builtin_export(char **argv)
{
	if (!argv[1])
		var_print(true);
	for (argv++; *argv; argv++) {
		size_t n = strcspn(*argv, "=");
		char *name = mem_string(*argv, n);

		if (!name_valid(name, n)) {
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
		if (strcmp(*argv, "-f") != 0 && !function_remove(*argv))
			var_unset(*argv);
	}
	return 0;
}

/* set -e +e -x +x, set [--] ARG... */
static int
builtin_set(char **argv)
{
	int n = 0;

	if (!argv[1])
		var_print(false);
	for (argv++; *argv && (**argv == '-' || **argv == '+') && (*argv)[1]; argv++) {
		if (strcmp(*argv, "--") == 0) {
			argv++;
			n = -1;
			break;
		}
		if (strchr(*argv, 'e'))
			option_e = **argv == '-';
		if (strchr(*argv, 'x'))
			option_x = **argv == '-';
	}
	if (!*argv && n == 0)
		return 0;
	for (n = 0; argv[n]; n++)
		;
	args = malloc((n + 1) * sizeof *args);          /* the old ones may be exec's or an earlier set's */
	if (!args)
		fail(2, "out of memory");
	for (arg_count = 0; arg_count < n; arg_count++)
		args[arg_count] = strdup(argv[arg_count]);
	return 0;
}

static int
builtin_shift(char **argv)
{
	int n = argv[1] ? atoi(argv[1]) : 1;

	if (n < 0 || n > arg_count)
		return 1;
	args += n;
	arg_count -= n;
	return 0;
}

/* Read a line byte by byte: what follows belongs to whoever reads next. Returns: false at the end of the file. */
static bool
read_line(char *line, size_t size, bool raw)
{
	size_t n = 0;
	char c = 0;
	bool escaped = false, got = false;

	while (read(0, &c, 1) == 1) {
		got = true;
		if (c == '\\' && !raw && !escaped) {
			escaped = true;
			continue;
		}
		if (c == '\n' && !escaped)
			break;
		if (!(c == '\n' && escaped) && n + 1 < size)
			line[n++] = c;
		escaped = false;
		c = 0;
	}
	line[n] = 0;
	return c == '\n' && got;
}

/* read [-r] NAME...: the last name gets the rest of the line. */
static int
builtin_read(char **argv)
{
	const char *ifs = var_get("IFS") ? var_get("IFS") : " \t\n";
	char line[4096], *p = line;
	bool raw = argv[1] && strcmp(argv[1], "-r") == 0;
	bool ok = read_line(line, sizeof line, raw);

	for (argv += raw ? 2 : 1; *argv; argv++) {
		size_t n;

		while (*p && isspace(*p) && strchr(ifs, *p))
			p++;
		n = argv[1] ? strcspn(p, ifs) : strlen(p);
		while (!argv[1] && n > 0 && isspace(p[n - 1]) && strchr(ifs, p[n - 1]))
			n--;
		var_set(*argv, mem_string(p, n));
		p += n;
		if (*p)
			p++;
	}
	return !ok;
}

static int
builtin_eval(char **argv)
{
	size_t n = 1;
	char *text;

	for (int i = 1; argv[i]; i++)
		n += strlen(argv[i]) + 1;
	text = mem_alloc(n);
	*text = 0;
	for (argv++; *argv; argv++) {
		strcat(text, *argv);
		strcat(text, " ");
	}
	last_status = 0;
	return run_text(text);
}

/* . FILE */
static int
builtin_dot(char **argv)
{
	int fd, status;

	if (!argv[1] || (fd = open(argv[1], O_RDONLY | O_CLOEXEC)) < 0) {
		complain(".: %s: %s", argv[1] ? argv[1] : "file name missing", strerror(errno));
		return 1;
	}
	status = run_file(fd, false);
	close(fd);
	return status;
}

static int
builtin_umask(char **argv)
{
	mode_t mask;

	if (argv[1]) {
		umask(strtol(argv[1], NULL, 8));
		return 0;
	}
	mask = umask(0);
	umask(mask);
	printf("%04o\n", mask);
	return 0;
}

static int
builtin_flow(char **argv)
{
	flow = **argv == 'b' ? FLOW_BREAK : FLOW_CONTINUE;
	flow_count = argv[1] ? atoi(argv[1]) : 1;
	return 0;
}

static int
builtin_return(char **argv)
{
	flow = FLOW_RETURN;
	return argv[1] ? atoi(argv[1]) : last_status;
}

static int
builtin_times(char **argv)
{
	struct tms t;

	(void)argv;
	if (times(&t) == -1)
		return 1;
	printf("user %ld.%02ld s, system %ld.%02ld s, children %ld.%02ld s and %ld.%02ld s\n",
	       t.tms_utime / 100, t.tms_utime % 100, t.tms_stime / 100, t.tms_stime % 100,
	       t.tms_cutime / 100, t.tms_cutime % 100, t.tms_cstime / 100, t.tms_cstime % 100);
	return 0;
}

builtin_fn *
builtin_find(const char *name)
{
	static const struct { const char *name; builtin_fn *fn; } table[] = {
		{ ":", builtin_true }, { "true", builtin_true }, { "false", builtin_false }, { "echo", builtin_echo },
		{ "cd", builtin_cd }, { "pwd", builtin_pwd }, { "exit", builtin_exit }, { "export", builtin_export },
		{ "unset", builtin_unset }, { "set", builtin_set }, { "shift", builtin_shift }, { "read", builtin_read },
		{ "eval", builtin_eval }, { ".", builtin_dot }, { "umask", builtin_umask }, { "break", builtin_flow },
		{ "continue", builtin_flow }, { "return", builtin_return }, { "times", builtin_times },
		{ "test", builtin_test }, { "[", builtin_test }, { "jobs", builtin_jobs }, { "fg", builtin_fg },
		{ "bg", builtin_bg }, { "wait", builtin_wait }, { "kill", builtin_kill },
	};

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (strcmp(table[i].name, name) == 0)
			return table[i].fn;
	}
	return NULL;
}
