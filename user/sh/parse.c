/* parse.c - from text to a tree.
 *
 * Idea.       A recursive descent over tokens, one token ahead:
 *                 list     = and_or { (';' | '&' | newline) and_or }
 *                 and_or   = pipeline { ('&&' | '||') pipeline }
 *                 pipeline = ['!'] command { '|' command }
 *                 command  = simple | '(' list ')' | '{' list '}' | if | while | until | for | case | name() command
 *             The source grows line by line, so a command may go on over any number of lines.
 * Invariants. I1 text[pos..len) is not yet tokenised.  I2 here-documents are read when their line ends.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "user/sh/sh.h"

struct source {
	int fd;                         /* -1: the text is all there is */
	bool prompts;
	bool ended;                     /* nothing more to read */
	char *text;
	size_t pos, len, size;
	size_t begin, token_begin, previous_end;        /* of the command, the token ahead, the one before */
	char *token;                    /* the one ahead; "" at the end of the text, "\n" for a newline */
	bool is_word;
	struct redir *pending[8];       /* here-documents whose bodies follow the line */
	int pending_count;
};

static struct node *parse_list(struct source *s);
static struct node *parse_command_word(struct source *s);

struct source *
source_string(const char *text)
{
	struct source *s = mem_alloc(sizeof *s);

	memset(s, 0, sizeof *s);
	s->fd = -1;
	s->ended = true;
	s->len = strlen(text);
	s->text = mem_string(text, s->len);
	return s;
}

struct source *
source_fd(int fd, bool prompts)
{
	struct source *s = mem_alloc(sizeof *s);

	memset(s, 0, sizeof *s);
	s->fd = fd;
	s->prompts = prompts;
	return s;
}

static void
source_append(struct source *s, char c)
{
	if (s->len == s->size) {
		s->size = s->size ? s->size * 2 : 256;
		s->text = realloc(s->text, s->size);
		if (!s->text)
			fail(2, "out of memory");
	}
	s->text[s->len++] = c;
}

/* Read one more line, byte by byte: what follows it may be meant for a program that we start.
 * Returns: false at the end of the input, or when ^C interrupted it. */
static bool
source_more(struct source *s)
{
	char c;
	ssize_t n;

	if (s->ended || (s->prompts && interrupted))
		return false;
	if (s->prompts)
		write(2, s->pos == s->begin ? "# " : "> ", 2);
	do {
		n = read(s->fd, &c, 1);
		if (n < 0 && errno == EINTR && !interrupted)
			continue;
		if (n <= 0) {
			s->ended = !interrupted;
			return false;
		}
		if (c != '\0')                  /* nothing means a NUL; a string could not hold it */
			source_append(s, c);
	} while (c != '\n');
	return true;
}

/* The character at pos + ahead, or -1 at the end. */
static int
look(struct source *s, size_t ahead)
{
	while (s->pos + ahead >= s->len) {
		if (!source_more(s))
			return -1;
	}
	return (unsigned char)s->text[s->pos + ahead];
}

static void skip_dollar(struct source *s);

/* Step over a quoted piece. Requires: pos is at its opening quote. */
static void
skip_quoted(struct source *s, char quote)
{
	int c;

	s->pos++;
	while ((c = look(s, 0)) != quote) {
		if (c < 0)
			fail(2, "syntax error: no closing %c", quote);
		if (c == '\\' && quote != '\'') {
			look(s, 1);
			s->pos++;
		}
		if (c == '$' && quote == '"')
			skip_dollar(s);
		else if (c == '`' && quote == '"')
			skip_quoted(s, '`');
		else
			s->pos++;
	}
	s->pos++;
}

/* Step over balanced brackets with everything quoted inside them. Requires: pos is at the opening one. */
static void
skip_brackets(struct source *s, char open, char close)
{
	int depth = 0, c;

	do {
		c = look(s, 0);
		if (c < 0)
			fail(2, "syntax error: no closing %c", close);
		if (c == '\'' || c == '"' || c == '`') {
			skip_quoted(s, c);
			continue;
		}
		if (c == '\\') {
			look(s, 1);
			s->pos++;
		}
		depth += (c == open) - (c == close);
		s->pos++;
	} while (depth > 0);
}

static void
skip_dollar(struct source *s)
{
	s->pos++;
	if (look(s, 0) == '(')
		skip_brackets(s, '(', ')');
	else if (look(s, 0) == '{')
		skip_brackets(s, '{', '}');
}

