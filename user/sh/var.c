/* var.c - variables, and arithmetic on them. A plain list, as a script has few. */
#include "user/sh/sh.h"

struct var {
	struct var *next;
	char *name, *value;             /* value: NULL when unset */
	bool exported;
};

static struct var *vars;
static pid_t shell_pid;                 /* $$, in its children too */

static struct var *
var_find(const char *name, bool make)
{
	struct var *v = vars;

	while (v && strcmp(v->name, name) != 0)
		v = v->next;
	if (v || !make)
		return v;
	v = calloc(1, sizeof *v);
	if (!v || !(v->name = strdup(name)))
		fail(2, "out of memory");
	v->next = vars;
	return vars = v;
}

char *
decimal(long n)
{
	char buf[24];

	return mem_string(buf, snprintf(buf, sizeof buf, "%ld", n));
}

const char *
var_get(const char *name)
{
	int i = atoi(name);
	struct var *v;

	switch (name[0] && name[1] ? 0 : *name) {
	case '?': return decimal(last_status);
	case '$': return decimal(shell_pid);
	case '#': return decimal(args.count);
	case '!': return last_background ? decimal(last_background) : NULL;
	case '-': return option_e ? "e" : "";
	case '0': return arg_zero;
	}
	if (name[strspn(name, "0123456789")] == 0)
		return i > 0 && i <= args.count ? args.list[i - 1] : NULL;
	v = var_find(name, false);
	return v ? v->value : NULL;
}

/* NULL unsets it. */
void
var_set(const char *name, const char *value)
{
	struct var *v = var_find(name, value != NULL);
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		fail(2, "out of memory");
	if (v) {
		free(v->value);
		v->value = copy;
		v->exported &= value != NULL;
	}
}

void
var_export(const char *name)
{
	var_find(name, true)->exported = true;
}

void
var_init(char **env)
{
	shell_pid = getpid();
	for (; *env; env++) {
		size_t n = name_length(*env);

		if (n > 0 && (*env)[n] == '=') {
			char *name = mem_string(*env, n);

			var_set(name, *env + n + 1);
			var_export(name);
		}
	}
}

/* The exported variables as execve wants them. */
char **
var_environment(void)
{
	struct list env = { mem_alloc(sizeof(char *)), 0, 0 };

	for (struct var *v = vars; v; v = v->next) {
		if (v->exported && v->value)
			list_add(&env, join(v->name, "=", v->value));
	}
	return env.items;
}

/* ---- arithmetic: $((...)), by precedence ---- */

static const char *at;                  /* what is not yet evaluated */

static long arith_binary(int level);

/* A number, a variable, or something in brackets or behind a unary operator. */
static long
arith_primary(void)
{
	char op = at[strspn(at, " \t\n")], *end;
	size_t n;
	long v;

	depth++;
	check_limits();
	at += strspn(at, " \t\n");
	n = name_length(at);
	if (n > 0) {
		const char *value = var_get(mem_string(at, n));

		v = value ? strtol(value, NULL, 0) : 0;
		at += n;
	} else if (op == '(') {
		at++;
		v = arith_binary(0);
		at += *at == ')';
	} else if (op == '!' || (op == '-' && !isdigit((unsigned char)at[1]))) {
		at++;
		v = arith_primary();
		v = op == '!' ? !v : (long)-(unsigned long)v;
	} else {
		v = strtol(at, &end, 0);
		if (end == at)
			fail(2, "arithmetic: bad expression at `%s'", at);
		at = end;
	}
	depth--;
	return v;
}

static long
arith_apply(const char *op, long a, long b)
{
	switch (*op) {
	case '*': return (unsigned long)a * b;          /* unsigned: what is too big wraps round */
	case '/': return b == -1 ? (long)-(unsigned long)a : a / b;
	case '%': return b == -1 ? 0 : a % b;
	case '+': return (unsigned long)a + b;
	case '-': return (unsigned long)a - b;
	case '<': return op[1] ? a <= b : a < b;
	case '>': return op[1] ? a >= b : a > b;
	case '=': return a == b;
	case '!': return a != b;
	case '&': return a && b;
	default: return a || b;
	}
}

/* Operands joined by operators that bind more tightly than `level`. */
static long
arith_binary(int level)
{
	static const struct { const char *op; int level; } ops[] = {
		{ "*", 6 }, { "/", 6 }, { "%", 6 }, { "+", 5 }, { "-", 5 }, { "<=", 4 }, { ">=", 4 }, { "<", 4 },
		{ ">", 4 }, { "==", 3 }, { "!=", 3 }, { "&&", 2 }, { "||", 1 }, { "", 0 }
	};
	long a = arith_primary(), b;

	for (int i = 0; ; i = 0) {
		at += strspn(at, " \t\n");
		while (strncmp(at, ops[i].op, strlen(ops[i].op)) != 0)
			i++;
		if (ops[i].level <= level)
			return a;
		at += strlen(ops[i].op);
		b = arith_binary(ops[i].level);
		if ((*ops[i].op == '/' || *ops[i].op == '%') && b == 0)
			fail(2, "arithmetic: division by zero");
		a = arith_apply(ops[i].op, a, b);
	}
}

long
arith(const char *expression)
{
	long v;

	at = expression;
	v = arith_binary(0);
	if (*at)
		fail(2, "arithmetic: bad expression at `%s'", at);
	return v;
}
