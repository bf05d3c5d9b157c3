/* parse.c - from text to a tree.
 *
 * Idea.       A recursive descent, one token ahead:
 *                 line     = { and_or (';' | '&') } newline
 *                 list     = { and_or (';' | '&' | newline) }
 *                 and_or   = pipeline { ('&&' | '||') pipeline }
 *                 pipeline = ['!'] command { '|' command }
 *                 command  = simple | name() command | compound { redirection }
 *                 compound = '(' list ')' | '{' list '}' | if ... | while ... | for ... | case ...
 *             A word keeps its quotes, and $(...) in it is only stepped over: expand.c looks into words,
 *             each time they are run. When what was typed ends too early, as in `if true`, the parser gives
 *             up, and starts again from the beginning once there is one more line.
 * Invariants. I1 here-documents are read when the newline after their << becomes the token ahead.
 */
#include "user/sh/sh.h"

static const char *pos;                 /* the text from here on is not yet made into tokens */
static const char *begin, *previous_end; /* where the token ahead begins, and where the one before ended */
static char *token;                     /* the one ahead; "" at the end of the text */
static bool is_word;
static struct redir *here[8];           /* here-documents whose bodies follow this line */
static int here_count;

static bool can_grow;                   /* there may be another line: */
static jmp_buf too_short;               /* whoever asks for it waits here */

static struct node *parse_command(void);
static struct node *parse_list(void);

static _Noreturn void
unexpected(void)
{
	if (!*token && can_grow)
		longjmp(too_short, 1);
	fail(2, "syntax error at `%s'", !*token ? "end of file" : *token == '\n' ? "newline" : token);
}

/* ---- tokens ---- */

size_t
name_length(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return isdigit((unsigned char)*s) ? 0 : n;
}

/* Step over one character, or over a whole piece in quotes or brackets. Requires: *p is not the end. */
const char *
skip(const char *p)
{
	bool dollar = *p == '$' && (p[1] == '(' || p[1] == '{');
	char open = p[dollar], close = open == '(' ? ')' : open == '{' ? '}' : open;

	if (*p == '\\')
		return p + 1 + (p[1] != 0);
	if (!dollar && !strchr("('\"`", open))
		return p + 1;
	depth++;
	check_limits();
	for (p += 1 + dollar; *p != close; ) {
		if (!*p) {
			token = "";
			unexpected();
		}
		if (open == '\'' || (*p == '\'' && open == '"') || (*p == '(' && open != '('))
			p++;
		else
			p = skip(p);
	}
	depth--;
	return p + 1;
}

/* Read the body of a here-document, up to the line that is its delimiter. */
static void
read_here(struct redir *r)
{
	char *end = expand_string(r->text);
	struct text body = { "", 0, 0 };
	bool found = false;

	while (*pos && !found) {
		const char *line = pos + (r->op[2] == '-' ? strspn(pos, "\t") : 0);
		size_t n = strcspn(line, "\n");

		pos = line + n + (line[n] == '\n');
		found = n == strlen(end) && strncmp(line, end, n) == 0;
		while (line < pos && !found)
			text_put(&body, *line++);
	}
	if (!found && can_grow)
		longjmp(too_short, 1);
	r->quoted = strpbrk(r->text, "'\"\\") != NULL;
	r->text = body.s;
}

/* Make the next token the one ahead. */
static void
advance(void)
{
	static const char *const operators[] = {        /* the longer before those that they begin with */
		"<<-", "<<", "<&", "<", ">>", ">&", ">", "&&", "&", "||", "|", ";;", ";", "(", ")", "\n", ""
	};
	int i = 0;

	previous_end = pos;
	while (*pos == ' ' || *pos == '\t' || (*pos == '\\' && pos[1] == '\n'))
		pos += *pos == '\\' ? 2 : 1;
	if (*pos == '#')
		pos += strcspn(pos, "\n");
	begin = pos;
	is_word = !strchr("\n;&|<>()", *pos);           /* strchr finds the 0 at the end of the text, too */
	while (!strchr(" \t\n;&|<>()", *pos))
		pos = skip(pos);
	if (!is_word) {
		while (strncmp(pos, operators[i], strlen(operators[i])) != 0)
			i++;
		pos += strlen(operators[i]);
	}
	token = mem_string(begin, pos - begin);
	if (*token == '\n' || !*token) {
		for (i = 0; i < here_count; i++)
			read_here(here[i]);
		here_count = 0;
	}
}

