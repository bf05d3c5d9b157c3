/* expand.c - from words as written to arguments; patterns and file names.
 *
 * Idea.       The characters of a word go one by one into a field, which becomes an argument. Each comes
 *                 LITERAL    written plainly: may be part of a pattern
 *                 SPLIT      from an unquoted $expansion: may be, too; a blank ends the field
 *                 QUOTED     from within quotes or after a \: is just itself
 *             The field is kept as a pattern, with a \ before each character that is just itself; if it has a
 *             * ? or [ besides, it is replaced by the names of the files that it matches.
 */
#include "user/sh/sh.h"

enum origin { LITERAL, SPLIT, QUOTED, HERE };   /* HERE: in a here-document, where " is ordinary */

struct field {
	struct text text;
	bool quoted;            /* there were quotes: it is an argument even if it is empty */
	struct list *out;       /* where finished fields go; NULL: all is one field */
};

static void expand_text(struct field *f, const char *s, const char *end, enum origin from);
static void glob(struct list *out, const char *dir, const char *pattern);

/* ---- fields ---- */

static char *
unescape(const char *s, size_t n)
{
	char *t = mem_string(s, n), *d = t;

	for (const char *p = t; *p; p++) {
		p += *p == '\\' && p[1];
		*d++ = *p;
	}
	*d = 0;
	return t;
}

/* Is there a * ? or [ in s[0...n) that is not just itself? */
static bool
has_pattern(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strchr("*?[", s[i]))
			return true;
		i += s[i] == '\\';
	}
	return false;
}

