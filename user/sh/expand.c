/* expand.c - from words as written to arguments; variables; patterns.
 *
 * Idea.       A word becomes a row of characters, each with a mark that says where it came from:
 *                 LITERAL   written plainly                     may be a pattern, is not split
 *                 SPLIT     from an unquoted $expansion         may be a pattern, is split at IFS
 *                 QUOTED    within quotes or after a backslash  neither
 *                 EMPTY     stands for '' or "": keeps an empty argument alive, then vanishes
 *                 BREAK     between the arguments of "$@"
 *             The row is then split into fields and each field matched against file names.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "user/sh/sh.h"

enum mark_kind { LITERAL, SPLIT, QUOTED, EMPTY, BREAK };

struct row {
	char *chars, *marks;
	size_t n, size;
};

struct list {
	char **items;
	int n, size;
};

static void expand_text(struct row *r, const char *s, size_t n, bool quoted);

/* ---- variables: a plain list, as a script has few */

struct var {
	struct var *next;
	char *name, *value;
	bool exported;
};

static struct var *vars;

static struct var *
var_find(const char *name, size_t n)
{
	struct var *v = vars;

	while (v && (strncmp(v->name, name, n) != 0 || v->name[n]))
		v = v->next;
	return v;
}

static struct var *
var_make(const char *name)
{
	struct var *v = var_find(name, strlen(name));

	if (v)
		return v;
	v = calloc(1, sizeof *v);
	if (!v || !(v->name = strdup(name)))
		fail(2, "out of memory");
	v->next = vars;
	vars = v;
	return v;
}

const char *
var_get(const char *name)
{
	struct var *v = var_find(name, strlen(name));

	return v ? v->value : NULL;
}

void
var_set(const char *name, const char *value)
{
	struct var *v = var_make(name);

	free(v->value);
	v->value = strdup(value);
}

void
var_export(const char *name)
{
	var_make(name)->exported = true;
}

void
var_unset(const char *name)
{
	for (struct var **p = &vars; *p; p = &(*p)->next) {
		if (strcmp((*p)->name, name) == 0) {
			struct var *v = *p;

			*p = v->next;
			free(v->name);
			free(v->value);
			free(v);
			return;
		}
	}
}

void
var_init(char **env)
{
	for (; *env; env++) {
		char *eq = strchr(*env, '=');
		char *name = eq ? strndup(*env, eq - *env) : NULL;

		if (name && name_valid(name, eq - *env)) {
			var_set(name, eq + 1);
			var_export(name);
		}
		free(name);
	}
}

/* The exported variables as execve wants them. */
char **
var_environment(void)
{
	int n = 0;
	char **env;

	for (struct var *v = vars; v; v = v->next)
		n++;
	env = mem_alloc((n + 1) * sizeof *env);
	n = 0;
	for (struct var *v = vars; v; v = v->next) {
		if (v->exported && v->value) {
			env[n] = mem_alloc(strlen(v->name) + strlen(v->value) + 2);
			sprintf(env[n++], "%s=%s", v->name, v->value);
		}
	}
	env[n] = NULL;
	return env;
}

void
var_print(bool exported_only)
{
	for (struct var *v = vars; v; v = v->next) {
		if (v->value && (v->exported || !exported_only))
			printf("%s%s='%s'\n", exported_only ? "export " : "", v->name, v->value);
	}
}

/* ---- rows */

static void
row_put(struct row *r, char c, enum mark_kind mark)
{
	if (r->n == r->size) {
		size_t size = r->size ? r->size * 2 : 64;
		char *chars = mem_alloc(size), *marks = mem_alloc(size);

		memcpy(chars, r->chars, r->n);
		memcpy(marks, r->marks, r->n);
		r->chars = chars;
		r->marks = marks;
		r->size = size;
	}
	r->chars[r->n] = c;
	r->marks[r->n++] = mark;
}

static void
row_puts(struct row *r, const char *s, bool quoted)
{
	for (; s && *s; s++)
		row_put(r, *s, quoted ? QUOTED : SPLIT);
}

/* The characters from..to as a string; with `escape`, quoted ones get a backslash for pattern_match. */
static char *
row_string(struct row *r, size_t from, size_t to, bool escape)
{
	char *s = mem_alloc(2 * (to - from) + 1), *d = s;

	for (; from < to; from++) {
		if (r->marks[from] == EMPTY)
			continue;
		if (r->marks[from] == BREAK) {
			*d++ = ' ';
			continue;
		}
		if (escape && r->marks[from] == QUOTED && !isalnum(r->chars[from]))
			*d++ = '\\';
		*d++ = r->chars[from];
	}
	*d = 0;
	return s;
}