static bool
accept(const char *t)
{
	if (strcmp(token, t) != 0)
		return false;
	if (*t)
		advance();
	return true;
}

static void
expect(const char *t)
{
	if (!accept(t))
		unexpected();
}

/* Is one of these words or operators ahead? */
static bool
ahead(const char *const *choice)
{
	while (*choice && strcmp(token, *choice) != 0)
		choice++;
	return *choice;
}

static void
skip_newlines(void)
{
	while (accept("\n"))
		;
}

/* ---- commands ---- */

static struct node *
node_new(enum node_kind kind, struct node *left, struct node *right)
{
	struct node *n = mem_alloc(sizeof *n);

	n->kind = kind;
	n->left = left;
	n->right = right;
	return n;
}

/* Take the word ahead. Returns: where the next is to be hung. */
static struct word **
take_word(struct word **tail)
{
	struct word *w = *tail = mem_alloc(sizeof *w);

	if (!is_word)
		unexpected();
	w->text = token;
	advance();
	return &w->next;
}

/* Take the redirections ahead: a number directly before < or > belongs to them. */
static void
take_redirs(struct redir **tail)
{
	while (*tail)
		tail = &(*tail)->next;
	for (;;) {
		bool number = is_word && !token[strspn(token, "0123456789")] && (*pos == '<' || *pos == '>');
		struct redir *r;

		if (!number && *token != '<' && *token != '>')
			return;
		r = *tail = mem_alloc(sizeof *r);
		r->fd = *token == '>';
		if (number) {
			r->fd = atoi(token);
			advance();
		}
		r->op = token;
		advance();
		r->text = token;
		if (!is_word)
			unexpected();
		if (r->op[1] == '<') {          /* before advance(): the newline may be the next token */
			if (here_count == sizeof here / sizeof *here)
				fail(2, "too many here-documents on a line");
			here[here_count++] = r;
		}
		advance();
		tail = &r->next;
	}
}

/* words redirections, or name() command: its text is kept, and parsed whenever the function is called. */
static struct node *
parse_simple(void)
{
	struct node *n = node_new(N_SIMPLE, NULL, NULL);
	struct word **tail = &n->words;
	const char *body;

	for (take_redirs(&n->redirs); is_word; take_redirs(&n->redirs))
		tail = take_word(tail);
	if (!n->words && !n->redirs)
		unexpected();
	if (*token == '(' && n->words && !n->words->next && !n->redirs) {
		advance();
		expect(")");
		skip_newlines();
		body = begin;
		parse_command();
		n->kind = N_FUNCTION;
		n->text = mem_string(body, previous_end - body);
	}
	return n;
}

static struct node *
parse_do(void)
{
	struct node *body;

	expect("do");
	body = parse_list();
	expect("done");
	return body;
}

static struct node *
parse_if(void)
{
	struct node *n = node_new(N_IF, NULL, NULL);

	n->cond = parse_list();
	expect("then");
	n->left = parse_list();
	if (accept("elif")) {
		n->right = parse_if();
		return n;
	}
	if (accept("else"))
		n->right = parse_list();
	expect("fi");
	return n;
}

static struct node *
parse_for(void)
{
	struct node *n = node_new(N_FOR, NULL, NULL);
	struct word **tail = take_word(&n->words);

	skip_newlines();
	if (accept("in")) {
		while (is_word)
			tail = take_word(tail);
	} else {
		*tail = mem_alloc(sizeof **tail);
		(*tail)->text = "\"$@\"";
	}
	accept(";");
	skip_newlines();
	n->left = parse_do();
	return n;
}

static struct node *
parse_case(void)
{
	static const char *const ends[] = { ";;", "esac", NULL };
	struct node *n = node_new(N_CASE, NULL, NULL), **tail = &n->right;

	take_word(&n->words);
	skip_newlines();
	expect("in");
	for (skip_newlines(); !accept("esac"); skip_newlines()) {
		struct node *item = *tail = node_new(N_ITEM, NULL, NULL);
		struct word **patterns = &item->words;

		accept("(");
		do
			patterns = take_word(patterns);
		while (accept("|"));
		expect(")");
		skip_newlines();
		if (!ahead(ends))
			item->left = parse_list();
		if (!ahead(ends + 1))
			expect(";;");
		tail = &item->right;
	}
	return n;
}