/* Take blanks, comments and continued lines away. */
static void
skip_blanks(struct source *s)
{
	for (;;) {
		int c = look(s, 0);

		if (c == '\\' && look(s, 1) == '\n') {
			s->pos += 2;
		} else if (c == '#') {
			while (look(s, 0) >= 0 && look(s, 0) != '\n')
				s->pos++;
		} else if (c >= 0 && isblank(c)) {
			s->pos++;
		} else {
			return;
		}
	}
}

static void
skip_word(struct source *s)
{
	int c;

	while ((c = look(s, 0)) >= 0 && !strchr(" \t\n;&|<>()", c)) {
		if (c == '\'' || c == '"' || c == '`') {
			skip_quoted(s, c);
		} else if (c == '$') {
			skip_dollar(s);
		} else {
			if (c == '\\' && look(s, 1) >= 0)
				s->pos++;
			s->pos++;
		}
	}
}

/* A line of a here-document, without its newline; NULL at the end of the input. */
static char *
here_line(struct source *s)
{
	size_t from = s->pos;

	if (look(s, 0) < 0)
		return NULL;
	while (look(s, 0) >= 0 && look(s, 0) != '\n')
		s->pos++;
	s->pos++;
	return mem_string(s->text + from, s->pos - 1 - from);
}

static void
read_here(struct source *s, struct redir *r)
{
	char *end, *line, *body = mem_string("", 0);
	size_t len = 0;

	r->quoted = strpbrk(r->text, "'\"\\") != NULL;
	end = expand_string(r->text);
	while ((line = here_line(s)) != NULL) {
		char *longer;

		if (r->op[2] == '-')
			line += strspn(line, "\t");
		if (strcmp(line, end) == 0)
			break;
		longer = mem_alloc(len + strlen(line) + 2);
		memcpy(longer, body, len);
		len += sprintf(longer + len, "%s\n", line);
		body = longer;
	}
	r->text = body;
}

/* The line is complete: read the bodies of its here-documents. */
static void
read_pending(struct source *s)
{
	int n = s->pending_count;

	s->pending_count = 0;
	for (int i = 0; i < n; i++)
		read_here(s, s->pending[i]);
}

/* Is the operator next? Looks no further than it must: the next line may not have been typed yet. */
static bool
operator_next(struct source *s, const char *op)
{
	size_t n = 0;

	while (op[n] && look(s, n) == op[n])
		n++;
	return !op[n];
}

/* Make the next token the one ahead. */
static void
advance(struct source *s)
{
	static const char *const operators[] = {
		"<<-", "&&", "||", ";;", "<<", ">>", "<&", ">&", "<>", ">|", "&", "|", ";", "<", ">", "(", ")", NULL
	};
	int c;

	s->previous_end = s->pos;
	skip_blanks(s);
	s->token_begin = s->pos;
	s->is_word = false;
	c = look(s, 0);
	if (c < 0) {
		s->token = "";
		return;
	}
	if (c == '\n') {
		s->pos++;
		s->token = "\n";
		read_pending(s);
		return;
	}
	for (int i = 0; operators[i]; i++) {
		if (operator_next(s, operators[i])) {
			s->token = (char *)operators[i];
			s->pos += strlen(operators[i]);
			return;
		}
	}
	skip_word(s);
	s->is_word = true;
	s->token = mem_string(s->text + s->token_begin, s->pos - s->token_begin);
}

static bool
at(struct source *s, const char *token)
{
	return strcmp(s->token, token) == 0;
}

static bool
accept(struct source *s, const char *token)
{
	if (!at(s, token))
		return false;
	advance(s);
	return true;
}

static void
expect(struct source *s, const char *token)
{
	if (!accept(s, token))
		fail(2, "syntax error: `%s' expected, not `%s'", token,
			*s->token == '\n' ? "newline" : *s->token ? s->token : "end of file");
}

static void
skip_newlines(struct source *s)
{
	while (at(s, "\n"))
		advance(s);
}

static struct node *
node_new(enum node_kind kind, struct node *left, struct node *right)
{
	struct node *n = mem_alloc(sizeof *n);

	memset(n, 0, sizeof *n);
	n->kind = kind;
	n->left = left;
	n->right = right;
	return n;
}

static struct word **
word_add(struct word **tail, char *text)
{
	struct word *w = mem_alloc(sizeof *w);

	w->next = NULL;
	w->text = text;
	*tail = w;
	return &w->next;
}