/* ---- arithmetic, $((...)): precedence climbing */

static long arith(const char **p, int level);

static long
arith_primary(const char **p)
{
	long v;
	char *end;

	*p += strspn(*p, " \t\n");
	switch (**p) {
	case '(':
		++*p;
		v = arith(p, 0);
		*p += strspn(*p, " \t\n");
		if (**p == ')')
			++*p;
		return v;
	case '-': ++*p; return -arith_primary(p);
	case '+': ++*p; return arith_primary(p);
	case '!': ++*p; return !arith_primary(p);
	case '~': ++*p; return ~arith_primary(p);
	}
	if (isalpha(**p) || **p == '_') {
		size_t n = 0;
		struct var *var;

		while (isalnum((*p)[n]) || (*p)[n] == '_')
			n++;
		var = var_find(*p, n);
		*p += n;
		return var && var->value ? strtol(var->value, NULL, 0) : 0;
	}
	v = strtol(*p, &end, 0);
	if (end == *p)
		fail(2, "arithmetic: bad expression at `%s'", *p);
	*p = end;
	return v;
}

static long
arith_apply(const char *op, long a, long b)
{
	if ((*op == '/' || *op == '%') && b == 0)
		fail(2, "arithmetic: division by zero");
	if ((*op == '/' || *op == '%') && b == -1)
		return *op == '/' ? (long)(0 - (unsigned long)a) : 0;
	switch (*op) {
	case '*': return (unsigned long)a * b;
	case '/': return a / b;
	case '%': return a % b;
	case '+': return (unsigned long)a + b;
	case '-': return (unsigned long)a - b;
	case '<': return op[1] == '<' ? (long)((unsigned long)a << (b & 63)) : op[1] == '=' ? a <= b : a < b;
	case '>': return op[1] == '>' ? a >> (b & 63) : op[1] == '=' ? a >= b : a > b;
	case '=': return a == b;
	case '!': return a != b;
	case '&': return op[1] == '&' ? a && b : (a & b);
	case '|': return op[1] == '|' ? a || b : (a | b);
	default: return a ^ b;
	}
}

/* Parse operators that bind at least as tightly as `level`. */
static long
arith(const char **p, int level)
{
	static const struct { const char *op; int level; } ops[] = {
		{ "||", 1 }, { "&&", 2 }, { "==", 6 }, { "!=", 6 }, { "<<", 8 }, { ">>", 8 }, { "<=", 7 },
		{ ">=", 7 }, { "<", 7 }, { ">", 7 }, { "|", 3 }, { "^", 4 }, { "&", 5 }, { "+", 9 }, { "-", 9 },
		{ "*", 10 }, { "/", 10 }, { "%", 10 },
	};
	const int count = sizeof ops / sizeof *ops;
	long v = arith_primary(p);

	for (;;) {
		int i = 0;

		*p += strspn(*p, " \t\n");
		while (i < count && strncmp(*p, ops[i].op, strlen(ops[i].op)) != 0)
			i++;
		if (i == count || ops[i].level <= level)
			return v;
		*p += strlen(ops[i].op);
		v = arith_apply(ops[i].op, v, arith(p, ops[i].level));
	}
}

/* ---- $ expansions */

static const char *
decimal(long n)
{
	char buf[24];

	return mem_string(buf, snprintf(buf, sizeof buf, "%ld", n));
}

/* The value of a one-character parameter or a positional one; NULL if unset or not such a name. */
static const char *
special_get(const char *name)
{
	int i;

	if (isdigit(*name)) {
		i = atoi(name);
		return i == 0 ? arg_zero : i <= arg_count ? args[i - 1] : NULL;
	}
	switch (*name) {
	case '?': return decimal(last_status);
	case '$': return decimal(getpid());
	case '#': return decimal(arg_count);
	case '!': return last_background ? decimal(last_background) : NULL;
	case '-': return option_e ? "e" : "";
	default: return NULL;
	}
}

static void
expand_all_args(struct row *r, char which, bool quoted)
{
	if (arg_count == 0 && quoted && which == '@' && r->n > 0 && r->marks[r->n - 1] == EMPTY)
		r->n--;                                 /* "$@" without arguments is no argument at all */
	for (int i = 0; i < arg_count; i++) {
		if (i > 0)
			row_put(r, ' ', which == '@' && quoted ? BREAK : quoted ? QUOTED : BREAK);
		if (quoted && !*args[i])
			row_put(r, 0, EMPTY);
		row_puts(r, args[i], quoted);
	}
}

