/* parse.c - from text to a tree.
 *
 * Idea.       A recursive descent, one token ahead:
 *                 line     = [ list ] newline
 *                 list     = and_or { (';' | '&' | newline) and_or }           a line's ends at the newline
 *                 and_or   = pipeline { ('&&' | '||') pipeline }
 *                 pipeline = '!' pipeline | command [ '|' pipeline ]
 *                 command  = { word | redirection } | compound { redirection }
 *                 compound = '(' list ')' | '{' list '}' | if ... | while ... | for ...
 *             A token is an operator or a word; words such as `if` mean something only where a command may
 *             begin. A word keeps its quotes, and $(...) in it is only stepped over: expand.c looks into
 *             words, each time they are run. When a line ends too early, as in `if true`, the next is read.
 */
#include "user/sh/sh.h"

static const char delimiters[] = " \t\n;&|<>()";        /* where a word ends */

static struct input *in;
static const char *token;               /* the one ahead; "" at the end of the input */
static bool is_word;                    /* it is not an operator */

static struct node *parse_list(bool line);

/* ---- tokens ---- */

static _Noreturn void
unexpected(void)
{
	fail("syntax error at `%s'", *token == '\n' ? "newline" : *token ? token : "end of file");
}

/* Append a line, read byte by byte: what follows it may be meant for a program that we start. */
static void
read_line(void)
{
	ssize_t got;
	char c = 0;

	if (interactive && in->fd == 0)
		dprintf(2, in->text.n > 0 ? "> " : "# ");
	while (c != '\n' && ((got = read(in->fd, &c, 1)) > 0 || (got < 0 && errno == EINTR))) {
		check_limits();
		if (got > 0 && c)               /* a NUL means nothing; a string could not hold it */
			buf_add(&in->text, &c, 1);
	}
	in->more = c == '\n';
}

/* What is not yet made into tokens; it begins with a 0 only at the end of the input. */
static const char *
rest(void)
{
	while (!in->text.s[in->pos] && in->more)
		read_line();
	return in->text.s + in->pos;
}

const char *
skip(const char *p)
{
	bool command = p[0] == '$' && p[1] == '(';
	char open = p[command], close = open == '(' ? ')' : open;

	if (open == '\\')
		return p[1] ? p + 2 : NULL;
	if (!strchr("\"'(", open))
		return p + 1;
	depth++;
	check_limits();
	for (p += 1 + command; p && *p != close; ) {
		if (!*p)
			p = NULL;
		else if (open == '\'' || (open == '"' && strchr("'(", *p)))
			p++;
		else
			p = skip(p);
	}
	depth--;
	return p ? p + 1 : NULL;
}

/* Make the next token the one ahead. */
static void
advance(void)
{
	static const char *const pairs[] = {    /* some of them only lest they be taken for two others */
		"&&", "||", ">>", ">&", "<&", "<<", "<>", ">|", "&>", "|&", ";;", NULL
	};
	size_t begin;

	while (isblank(*rest()) || strncmp(rest(), "\\\n", 2) == 0)
		in->pos += *rest() == '\\' ? 2 : 1;
	if (*rest() == '#')
		in->pos += strcspn(rest(), "\n");
	begin = in->pos;
	is_word = !strchr(delimiters, *rest()); /* strchr finds the 0, too */
	if (!is_word && *rest())
		in->pos++;
	for (int i = 0; !is_word && pairs[i]; i++)
		in->pos += strncmp(in->text.s + begin, pairs[i], 2) == 0;
	while (is_word && !strchr(delimiters, *rest())) {
		const char *end = skip(rest());

		if (end)
			in->pos = end - in->text.s;
		else if (in->more)
			read_line();
		else
			fail("syntax error: a quote or bracket is not closed");
	}
	token = mem_string(in->text.s + begin, in->pos - begin);
}

static bool
is(const char *t)
{
	return strcmp(token, t) == 0;
}

static bool
accept(const char *t)
{
	bool found = is(t);

	if (found)
		advance();
	return found;
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
	n->tail = &n->words;
	return n;
}