/* A redirection, if the token ahead is one. `digits`: the number written before it, or -1. */
static bool
parse_redir(struct source *s, struct redir ***tail, int digits)
{
	struct redir *r;
	char *op = s->token;

	if (s->is_word || (*op != '<' && *op != '>'))
		return false;
	r = mem_alloc(sizeof *r);
	memset(r, 0, sizeof *r);
	strcpy(r->op, strcmp(op, ">|") == 0 ? ">" : op);
	r->fd = digits >= 0 ? digits : *op == '>';
	**tail = r;
	*tail = &r->next;
	advance(s);
	if (!s->is_word)
		fail(2, "syntax error: word expected after `%s'", op);
	r->text = s->token;
	if (op[1] == '<') {                     /* before advance(): the newline may be the next token */
		if (s->pending_count == sizeof s->pending / sizeof *s->pending)
			fail(2, "too many here-documents on a line");
		s->pending[s->pending_count++] = r;
	}
	advance(s);
	return true;
}

/* Is the token a number directly before < or >? Then it is the redirection's descriptor. */
static int
redir_digits(struct source *s)
{
	if (!s->is_word || s->token[strspn(s->token, "0123456789")] || s->pos >= s->len)
		return -1;
	return s->text[s->pos] == '<' || s->text[s->pos] == '>' ? atoi(s->token) : -1;
}

static void
parse_redirs(struct source *s, struct redir **tail)
{
	for (;;) {
		int digits = redir_digits(s);

		if (digits >= 0)
			advance(s);
		if (!parse_redir(s, &tail, digits))
			return;
	}
}

static struct node *
parse_function(struct source *s, struct node *n)
{
	size_t from;

	advance(s);
	expect(s, ")");
	skip_newlines(s);
	from = s->token_begin;
	parse_command_word(s);
	n->kind = N_FUNCTION;
	n->text = mem_string(s->text + from, s->previous_end - from);
	return n;
}

static struct node *
parse_simple(struct source *s)
{
	struct node *n = node_new(N_SIMPLE, NULL, NULL);
	struct word **tail = &n->words;
	struct redir **redirs = &n->redirs;

	for (;;) {
		int digits = redir_digits(s);

		if (digits >= 0)
			advance(s);
		if (parse_redir(s, &redirs, digits))
			continue;
		if (!s->is_word)
			break;
		tail = word_add(tail, s->token);
		advance(s);
		if (at(s, "(") && !s->is_word && n->words && !n->words->next)
			return parse_function(s, n);
	}
	if (!n->words && !n->redirs)
		fail(2, "syntax error at `%s'", *s->token == '\n' ? "newline" : *s->token ? s->token : "end of file");
	return n;
}

static struct node *
parse_if(struct source *s)
{
	struct node *n = node_new(N_IF, NULL, NULL);

	n->cond = parse_list(s);
	expect(s, "then");
	n->left = parse_list(s);
	if (accept(s, "elif")) {
		n->right = parse_if(s);
		return n;
	}
	if (accept(s, "else"))
		n->right = parse_list(s);
	expect(s, "fi");
	return n;
}

static struct node *
parse_do(struct source *s)
{
	struct node *body;

	expect(s, "do");
	body = parse_list(s);
	expect(s, "done");
	return body;
}

static struct node *
parse_for(struct source *s)
{
	struct node *n = node_new(N_FOR, NULL, NULL);
	struct word **tail = word_add(&n->words, s->token);

	if (!s->is_word || !name_valid(s->token, strlen(s->token)))
		fail(2, "syntax error: bad name after `for'");
	advance(s);
	skip_newlines(s);
	n->all = !at(s, "in");
	if (!n->all) {
		advance(s);
		while (s->is_word) {
			tail = word_add(tail, s->token);
			advance(s);
		}
	}
	accept(s, ";");
	skip_newlines(s);
	n->left = parse_do(s);
	return n;
}

static struct node *
parse_case(struct source *s)
{
	struct node *n = node_new(N_CASE, NULL, NULL);
	struct item **tail = &n->items;

	word_add(&n->words, s->token);
	advance(s);
	skip_newlines(s);
	expect(s, "in");
	skip_newlines(s);
	while (!accept(s, "esac")) {
		struct item *i = mem_alloc(sizeof *i);
		struct word **patterns = &i->patterns;

		memset(i, 0, sizeof *i);
		accept(s, "(");
		do {
			if (!s->is_word)
				fail(2, "syntax error in `case'");
			patterns = word_add(patterns, s->token);
			advance(s);
		} while (accept(s, "|"));
		expect(s, ")");
		skip_newlines(s);
		if (!at(s, ";;") && !at(s, "esac"))
			i->body = parse_list(s);
		*tail = i;
		tail = &i->next;
		if (!accept(s, ";;")) {
			expect(s, "esac");
			break;
		}
		skip_newlines(s);
	}
	return n;
}

