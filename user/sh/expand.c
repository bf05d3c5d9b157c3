/* expand.c - variables; words as they were written become arguments.
 *
 * Idea.       The characters of a word go one by one into a field, which becomes an argument. A blank from
 *             a $value that is not in quotes ends the field, so that one word may give several. If a field
 *             has a * ? or [ that was not quoted, the names of the files that match take its place.
 */
#include "user/sh/sh.h"

/* ---- variables: a plain list, as a script has few ---- */

static struct var {
	struct var *next;
	char *text;                     /* NAME=value, as the environment has it */
	bool exported;
} *vars;

size_t
name_length(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return isdigit((unsigned char)*s) ? 0 : n;
}

/* The variable whose name is s[0...n). */
static struct var *
var_find(const char *s, size_t n)
{
	struct var *v = vars;

	while (v && (strncmp(v->text, s, n) != 0 || v->text[n] != '='))
		v = v->next;
	return v;
}

const char *
var_get(const char *name)
{
	static char number[12];
	struct var *v = var_find(name, strlen(name));

	if (isdigit((unsigned char)*name))
		return atoi(name) < arg_count ? args[atoi(name)] : "";
	if (!strchr("?$#!", *name))
		return v ? v->text + strlen(name) + 1 : "";
	sprintf(number, "%d", *name == '?' ? last_status : *name == '$' ? shell_pid : *name == '#' ? arg_count - 1 :
		last_background);
	return number;
}

void
var_assign(const char *text, bool export)
{
	size_t n = name_length(text);
	struct var *v = var_find(text, n);
	char *copy;

	if (n == 0 || text[n] != '=')
		fail("not a variable's name: %s", text);
	if (strncmp(text, "IFS=", 4) == 0)
		unsupported("IFS");
	copy = strdup(text);
	if (!v && (v = calloc(1, sizeof *v)) != NULL) {
		v->next = vars;
		vars = v;
	}
	if (!v || !copy)
		fail("out of memory");
	free(v->text);
	v->text = copy;
	v->exported |= export;
}

char **
var_environment(void)
{
	struct buf env = buf_new();

	for (struct var *v = vars; v; v = v->next) {
		if (v->exported)
			buf_add(&env, &v->text, sizeof v->text);
	}
	return (char **)env.s;
}

/* ---- fields ---- */

struct field {
	struct buf text;
	struct buf pattern;             /* the same, but with a \ before what was quoted */
	bool is_pattern;                /* it has a * ? or [ that was not quoted */
	bool quoted;                    /* there were quotes: it is an argument even if it is empty */
	struct buf *out;                /* the list for finished fields; NULL: all is one field */
};

static struct field
field_new(struct buf *out)
{
	return (struct field){ .text = buf_new(), .pattern = buf_new(), .out = out };
}

/* The field is complete: make it an argument, or as many as there are files that it matches. */
static void
field_end(struct field *f)
{
	glob_t files = { 0, NULL };
	char *s;

	if (f->is_pattern && strcmp(f->text.s, "[") != 0)       /* that is a program */
		glob(f->pattern.s, 0, NULL, &files);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		s = mem_string(files.gl_pathv[i], strlen(files.gl_pathv[i]));
		buf_add(f->out, &s, sizeof s);
	}
	if (files.gl_pathc == 0 && (f->text.n > 0 || f->quoted))
		buf_add(f->out, &f->text.s, sizeof f->text.s);
	globfree(&files);
	*f = field_new(f->out);
}

static void
put(struct field *f, char c, bool quoted)
{
	if (quoted || c == '\\')
		buf_add(&f->pattern, "\\", 1);
	buf_add(&f->pattern, &c, 1);
	buf_add(&f->text, &c, 1);
	f->is_pattern |= !quoted && strchr("*?[", c);
}

/* What a $ yields: it is split at blanks, unless it was quoted. */
static void
put_value(struct field *f, const char *s, bool quoted)
{
	for (; *s; s++) {
		if (!quoted && f->out && isspace((unsigned char)*s))
			field_end(f);
		else
			put(f, *s, quoted);
	}
}

/* $@ and $*: within quotes, $@ remains as many arguments as there are. */
static void
put_args(struct field *f, bool keep, bool quoted)
{
	f->quoted &= !keep || arg_count > 1;
	for (int i = 1; i < arg_count; i++) {
		if (i > 1 && keep && f->out)
			field_end(f);
		else if (i > 1)
			put_value(f, " ", quoted);
		f->quoted |= quoted;
		put_value(f, args[i], quoted);
	}
}

/* ---- words ---- */

/* The expansion at s, which is a $. Returns: what comes behind it. */
static const char *
expand_dollar(struct field *f, const char *s, bool quoted)
{
	bool braces = s[1] == '{';
	const char *name = s + 1 + braces;
	size_t n = name_length(name);

	if (s[1] == '(' && s[2] == '(')
		unsupported("$((...))");
	if (s[1] == '(') {
		put_value(f, run_captured(mem_string(s + 2, skip(s) - s - 3)), quoted);
		return skip(s);
	}
	if (n == 0)
		n = *name && strchr("0123456789?$#!@*", *name) ? 1 : 0;
	if (braces && (n == 0 || name[n] != '}'))
		unsupported("%.*s}", (int)strcspn(s, "}"), s);
	if (n == 0)
		put(f, '$', quoted);
	else if (*name == '@' || *name == '*')
		put_args(f, *name == '@' && quoted, quoted);
	else
		put_value(f, var_get(mem_string(name, n)), quoted);
	return name + n + braces;
}

/* Expand the text from s to end into the field. quoted: it is between "". */
static void
expand_text(struct field *f, const char *s, const char *end, bool quoted)
{
	while (s < end) {
		const char *from = s;

		if (*s == '`') {
			unsupported("`...`");
		} else if (*s == '$') {
			s = expand_dollar(f, s, quoted);
		} else if (*s == '\\') {
			if (quoted && !strchr("$`\"\\\n", s[1]))
				put(f, '\\', true);     /* between "", it is a \ before anything else */
			if (s[1] != '\n')               /* there the line only went on */
				put(f, s[1], true);
			s += 2;
		} else if (!quoted && (*s == '"' || *s == '\'')) {
			s = skip(s);
			f->quoted = true;
			if (*from == '"')
				expand_text(f, from + 1, s - 1, true);
			else
				while (++from < s - 1)
					put(f, *from, true);
		} else {
			put(f, *s++, quoted);
		}
	}
}

static void
expand_word(struct field *f, const char *text)
{
	if (*text == '~' && (text[1] == '/' || !text[1])) {
		put_value(f, var_get("HOME"), true);
		text++;
	}
	expand_text(f, text, text + strlen(text), false);
}

char **
expand_words(struct word *w)
{
	struct buf out = buf_new();

	for (; w; w = w->next) {
		struct field f = field_new(&out);

		if (w->op)                      /* a redirection or assignment */
			continue;
		expand_word(&f, w->text);
		field_end(&f);
	}
	return (char **)out.s;
}

char *
expand_string(const char *text)
{
	struct field f = field_new(NULL);

	expand_word(&f, text);
	return f.text.s;
}