/* Take the redirection ahead or, if they are wanted, the word. Returns: was there one? */
static bool
take_word(struct node *n, bool wanted)
{
	bool number = is_word && isdigit((unsigned char)*token) && !token[1] && (*rest() == '<' || *rest() == '>');
	struct word *w = mem_alloc(sizeof *w);

	if (number || *token == '<' || *token == '>') { /* a digit directly before < or > belongs to it */
		w->fd = number ? *token - '0' : *token == '>';
		if (number)
			advance();
		if (is("<<") || is("<>") || is(">|"))
			unsupported("%s", token);
		w->op = token;
		advance();
		if (!is_word)
			unexpected();
	} else if (!is_word || !wanted) {
		return false;
	} else if (!n->has_words && token[name_length(token)] == '=' && name_length(token) > 0) {
		w->op = "=";
		n->assigns = true;
	} else {
		n->has_words = true;
	}
	w->text = token;
	*n->tail = w;
	n->tail = &w->next;
	advance();
	return true;
}

/* A list of at least one command, and what must end it. */
static struct node *
parse_until(const char *end)
{
	struct node *list = parse_list(false);

	if (!list || (end && !accept(end)))
		unexpected();
	return list;
}

/* What is behind if or elif. */
static struct node *
parse_if(void)
{
	struct node *n = node_new(N_IF, NULL, NULL);

	n->cond = parse_until("then");
	n->left = parse_until(NULL);
	if (accept("elif"))
		n->right = parse_if();
	else if (accept("else"))
		n->right = parse_until("fi");
	else if (!accept("fi"))
		unexpected();
	return n;
}

static struct node *
parse_while(void)
{
	struct node *n = node_new(N_WHILE, NULL, NULL);
	bool until = is("until");

	advance();
	n->cond = parse_until("do");
	if (until)
		n->cond = node_new(N_NOT, n->cond, NULL);
	n->left = parse_until("done");
	return n;
}

static struct node *
parse_for(void)
{
	struct node *n = node_new(N_FOR, NULL, NULL);

	if (!is_word || token[name_length(token)])
		unexpected();
	take_word(n, true);
	if (!accept("in"))
		unsupported("for without in");
	while (is_word)
		take_word(n, true);
	accept(";");
	skip_newlines();
	if (!accept("do"))
		unexpected();
	n->left = parse_until("done");
	return n;
}

static struct node *
parse_command(void)
{
	struct node *n;

	depth++;
	check_limits();
	if (is("case") || is("function") || is("select"))
		unsupported("%s", token);
	if (accept("("))
		n = node_new(N_SUBSHELL, parse_until(")"), NULL);
	else if (accept("{"))
		n = node_new(N_LIST, parse_until("}"), NULL);
	else if (accept("if"))
		n = parse_if();
	else if (is("while") || is("until"))
		n = parse_while();
	else if (accept("for"))
		n = parse_for();
	else
		n = node_new(N_SIMPLE, NULL, NULL);
	while (take_word(n, n->kind == N_SIMPLE))
		;
	if (n->kind == N_SIMPLE && !n->words)
		unexpected();
	if (n->kind == N_SIMPLE && is("("))
		unsupported("syntax error at `(': a function");
	depth--;
	return n;
}

static struct node *
parse_pipeline(void)
{
	struct node *n;

	if (accept("!"))
		return node_new(N_NOT, parse_pipeline(), NULL);
	n = parse_command();
	if (!accept("|"))
		return n;
	skip_newlines();
	return node_new(N_PIPE, n, parse_pipeline());
}

static struct node *
parse_and_or(void)
{
	struct node *n = parse_pipeline();

	while (is("&&") || is("||")) {
		n = node_new(is("&&") ? N_AND : N_OR, n, NULL);
		advance();
		skip_newlines();
		n->right = parse_pipeline();
	}
	return n;
}

/* The commands up to what cannot begin one, which remains ahead. line: a newline ends it, too.
 * Returns: NULL if there are none. */
static struct node *
parse_list(bool line)
{
	static const char *const ends[] = { "\n", "", ")", "}", "then", "do", "done", "fi", "elif", "else", NULL };
	struct node *list = NULL, **tail = &list;
	bool more = true;

	while (more) {
		const char *const *end = line ? ends : ends + 1;

		if (!line)
			skip_newlines();
		while (*end && !is(*end))
			end++;
		if (*end)
			break;
		*tail = node_new(N_LIST, parse_and_or(), NULL);
		if (is("&"))
			(*tail)->left = node_new(N_BACKGROUND, (*tail)->left, NULL);
		tail = &(*tail)->right;
		more = accept("&") || accept(";") || (!line && is("\n"));
	}
	return list && !list->right ? list->left : list;
}

struct node *
parse_line(struct input *input)
{
	struct node *list;

	in = input;
	if (in->more) {                         /* the last command's lines are gone */
		in->text = buf_new();
		in->pos = 0;
	}
	advance();
	list = parse_list(true);
	if (!is("\n") && !is(""))
		unexpected();
	return list;
}