static int
compare_strings(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The field is complete: make it an argument, or as many as there are files that it matches. */
static void
field_end(struct field *f, bool even_empty)
{
	int before = f->out->n;

	if (f->text.n > 0 || f->quoted || even_empty) {
		if (has_pattern(f->text.s, f->text.n))
			glob(f->out, "", f->text.s);
		if (f->out->n == before)
			list_add(f->out, unescape(f->text.s, f->text.n));
		qsort(f->out->items + before, f->out->n - before, sizeof(char *), compare_strings);
	}
	f->text = (struct text){ "", 0, 0 };
	f->quoted = false;
}

static void
put(struct field *f, char c, enum origin from)
{
	if (from == SPLIT && f->out && strchr(var_get("IFS") ? var_get("IFS") : " \t\n", c)) {
		field_end(f, !isspace((unsigned char)c));
		return;
	}
	if (from >= QUOTED || c == '\\')
		text_put(&f->text, '\\');
	text_put(&f->text, c);
}

/* What an expansion yields: split unless it is quoted. */
static void
put_value(struct field *f, const char *s, enum origin from)
{
	while (s && *s)
		put(f, *s++, from == LITERAL ? SPLIT : from);
}

/* $@ and $*: within quotes $@ remains as many arguments as there are. */
static void
put_args(struct field *f, char which, enum origin from)
{
	if (args.count == 0)
		f->quoted = false;
	for (int i = 0; i < args.count; i++) {
		if (i > 0 && f->out && (which == '@' || from < QUOTED))
			field_end(f, from >= QUOTED);
		else if (i > 0)
			put(f, ' ', from);
		f->quoted |= from >= QUOTED;
		put_value(f, args.list[i], from);
	}
}

/* ---- $ ---- */

/* Cut off what the pattern matches: op is # ## % or %%. */
static const char *
value_trim(const char *value, const char *op)
{
	bool longest = op[1] == op[0];
	char *pattern = expand_pattern(op + 1 + longest);
	size_t n = strlen(value);

	for (size_t i = 0; i <= n; i++) {
		size_t k = (*op == '#') == longest ? n - i : i;         /* where to cut */

		if (pattern_match(pattern, *op == '#' ? mem_string(value, k) : value + k))
			return *op == '#' ? value + k : mem_string(value, k);
	}
	return value;
}

/* How long is the variable's or parameter's name at s? Only in braces is $10 more than $1 and a 0. */
static size_t
param_length(const char *s, bool braces)
{
	size_t n = name_length(s);

	if (n == 0 && isdigit((unsigned char)*s) && braces)
		return strspn(s, "0123456789");
	return n > 0 ? n : *s && strchr("0123456789?$#!-@*", *s) ? 1 : 0;
}

/* What is in ${...}: name, #name, or a name, an operator and a word. */
static void
expand_braces(struct field *f, const char *s, enum origin from)
{
	bool length = *s == '#' && s[1], colon, set;
	size_t n = param_length(s + length, true);
	char *name = mem_string(s + length, n);
	const char *op = s + length + n, *word, *value = var_get(name);

	colon = *op == ':';
	op += colon;
	word = op + (*op != 0);
	set = value && (*value || !colon);
	if (n == 0 || (*op && !strchr("-+=?#%", *op)))
		fail(2, "bad substitution: ${%s}", s);
	if (*op == '=' && !set)
		var_set(name, expand_string(word));
	if (*op == '?' && !set)
		fail(1, "%s: %s", name, *word ? expand_string(word) : "parameter not set");
	if (length)
		put_value(f, decimal(value ? strlen(value) : 0), from);
	else if (*name == '@' || *name == '*')
		put_args(f, *name, from);
	else if ((*op == '-' && !set) || (*op == '+' && set))
		expand_text(f, word, word + strlen(word), from == LITERAL ? SPLIT : from);
	else if (*op == '#' || *op == '%')
		put_value(f, value ? value_trim(value, op) : NULL, from);
	else if (*op != '+')
		put_value(f, var_get(name), from);
}

/* The expansion at s, which is a $. Returns: what comes behind it. */
static const char *
expand_dollar(struct field *f, const char *s, enum origin from)
{
	const char *end = skip(s);
	size_t n = param_length(s + 1, false);

	if (s[1] == '(' && s[2] == '(' && end[-2] == ')') {
		put_value(f, decimal(arith(expand_here(mem_string(s + 3, end - s - 5)))), from);
	} else if (s[1] == '(') {
		put_value(f, capture(mem_string(s + 2, end - s - 3)), from);
	} else if (s[1] == '{') {
		expand_braces(f, mem_string(s + 2, end - s - 3), from);
	} else if (s[1] == '@' || s[1] == '*') {
		put_args(f, s[1], from);
		end = s + 2;
	} else if (n > 0) {
		put_value(f, var_get(mem_string(s + 1, n)), from);
		end = s + 1 + n;
	} else {
		put(f, '$', from);
	}
	return end;
}

/* `command`, from s to end: the old form of $(command); a \ before ` \ and $ is no part of the command. */
static char *
backquoted(const char *s, const char *end)
{
	struct text t = { "", 0, 0 };

	for (s++; s < end - 1; s++) {
		s += *s == '\\' && strchr("`\\$", s[1]);
		text_put(&t, *s);
	}
	return capture(t.s);
}

/* Expand the text from s to end into the field. */
static void
expand_text(struct field *f, const char *s, const char *end, enum origin from)
{
	if (*s == '~' && from == LITERAL && (s[1] == '/' || s + 1 == end) && f->text.n == 0) {
		put_value(f, var_get("HOME"), QUOTED);
		s++;
	}
	while (s < end) {
		const char *start = s;

		if (*s == '$') {
			s = expand_dollar(f, s, from);
		} else if (*s == '`') {
			s = skip(s);
			put_value(f, backquoted(start, s), from);
		} else if ((*s == '"' && from != HERE) || (*s == '\'' && from < QUOTED)) {
			s = skip(s);
			f->quoted = true;
			if (*start == '"')
				expand_text(f, start + 1, s - 1, QUOTED);
			else
				while (++start < s - 1)
					put(f, *start, QUOTED);
		} else if (*s == '\\' && (from < QUOTED || strchr(from == HERE ? "$`\\\n" : "$`\"\\\n", s[1]))) {
			if (s[1] != '\n')
				put(f, s[1] ? s[1] : '\\', QUOTED);
			s += s[1] ? 2 : 1;
		} else {
			put(f, *s++, from);
		}
	}
}

/* ---- what others call ---- */

char **
expand_words(struct word *w, int *count)
{
	struct list out = { mem_alloc(sizeof(char *)), 0, 0 };

	for (; w; w = w->next) {
		struct field f = { { "", 0, 0 }, false, &out };

		expand_text(&f, w->text, w->text + strlen(w->text), LITERAL);
		field_end(&f, false);
	}
	*count = out.n;
	return out.items;
}

char *
expand_pattern(const char *text)
{
	struct field f = { { "", 0, 0 }, false, NULL };

	expand_text(&f, text, text + strlen(text), LITERAL);
	return f.text.s;
}

char *
expand_string(const char *text)
{
	char *pattern = expand_pattern(text);

	return unescape(pattern, strlen(pattern));
}

char *
expand_here(const char *text)
{
	struct field f = { { "", 0, 0 }, false, NULL };

	expand_text(&f, text, text + strlen(text), HERE);
	return unescape(f.text.s, f.text.n);
}

/* ---- patterns and file names ---- */

/* Does c match the first element of the pattern? Returns: what follows the element; NULL if not. */
static const char *
element_match(const char *p, unsigned char c)
{
	bool negate = p[1] == '!' || p[1] == '^', found = false;
	const char *q = p + 1 + negate;

	if (*p == '?')
		return p + 1;
	if (*p == '[') {
		for (bool first = true; *q && (first || *q != ']'); first = false) {
			unsigned char low, high;

			q += *q == '\\' && q[1];
			low = high = *q++;
			if (*q == '-' && q[1] && q[1] != ']') {
				high = q[1];
				q += 2;
			}
			found |= low <= c && c <= high;
		}
		if (*q)                         /* else a [ that is never closed is just itself */
			return found != negate ? q + 1 : NULL;
	}
	p += *p == '\\' && p[1];
	return *p && (unsigned char)*p == c ? p + 1 : NULL;
}

/* Does the pattern match all of s? To let the last * take more is enough: an earlier one could not help. */
bool
pattern_match(const char *p, const char *s)
{
	const char *star = NULL, *taken = s, *next;

	while (*s) {
		if (*p == '*') {
			star = ++p;
			taken = s;
		} else if ((next = element_match(p, *s)) != NULL) {
			p = next;
			s++;
		} else if (star) {
			p = star;
			s = ++taken;
		} else {
			return false;
		}
	}
	return !p[strspn(p, "*")];
}

/* Add all files that the pattern names, in the directory `dir`, which is "" or ends in '/'. */
static void
glob(struct list *out, const char *dir, const char *pattern)
{
	size_t n = strcspn(pattern, "/"), slashes = strspn(pattern + n, "/");
	const char *rest = pattern + n + slashes;
	char *name = mem_string(pattern, n), *slash = mem_string(pattern + n, slashes), *path;
	bool plain = !has_pattern(name, n);
	DIR *d = plain ? NULL : opendir(*dir ? dir : ".");
	struct dirent *e;

	while (plain || (d && (e = readdir(d)) != NULL)) {
		if (!plain && ((*e->d_name == '.' && *name != '.') || !pattern_match(name, e->d_name)))
			continue;
		path = join(dir, plain ? unescape(name, n) : e->d_name, slash);
		if (*rest)
			glob(out, path, rest);
		else if (!plain || access(path, F_OK) == 0)
			list_add(out, path);
		if (plain)
			break;
	}
	if (d)
		closedir(d);
}