static struct node *
parse_command_word(struct source *s)
{
	struct node *n;

	if (!s->is_word && accept(s, "(")) {
		n = node_new(N_SUBSHELL, parse_list(s), NULL);
		expect(s, ")");
		parse_redirs(s, &n->redirs);
		return n;
	}
	if (accept(s, "{")) {
		n = parse_list(s);
		expect(s, "}");
	} else if (accept(s, "if")) {
		n = parse_if(s);
	} else if (at(s, "while") || at(s, "until")) {
		n = node_new(at(s, "while") ? N_WHILE : N_UNTIL, NULL, NULL);
		advance(s);
		n->cond = parse_list(s);
		n->left = parse_do(s);
	} else if (accept(s, "for")) {
		n = parse_for(s);
	} else if (accept(s, "case")) {
		n = parse_case(s);
	} else {
		return parse_simple(s);
	}
	n = node_new(N_GROUP, n, NULL);
	parse_redirs(s, &n->redirs);
	return n;
}

static struct node *
parse_pipeline(struct source *s)
{
	size_t from = s->token_begin;
	struct node *n;

	if (accept(s, "!"))
		return node_new(N_NOT, parse_pipeline(s), NULL);
	n = parse_command_word(s);
	if (accept(s, "|")) {
		skip_newlines(s);
		n = node_new(N_PIPE, n, parse_pipeline(s));
	}
	if (n->kind != N_FUNCTION)
		n->text = mem_string(s->text + from, s->previous_end - from);
	return n;
}

static struct node *
parse_and_or(struct source *s)
{
	size_t from = s->token_begin;
	struct node *n = parse_pipeline(s);

	while (at(s, "&&") || at(s, "||")) {
		enum node_kind kind = at(s, "&&") ? N_AND : N_OR;

		advance(s);
		skip_newlines(s);
		n = node_new(kind, n, parse_pipeline(s));
		n->text = mem_string(s->text + from, s->previous_end - from);
	}
	return n;
}

/* Does the token ahead end a list? */
static bool
list_ends(struct source *s)
{
	static const char *const enders[] = {
		"", ")", ";;", "}", "then", "elif", "else", "fi", "do", "done", "esac", NULL
	};

	for (int i = 0; enders[i]; i++) {
		if (at(s, enders[i]))
			return true;
	}
	return false;
}

/* After an and_or: `&` puts it into the background, `;` ends it. Returns: whether a separator was there. */
static bool
parse_separator(struct source *s, struct node **n)
{
	if (accept(s, "&")) {
		char *text = (*n)->text;

		*n = node_new(N_BACKGROUND, *n, NULL);
		(*n)->text = text;
		return true;
	}
	return accept(s, ";");
}

static struct node *
parse_list(struct source *s)
{
	struct node *list = NULL;

	skip_newlines(s);
	while (!list_ends(s)) {
		struct node *n = parse_and_or(s);
		bool separated = parse_separator(s, &n);

		list = list ? node_new(N_SEQ, list, n) : n;
		if (!separated && !at(s, "\n"))
			break;
		skip_newlines(s);
	}
	if (!list)
		fail(2, "syntax error at `%s'", *s->token ? s->token : "end of file");
	return list;
}

void
source_drop_line(struct source *s)
{
	s->pos = s->len;
}

/* Read one complete command: the and_or lists up to the end of the line.
 *
 * Returns: its tree, or NULL for an empty line; *end says that the input is at its end.
 */
struct node *
parse_command(struct source *s, bool *end)
{
	struct node *list = NULL;

	if (s->fd >= 0) {                       /* forget what has been run */
		memmove(s->text, s->text + s->pos, s->len - s->pos);
		s->len -= s->pos;
		s->pos = 0;
	}
	s->begin = s->pos;
	s->pending_count = 0;
	advance(s);
	while (!at(s, "\n") && !at(s, "")) {
		struct node *n = parse_and_or(s);
		bool separated = parse_separator(s, &n);

		list = list ? node_new(N_SEQ, list, n) : n;
		if (!separated && !at(s, "\n") && !at(s, ""))
			fail(2, "syntax error at `%s'", s->token);
	}
	*end = at(s, "") && s->ended;
	return list;
}

bool
name_valid(const char *s, size_t n)
{
	if (n == 0 || isdigit(*s))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum(s[i]) && s[i] != '_')
			return false;
	}
	return true;
}
