/* run.c - running the tree.
 *
 * Idea.       run() has a case for each kind of node and returns the exit status. Programs, pipelines, (...)
 *             and what is in the background run in forked children; builtins and functions run in the shell
 *             itself, with their redirections undone afterwards.
 *             A redirection makes the descriptor a copy of another, by dup2; a pipe is two descriptors, one
 *             given so to each of two children: neither program knows.
 * Invariants. I1 saved[] holds, the innermost last, what the redirections of builtins and functions hide.
 */
#include "user/sh/sh.h"

#define STACK_MAX 64                    /* redirections of nested builtins and functions */

enum flow flow;
int flow_count;

static struct { int fd, copy; } saved[STACK_MAX];
static int saved_count;
static bool captured;                   /* a $(...) in this command set last_status */
static int in_condition;                /* in what if, while, &&, || and ! look at: set -e does not count */
static int in_function;
static struct args outer_args;          /* the shell's own, while in a function */

/* ---- redirections ---- */

/* A descriptor from which the here-document can be read: a file without a name. */
static int
here_open(struct redir *r)
{
	const char *body = r->quoted ? r->text : expand_here(r->text);
	char *name = join("/tmp/sh", decimal(getpid()), "");
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	unlink(name);
	write(fd, body, strlen(body));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static int
redir_open(struct redir *r, const char *name)
{
	if (r->op[1] == '&')
		return dup(isdigit((unsigned char)*name) ? atoi(name) : -1);
	if (*r->op == '<')
		return r->op[1] == '<' ? here_open(r) : open(name, O_RDONLY);
	return open(name, O_WRONLY | O_CREAT | (r->op[1] == '>' ? O_APPEND : O_TRUNC), 0666);
}

static void
redirect_undo(int level)
{
	fflush(stdout);
	while (saved_count > level) {
		saved_count--;
		close(saved[saved_count].fd);
		if (saved[saved_count].copy >= 0) {
			dup2(saved[saved_count].copy, saved[saved_count].fd);
			close(saved[saved_count].copy);
		}
	}
}

/* Carry out the redirections, in order. `undo`: remember in saved[] what they hide.
 * Returns: false at the first that fails, after a message. */
static bool
redirect(struct redir *r, bool undo)
{
	fflush(stdout);
	for (; r; r = r->next) {
		char *name = r->op[1] == '<' ? "here-document" : expand_string(r->text);
		int fd;

		if (undo && saved_count == STACK_MAX)
			fail(2, "too many redirections");
		if (undo) {
			saved[saved_count].copy = fcntl(r->fd, F_DUPFD_CLOEXEC, 10);
			saved[saved_count++].fd = r->fd;
		}
		if (r->op[1] == '&' && strcmp(name, "-") == 0) {
			close(r->fd);
			continue;
		}
		fd = redir_open(r, name);
		if (fd < 0 || (fd != r->fd && dup2(fd, r->fd) < 0)) {
			complain("%s: %s", name, strerror(errno));
			return false;
		}
		if (fd != r->fd)
			close(fd);
	}
	return true;
}

/* After fail(): as at the prompt again. */
void
run_reset(void)
{
	redirect_undo(0);
	flow = FLOW_NONE;
	in_condition = depth = 0;
	if (in_function > 0)
		args = outer_args;
	in_function = 0;
}

/* ---- simple commands ---- */

/* Become the program argv[0]; exit 127 or 126 if that cannot be. */
void
exec_program(char **argv)
{
	struct list script = { NULL, 0, 0 };

	fflush(stdout);
	environ = var_environment();
	execvp(argv[0], argv);
	if (errno == ENOEXEC) {                 /* a text without #!: run it ourselves */
		list_add(&script, "/bin/sh");
		for (; *argv; argv++)
			list_add(&script, *argv);
		execv("/bin/sh", script.items);
	}
	complain("%s: %s", argv[0], errno == ENOENT && !strchr(argv[0], '/') ? "not found" : strerror(errno));
	exit(errno == ENOENT ? 127 : 126);
}

/* A function is kept as the text of its body, in a variable of this name, which nothing else can have. */
char *
function_name(const char *name)
{
	return join(name, "()", "");
}

static int
function_run(const char *text, char **argv, int argc)
{
	struct args outer = args;
	int status;

	if (in_function++ == 0)
		outer_args = args;
	args = (struct args){ argc - 1, argv + 1 };
	status = run_text(mem_string(text, strlen(text)));      /* a copy: it may redefine itself */
	if (flow == FLOW_RETURN)
		flow = FLOW_NONE;
	args = outer;
	in_function--;
	return status;
}

/* Carry out the assignments at the head of a command, up to `end`; the values before are added to `old`. */
static void
assign(struct word *w, struct word *end, struct list *old, bool export)
{
	for (; w != end; w = w->next) {
		char *name = mem_string(w->text, name_length(w->text));
		const char *value = var_get(name);

		list_add(old, value ? mem_string(value, strlen(value)) : NULL);
		var_set(name, expand_string(w->text + strlen(name) + 1));
		if (export)
			var_export(name);
	}
}

/* Run a function, a builtin, or no command at all in the shell itself. What was assigned and redirected for
 * it is undone, except for no command's assignments and exec's redirections. */
static int
run_inside(struct node *n, struct word *first, char **argv, int argc)
{
	const char *function = argc > 0 ? var_get(function_name(argv[0])) : NULL;
	bool undo = argc == 0 || strcmp(argv[0], "exec") != 0;
	int level = saved_count, status = 1, i = 0;
	struct list old = { NULL, 0, 0 };

	assign(n->words, first, &old, false);
	if (redirect(n->redirs, undo)) {
		if (function)
			status = function_run(function, argv, argc);
		else if (argc > 0)
			status = builtin_find(argv[0])(argv);
		else
			status = captured ? last_status : 0;
	}
	redirect_undo(level);
	for (struct word *w = n->words; argc > 0 && w != first; w = w->next)
		var_set(mem_string(w->text, name_length(w->text)), old.items[i++]);
	return status;
}

/* `child`: this process has nothing else to do, so it need not fork for a program. */
static int
run_simple(struct node *n, bool child)
{
	struct word *first = n->words;
	struct job j = { .text = n->text };
	struct list old = { NULL, 0, 0 };
	char **argv;
	int argc;

	while (first && name_length(first->text) > 0 && first->text[name_length(first->text)] == '=')
		first = first->next;
	captured = false;
	argv = expand_words(first, &argc);
	for (int i = 0; option_x && i < argc; i++)
		dprintf(2, "%s%s%s", i ? " " : "+ ", argv[i], i + 1 < argc ? "" : "\n");
	if (argc == 0 || var_get(function_name(argv[0])) || builtin_find(argv[0]))
		return run_inside(n, first, argv, argc);
	if (child || job_fork(&j, false) == 0) {
		if (!redirect(n->redirs, false))
			exit(1);
		assign(n->words, first, &old, true);
		exec_program(argv);
	}
	return job_wait(&j);
}

/* ---- children ---- */

/* In a child: run the tree, and nothing else. */
static _Noreturn void
run_child(struct node *n)
{
	while (n->kind == N_LIST && !n->right)
		n = n->left;
	shell_exit(n->kind == N_SIMPLE ? run_simple(n, true) : run(n));
}

/* (...) and what is in the background. */
static int
run_forked(struct node *n)
{
	bool background = n->kind == N_BACKGROUND;
	struct job j = { .text = n->text };

	if (job_fork(&j, background) == 0)
		run_child(n->left);
	if (!background)
		return job_wait(&j);
	job_background(&j);
	return 0;
}

/* Fork for each command of the pipeline, the output of each being the input of the next. */
static int
run_pipe(struct node *n)
{
	struct job j = { .text = n->text };
	int in = -1, fds[2];
	bool more = true;
	pid_t pid = 1;

	for (; more && pid > 0; n = n->right) {
		more = n->kind == N_PIPE;
		if (more && pipe2(fds, O_CLOEXEC) < 0) {
			complain("pipe: %s", strerror(errno));
			break;
		}
		pid = job_fork(&j, false);
		if (pid == 0) {
			if (in >= 0)
				dup2(in, 0);
			if (more)
				dup2(fds[1], 1);
			run_child(more ? n->left : n);
		}
		if (in >= 0)
			close(in);
		if (more)
			close(fds[1]);
		in = more ? fds[0] : -1;
	}
	if (in >= 0)
		close(in);
	return job_wait(&j);
}

/* The output of a command without its last newlines; its status becomes last_status. */
char *
capture(const char *text)
{
	struct text out = { "", 0, 0 };
	struct job j = { .text = (char *)text };
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		fail(1, "pipe: %s", strerror(errno));
	if (job_fork(&j, false) == 0) {
		dup2(fds[1], 1);
		shell_exit(run_text(text));
	}
	close(fds[1]);
	text_read(&out, fds[0]);
	close(fds[0]);
	last_status = job_wait(&j);
	captured = true;
	while (out.n > 0 && out.s[out.n - 1] == '\n')
		out.s[--out.n] = 0;
	return out.s;
}

/* ---- control ---- */

/* A status that only decides what comes next. */
static int
run_condition(struct node *n)
{
	in_condition++;
	last_status = run(n);
	in_condition--;
	return last_status;
}

/* After a round of a loop: does a break, a continue of an outer loop or a return end it? */
static bool
loop_ends(void)
{
	bool again = flow == FLOW_CONTINUE && flow_count <= 1;

	if (flow == FLOW_NONE || flow == FLOW_RETURN)
		return flow == FLOW_RETURN;
	if (--flow_count <= 0)
		flow = FLOW_NONE;
	return !again;
}

static int
run_while(struct node *n)
{
	int status = 0;

	while ((run_condition(n->cond) == 0) == (n->kind == N_WHILE)) {
		if (flow == FLOW_NONE)
			status = run(n->left);
		if (loop_ends())
			break;
	}
	return status;
}

static int
run_for(struct node *n)
{
	int count, status = 0;
	char **values = expand_words(n->words->next, &count);

	for (int i = 0; i < count; i++) {
		var_set(n->words->text, values[i]);
		status = run(n->left);
		if (loop_ends())
			break;
	}
	return status;
}

static int
run_case(struct node *n)
{
	char *subject = expand_string(n->words->text);

	for (n = n->right; n; n = n->right) {
		for (struct word *w = n->words; w; w = w->next) {
			if (pattern_match(expand_pattern(w->text), subject))
				return n->left ? run(n->left) : 0;
		}
	}
	return 0;
}

/* A compound command with redirections. */
static int
run_redirected(struct node *n)
{
	int level = saved_count, status = 1;

	if (redirect(n->redirs, true))
		status = run(n->left);
	redirect_undo(level);
	return status;
}

static int
run_list(struct node *n)
{
	int status = 0;

	for (; n && flow == FLOW_NONE; n = n->right)
		status = last_status = run(n->left);
	return status;
}

static int
run_kind(struct node *n)
{
	bool ok;

	switch (n->kind) {
	case N_SIMPLE: return run_simple(n, false);
	case N_PIPE: return run_pipe(n);
	case N_LIST: return run_list(n);
	case N_BACKGROUND: case N_SUBSHELL: return run_forked(n);
	case N_REDIRECTED: return run_redirected(n);
	case N_WHILE: case N_UNTIL: return run_while(n);
	case N_FOR: return run_for(n);
	case N_CASE: return run_case(n);
	case N_NOT: return !run_condition(n->left);
	case N_AND: case N_OR:
		ok = run_condition(n->left) == 0;
		return flow || ok != (n->kind == N_AND) ? last_status : run(n->right);
	case N_IF:
		ok = run_condition(n->cond) == 0;
		return flow ? last_status : ok ? run(n->left) : n->right ? run(n->right) : 0;
	case N_FUNCTION:
		var_set(function_name(n->words->text), n->text);
		return 0;
	default: return 2;              /* N_ITEM is run_case's */
	}
}

int
run(struct node *n)
{
	struct mark m = mem_mark();
	int status;

	depth++;
	check_limits();
	status = run_kind(n);
	depth--;
	mem_release(m);
	last_status = status;
	if (option_e && status && !in_condition && (n->kind <= N_PIPE || n->kind == N_SUBSHELL))
		shell_exit(status);
	return status;
}