/* Cut what `pattern` matches off the value: op is # ## % or %%. */
static const char *
value_trim(const char *value, const char *op, const char *pattern)
{
	size_t n = strlen(value);
	bool longest = op[1] == op[0];

	for (size_t i = 0; i <= n; i++) {
		size_t k = (*op == '#') == longest ? n - i : i;         /* where to cut */
		char *piece = *op == '#' ? mem_string(value, k) : mem_string(value + k, n - k);

		if (pattern_match(pattern, piece))
			return *op == '#' ? value + k : mem_string(value, k);
	}
	return value;
}

/* The word of ${name-word}: like the value that it replaces, it is split where it is not quoted. */
static void
expand_substitute(struct row *r, const char *word, bool quoted)
{
	size_t i = r->n;

	expand_text(r, word, strlen(word), quoted);
	for (; i < r->n; i++) {
		if (r->marks[i] == LITERAL)
			r->marks[i] = SPLIT;
	}
}

/* ${name-word} and its like. `op` is what follows the name, `word` what follows the operator. */
static void
expand_operator(struct row *r, const char *name, const char *value, const char *op, bool quoted)
{
	bool colon = *op == ':';
	const char *word = op + colon + 1;
	bool unset = !value || (colon && !*value);

	switch (op[colon]) {
	case '-':
		if (unset)
			expand_substitute(r, word, quoted);
		else
			row_puts(r, value, quoted);
		return;
	case '=':
		if (unset) {
			value = expand_string(word);
			var_set(name, value);
		}
		row_puts(r, value, quoted);
		return;
	case '+':
		if (!unset)
			expand_substitute(r, word, quoted);
		return;
	case '?':
		if (unset)
			fail(1, "%s: %s", name, *word ? expand_string(word) : "parameter not set");
		row_puts(r, value, quoted);
		return;
	case '#': case '%':
		word += op[0] == op[1];
		row_puts(r, value ? value_trim(value, op, expand_pattern(word)) : NULL, quoted);
		return;
	default:
		fail(2, "bad substitution: ${%s%s}", name, op);
	}
}

/* The inside of ${...}. */
static void
expand_braces(struct row *r, const char *s, size_t n, bool quoted)
{
	char *text = mem_string(s, n), *name;
	bool length = *text == '#' && text[1];
	const char *value;
	size_t k = 0;

	text += length;
	if (isdigit(*text))
		k = strspn(text, "0123456789");
	else if (strchr("?$#!-@*", *text))
		k = 1;
	else
		while (isalnum(text[k]) || text[k] == '_')
			k++;
	name = mem_string(text, k);
	if (k == 0)
		fail(2, "bad substitution: ${%s}", text);
	if (*name == '@' || *name == '*') {
		expand_all_args(r, *name, quoted);
		return;
	}
	value = isalpha(*name) || *name == '_' ? var_get(name) : special_get(name);
	if (length)
		row_puts(r, decimal(value ? strlen(value) : 0), quoted);
	else if (text[k])
		expand_operator(r, name, value, text + k, quoted);
	else
		row_puts(r, value, quoted);
}

/* How long is the bracketed piece at s, brackets included, up to n? Quotes inside are stepped over. */
static size_t
bracket_length(const char *s, size_t n, char open, char close)
{
	int depth = 0;
	size_t i = 0;

	do {
		if (s[i] == '\\') {
			i++;
		} else if (s[i] == '\'' || s[i] == '"') {
			char quote = s[i++];

			while (i < n && s[i] != quote)
				i += 1 + (s[i] == '\\' && quote == '"');
		} else {
			depth += (s[i] == open) - (s[i] == close);
		}
		i++;
	} while (depth > 0 && i < n);
	return i;
}

/* The expansion at s, which is a `$`. Returns: how many characters of s it took. */
static size_t
expand_dollar(struct row *r, const char *s, size_t n, bool quoted)
{
	size_t k = 1;
	const char *value;

	if (n > 2 && s[1] == '(' && s[2] == '(') {
		k = bracket_length(s + 1, n - 1, '(', ')');
		value = expand_here(mem_string(s + 3, k > 4 ? k - 4 : 0));
		row_puts(r, decimal(arith(&value, 0)), quoted);
		return k + 1;
	}
	if (n > 1 && s[1] == '(') {
		k = bracket_length(s + 1, n - 1, '(', ')');
		row_puts(r, capture(mem_string(s + 2, k - 2)), quoted);
		return k + 1;
	}
	if (n > 1 && s[1] == '{') {
		k = bracket_length(s + 1, n - 1, '{', '}');
		expand_braces(r, s + 2, k - 2, quoted);
		return k + 1;
	}
	if (n > 1 && (s[1] == '@' || s[1] == '*')) {
		expand_all_args(r, s[1], quoted);
		return 2;
	}
	if (n > 1 && (strchr("?$#!-", s[1]) || isdigit(s[1]))) {
		row_puts(r, special_get(mem_string(s + 1, 1)), quoted);
		return 2;
	}
	while (k < n && (isalnum(s[k]) || s[k] == '_'))
		k++;
	if (k == 1)
		row_put(r, '$', quoted ? QUOTED : LITERAL);
	else
		row_puts(r, var_get(mem_string(s + 1, k - 1)), quoted);
	return k;
}