static struct node *
parse_command(void)
{
	struct node *n = NULL, *redirected;

	if (accept("(")) {
		n = node_new(N_SUBSHELL, parse_list(), NULL);
		expect(")");
	} else if (accept("{")) {
		n = parse_list();
		expect("}");
	} else if (accept("if")) {
		n = parse_if();
	} else if (accept("for")) {
		n = parse_for();
	} else if (accept("case")) {
		n = parse_case();
	} else if (strcmp(token, "while") == 0 || strcmp(token, "until") == 0) {
		n = node_new(*token == 'w' ? N_WHILE : N_UNTIL, NULL, NULL);
		advance();
		n->cond = parse_list();
		n->left = parse_do();
	} else {
		return parse_simple();
	}
	redirected = node_new(N_REDIRECTED, n, NULL);
	take_redirs(&redirected->redirs);
	return redirected->redirs ? redirected : n;
}

static struct node *
parse_pipeline(void)
{
	const char *from = begin;
	struct node *n;

	depth++;
	check_limits();
	if (accept("!")) {
		n = node_new(N_NOT, parse_pipeline(), NULL);
	} else {
		n = parse_command();
		if (accept("|")) {
			skip_newlines();
			n = node_new(N_PIPE, n, parse_pipeline());
		}
	}
	if (!n->text)
		n->text = mem_string(from, previous_end - from);
	depth--;
	return n;
}

static struct node *
parse_and_or(void)
{
	static const char *const operators[] = { "&&", "||", NULL };
	struct node *n = parse_pipeline();

	while (ahead(operators)) {
		enum node_kind kind = *token == '&' ? N_AND : N_OR;

		advance();
		skip_newlines();
		n = node_new(kind, n, NULL);
		n->right = parse_pipeline();
	}
	return n;
}

/* One and_or with the `;` or `&` behind it, hung on a list's tail. Returns: may another follow? */
static bool
parse_item(struct node ***tail)
{
	const char *from = begin;
	struct node *n = parse_and_or();
	bool background = strcmp(token, "&") == 0;

	if (background) {
		n = node_new(N_BACKGROUND, n, NULL);
		n->text = mem_string(from, previous_end - from);
	}
	**tail = node_new(N_LIST, n, NULL);
	*tail = &(**tail)->right;
	return accept(background ? "&" : ";");
}

/* The commands up to one of `ends`, which remains ahead. A newline that is none of them is like a `;`. */
static struct node *
parse_items(const char *const *ends)
{
	struct node *list = NULL, **tail = &list;
	bool more = true;

	while (!ahead(ends) && (more || *token == '\n'))
		more = accept("\n") || parse_item(&tail);
	return list;
}

/* A list of at least one command, in something that will say how it must end. */
static struct node *
parse_list(void)
{
	static const char *const ends[] = {
		"", ")", "}", ";;", "then", "do", "done", "fi", "elif", "else", "esac", NULL
	};
	struct node *list = parse_items(ends);

	if (!list)
		unexpected();
	return list;
}

struct node *
parse_line(const char **text)
{
	static const char *const ends[] = { "\n", "", NULL };
	struct node *list;

	pos = *text;
	here_count = 0;
	advance();
	list = parse_items(ends);
	if (!ahead(ends) || (!*token && can_grow))      /* a line without its newline? that came after a \ */
		unexpected();
	*text = pos;
	return list;
}

/* ---- standard input ---- */

/* Append a line to *line, byte by byte: what follows it may be meant for a program that we start.
 * Returns: false at the end of the input. */
static bool
read_line(char **line, size_t *n)
{
	ssize_t got;
	char c = 0;

	while (c != '\n' && ((got = read(0, &c, 1)) > 0 || (got < 0 && errno == EINTR))) {
		char *more = realloc(*line, *n + 2);

		check_limits();
		if (!more)
			fail(2, "out of memory");
		*line = more;
		if (got > 0 && c)               /* a NUL means nothing; a string could not hold it */
			more[(*n)++] = c;
		more[*n] = 0;
	}
	return c == '\n';
}

/* Read a whole command: what the parser finds too short is tried again with one more line. */
struct node *
parse_input(bool *end)
{
	static char *line;              /* from malloc: it outlives the attempts */
	static size_t n;
	const struct mark m = mem_mark();
	struct node *list;
	const char *text;

	n = 0;
	setjmp(too_short);
	mem_release(m);
	depth = 0;
	if (interactive)
		write(2, n > 0 ? "> " : "# ", 2);
	can_grow = read_line(&line, &n);
	text = n > 0 ? line : "";
	list = parse_line(&text);
	*end = !can_grow;
	can_grow = false;               /* what is parsed while the command runs is all there */
	return list;
}