/* `command`: \ before ` \ $ is taken away first. */
static size_t
expand_backquote(struct row *r, const char *s, size_t n, bool quoted)
{
	char *text = mem_alloc(n), *d = text;
	size_t i = 1;

	for (; i < n && s[i] != '`'; i++) {
		if (s[i] == '\\' && i + 1 < n && strchr("`\\$", s[i + 1]))
			i++;
		*d++ = s[i];
	}
	*d = 0;
	row_puts(r, capture(text), quoted);
	return i + 1;
}

static size_t
expand_single_quotes(struct row *r, const char *s, size_t n)
{
	size_t i = 1;

	row_put(r, 0, EMPTY);
	for (; i < n && s[i] != '\''; i++)
		row_put(r, s[i], QUOTED);
	return i + 1;
}

/* From the character after the opening quote to the closing one. */
static size_t
expand_double_quotes(struct row *r, const char *s, size_t n)
{
	size_t i = 1;

	row_put(r, 0, EMPTY);
	while (i < n && s[i] != '"') {
		if (s[i] == '$') {
			i += expand_dollar(r, s + i, n - i, true);
		} else if (s[i] == '`') {
			i += expand_backquote(r, s + i, n - i, true);
		} else if (s[i] == '\\' && i + 1 < n && strchr("$`\"\\\n", s[i + 1])) {
			if (s[i + 1] != '\n')
				row_put(r, s[i + 1], QUOTED);
			i += 2;
		} else {
			row_put(r, s[i++], QUOTED);
		}
	}
	return i + 1;
}

static void
expand_text(struct row *r, const char *s, size_t n, bool quoted)
{
	size_t i = 0;

	if (n > 0 && *s == '~' && !quoted && (n == 1 || s[1] == '/') && var_get("HOME")) {
		for (const char *h = var_get("HOME"); *h; h++)
			row_put(r, *h, QUOTED);
		i = 1;
	}
	while (i < n) {
		if (s[i] == '$') {
			i += expand_dollar(r, s + i, n - i, quoted);
		} else if (s[i] == '`') {
			i += expand_backquote(r, s + i, n - i, quoted);
		} else if (s[i] == '\'' && !quoted) {
			i += expand_single_quotes(r, s + i, n - i);
		} else if (s[i] == '"') {
			i += expand_double_quotes(r, s + i, n - i);
		} else if (s[i] == '\\' && i + 1 < n) {
			if (s[i + 1] != '\n')
				row_put(r, s[i + 1], QUOTED);
			i += 2;
		} else {
			row_put(r, s[i++], quoted ? QUOTED : LITERAL);
		}
	}
}

char *
expand_string(const char *text)
{
	struct row r = { 0 };

	expand_text(&r, text, strlen(text), false);
	return row_string(&r, 0, r.n, false);
}

char *
expand_pattern(const char *text)
{
	struct row r = { 0 };

	expand_text(&r, text, strlen(text), false);
	return row_string(&r, 0, r.n, true);
}

/* In a here-document quotes are ordinary characters; only $, ` and \ before them count. */
char *
expand_here(const char *text)
{
	struct row r = { 0 };
	size_t n = strlen(text), i = 0;

	while (i < n) {
		if (text[i] == '$') {
			i += expand_dollar(&r, text + i, n - i, true);
		} else if (text[i] == '`') {
			i += expand_backquote(&r, text + i, n - i, true);
		} else if (text[i] == '\\' && i + 1 < n && strchr("$`\\\n", text[i + 1])) {
			if (text[i + 1] != '\n')
				row_put(&r, text[i + 1], QUOTED);
			i += 2;
		} else {
			row_put(&r, text[i++], QUOTED);
		}
	}
	return row_string(&r, 0, r.n, false);
}

/* ---- patterns and file names */

/* Does c match the bracket expression at p ("[...]")? *end is set behind it, NULL if it has no end. */
static bool
bracket_match(const char *p, char c, const char **end)
{
	bool negate = p[1] == '!' || p[1] == '^', found = false;
	const char *q = p + 1 + negate;

	do {
		unsigned char low, high;

		if (*q == '\\' && q[1])
			q++;
		if (!*q) {
			*end = NULL;
			return false;
		}
		low = high = *q++;
		if (*q == '-' && q[1] && q[1] != ']') {
			high = q[1];
			q += 2;
		}
		if ((unsigned char)c >= low && (unsigned char)c <= high)
			found = true;
	} while (*q != ']');
	*end = q + 1;
	return found != negate;
}

bool
pattern_match(const char *p, const char *s)
{
	const char *end;

	for (; *p; s++) {
		switch (*p) {
		case '*':
			while (*p == '*')
				p++;
			do {
				if (pattern_match(p, s))
					return true;
			} while (*s++);
			return false;
		case '?':
			if (!*s)
				return false;
			p++;
			continue;
		case '[':
			if (*s && bracket_match(p, *s, &end)) {
				p = end;
				continue;
			}
			if (!*s || end)
				return false;
			break;
		case '\\':
			p += p[1] != 0;
		}
		if (*p++ != *s)
			return false;
	}
	return !*s;
}

static void
list_add(struct list *l, char *s)
{
	if (l->n == l->size) {
		int size = l->size ? l->size * 2 : 16;
		char **items = mem_alloc((size + 1) * sizeof *items);

		memcpy(items, l->items, l->n * sizeof *items);
		l->items = items;
		l->size = size;
	}
	l->items[l->n++] = s;
	l->items[l->n] = NULL;
}

static char *
unescape(const char *s, size_t n)
{
	char *t = mem_string(s, n), *d = t;

	for (char *p = t; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		*d++ = *p;
	}
	*d = 0;
	return t;
}

/* Add all files that `pattern` names, below the directory `dir` ("" or ending in '/'). */
static void
glob(struct list *out, const char *dir, const char *pattern)
{
	size_t n = strcspn(pattern, "/");
	char *name = mem_string(pattern, n), *path;
	const char *rest = pattern + n + strspn(pattern + n, "/");
	char *slash = mem_string(pattern + n, rest - pattern - n);
	struct dirent *e;
	DIR *d;

	if (!strpbrk(name, "*?[")) {
		path = mem_alloc(strlen(dir) + strlen(pattern) + 1);
		sprintf(path, "%s%s%s", dir, unescape(name, n), slash);
		if (*rest)
			glob(out, path, rest);
		else if (access(path, F_OK) == 0)
			list_add(out, path);
		return;
	}
	d = opendir(*dir ? dir : ".");
	while (d && (e = readdir(d)) != NULL) {
		if ((e->d_name[0] == '.' && *name != '.') || !pattern_match(name, e->d_name))
			continue;
		path = mem_alloc(strlen(dir) + strlen(e->d_name) + strlen(slash) + 1);
		sprintf(path, "%s%s%s", dir, e->d_name, slash);
		if (*rest)
			glob(out, path, rest);
		else
			list_add(out, path);
	}
	if (d)
		closedir(d);
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A finished field: replace it by the files it names, if it is a pattern and there are any. */
static void
field_add(struct list *out, struct row *r, size_t from, size_t to)
{
	int before = out->n;

	for (size_t i = from; i < to; i++) {
		if (r->marks[i] <= SPLIT && strchr("*?[", r->chars[i])) {
			glob(out, "", row_string(r, from, to, true));
			break;
		}
	}
	if (out->n > before)
		qsort(out->items + before, out->n - before, sizeof *out->items, compare_strings);
	else
		list_add(out, row_string(r, from, to, false));
}

static void
row_split(struct list *out, struct row *r)
{
	const char *ifs = var_get("IFS") ? var_get("IFS") : " \t\n";
	size_t from = 0, i = 0;

	for (; i < r->n; i++) {
		bool is_break = r->marks[i] == BREAK;
		bool splits = r->marks[i] == SPLIT && strchr(ifs, r->chars[i]);

		if (!is_break && !splits)
			continue;
		if (i > from || (splits && !isspace(r->chars[i])))
			field_add(out, r, from, i);
		from = i + 1;
	}
	if (i > from)
		field_add(out, r, from, i);
}

char **
expand_words(struct word *w, int *count)
{
	struct list out = { mem_alloc(sizeof(char *)), 0, 0 };

	out.items[0] = NULL;
	for (; w; w = w->next) {
		struct row r = { 0 };

		expand_text(&r, w->text, strlen(w->text), false);
		row_split(&out, &r);
	}
	*count = out.n;
	return out.items;
}
