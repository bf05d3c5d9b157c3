/* run.c - running the tree.
 *
 * Idea.       run() is one case per kind of node and returns the exit status. What must not change the shell
 *             itself (programs, pipelines, subshells, background) runs in forked children; builtins and functions
 *             run here, with their redirections undone afterwards.
 * Invariants. I1 saved[] holds, innermost last, the descriptors that redirections of builtins hide.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "user/sh/sh.h"

#define SAVED_MAX 64

struct function {
	struct function *next;
	char *name, *text;
};

enum flow_kind flow;
int flow_count;

static struct { int fd, copy; } saved[SAVED_MAX];
static int saved_count;
static struct function *functions;
static bool captured;                   /* a $(...) set last_status during the expansion */
static int condition_depth;             /* inside if, while, &&, ||, !: set -e does not apply */

/* ---- redirections */

/* Make `fd` refer to what `from` does, which is closed then. `undo`: remember what fd was. */
static bool
redirect(int fd, int from, bool undo)
{
	if (undo && saved_count < SAVED_MAX) {
		saved[saved_count].fd = fd;
		saved[saved_count++].copy = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	}
	if (from == fd)
		return true;
	if (dup2(from, fd) < 0) {
		complain("%d: %s", fd, strerror(errno));
		close(from);
		return false;
	}
	close(from);
	return true;
}

static void
redir_undo(int level)
{
	fflush(stdout);
	while (saved_count > level) {
		saved_count--;
		if (saved[saved_count].copy >= 0) {
			dup2(saved[saved_count].copy, saved[saved_count].fd);
			close(saved[saved_count].copy);
		} else {
			close(saved[saved_count].fd);
		}
	}
}

/* A descriptor from which the here-document can be read: a pipe, filled by a child if it is long. */
static int
here_open(struct redir *r)
{
	const char *body = r->quoted ? r->text : expand_here(r->text);
	size_t n = strlen(body);
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	if (n <= 4096) {
		write(fds[1], body, n);
	} else if (fork() == 0) {
		close(fds[0]);
		_exit(write(fds[1], body, n) < 0);
	}
	close(fds[1]);
	return fds[0];
}

static int
file_open(struct redir *r, const char *name)
{
	int flags = O_RDONLY;

	if (strcmp(r->op, ">") == 0)
		flags = O_WRONLY | O_CREAT | O_TRUNC;
	else if (strcmp(r->op, ">>") == 0)
		flags = O_WRONLY | O_CREAT | O_APPEND;
	else if (strcmp(r->op, "<>") == 0)
		flags = O_RDWR | O_CREAT;
	return open(name, flags, 0666);
}

/* Carry out all redirections, in order. Returns: false at the first that fails, after a message. */
static bool
redir_apply(struct redir *r, bool undo)
{
	fflush(stdout);
	for (; r; r = r->next) {
		bool here = strncmp(r->op, "<<", 2) == 0;
		char *name = here ? "here-document" : expand_string(r->text);
		int fd;

		if (!here && r->op[1] == '&') {
			if (strcmp(name, "-") == 0) {
				redirect(r->fd, r->fd, undo);
				close(r->fd);
				continue;
			}
			fd = dup(atoi(name));
		} else {
			fd = here ? here_open(r) : file_open(r, name);
		}
		if (fd < 0) {
			complain("%s: %s", name, strerror(errno));
			return false;
		}
		if (!redirect(r->fd, fd, undo))
			return false;
	}
	return true;
}

void
run_reset(void)
{
	redir_undo(0);
	flow = FLOW_NONE;
	condition_depth = 0;
}

/* ---- programs */

static void
exec_path(char *path, char **argv)
{
	char **script;
	int n = 0;

	execve(path, argv, var_environment());
	if (errno != ENOEXEC)
		return;
	while (argv[n])                         /* a text without #!: run it ourselves */
		n++;
	script = mem_alloc((n + 2) * sizeof *script);
	script[0] = "/bin/sh";
	script[1] = path;
	memcpy(script + 2, argv + 1, n * sizeof *script);
	execve(script[0], script, var_environment());
}

/* Become the program argv[0], looked for along PATH. Does not return; exits 127 or 126 when it cannot. */
void
exec_program(char **argv)
{
	const char *dir = var_get("PATH"), *end;
	int error = ENOENT;

	fflush(stdout);
	if (strchr(argv[0], '/')) {
		exec_path(argv[0], argv);
		error = errno;
	} else {
		for (dir = dir ? dir : "/bin:/usr/bin"; ; dir = end + 1) {
			char *path = mem_alloc(strlen(dir) + strlen(argv[0]) + 2);

			end = dir + strcspn(dir, ":");
			sprintf(path, "%.*s%s%s", (int)(end - dir), dir, end > dir ? "/" : "", argv[0]);
			exec_path(path, argv);
			if (errno != ENOENT && errno != ENOTDIR)
				error = errno;
			if (!*end)
				break;
		}
	}
	complain("%s: %s", argv[0], error == ENOENT && !strchr(argv[0], '/') ? "not found" : strerror(error));
	exit(error == ENOENT ? 127 : 126);
}

/* ---- functions */

static struct function *
function_find(const char *name)
{
	struct function *f = functions;

	while (f && strcmp(f->name, name) != 0)
		f = f->next;
	return f;
}

bool
function_remove(const char *name)
{
	for (struct function **p = &functions; *p; p = &(*p)->next) {
		struct function *f = *p;

		if (strcmp(f->name, name) == 0) {
			*p = f->next;
			free(f->name);
			free(f->text);
			free(f);
			return true;
		}
	}
	return false;
}

static int
function_define(struct node *n)
{
	struct function *f = malloc(sizeof *f);

	function_remove(n->words->text);
	if (!f)
		return 1;
	f->name = strdup(n->words->text);
	f->text = strdup(n->text);
	f->next = functions;
	functions = f;
	return 0;
}

/* Run a function with argv as $1 ... ; its text is parsed anew, so it may even redefine itself. */
static int
function_run(struct function *f, char **argv, int argc)
{
	char **outer_args = args;
	int outer_count = arg_count, status;

	args = argv + 1;
	arg_count = argc - 1;
	status = run_text(mem_string(f->text, strlen(f->text)));
	if (flow == FLOW_RETURN)
		flow = FLOW_NONE;
	args = outer_args;
	arg_count = outer_count;
	return status;
}

/* ---- simple commands */

static bool
is_assignment(const char *word)
{
	size_t n = strcspn(word, "=");

	return word[n] && name_valid(word, n);
}

/* Carry out the assignments at the head of the words. `exported`: they are for a program only. */
static void
assign(struct word *w, struct word *end, bool exported)
{
	for (; w != end; w = w->next) {
		size_t n = strcspn(w->text, "=");
		char *name = mem_string(w->text, n);

		var_set(name, expand_string(w->text + n + 1));
		if (exported)
			var_export(name);
	}
}

/* Run a builtin or a function in the shell itself; variables assigned for it get their old values back. */
static int
run_inside(struct node *n, struct word *first, builtin_fn *builtin, char **argv, int argc)
{
	int level = saved_count, status = 1, count = 0, i = 0;
	const char **old;

	for (struct word *w = n->words; w != first; w = w->next)
		count++;
	old = mem_alloc((count + 1) * sizeof *old);
	for (struct word *w = n->words; w != first; w = w->next) {
		const char *value = var_get(mem_string(w->text, strcspn(w->text, "=")));

		old[i++] = value ? mem_string(value, strlen(value)) : NULL;
	}
	assign(n->words, first, false);
	if (redir_apply(n->redirs, true))
		status = builtin ? builtin(argv) : function_run(function_find(argv[0]), argv, argc);
	redir_undo(level);
	i = 0;
	for (struct word *w = n->words; w != first; w = w->next) {
		char *name = mem_string(w->text, strcspn(w->text, "="));

		if (old[i])
			var_set(name, old[i]);
		else
			var_unset(name);
		i++;
	}
	return status;
}

static int
run_program(struct node *n, struct word *first, char **argv, bool last)
{
	struct job *j = NULL;
	pid_t pid = 0;

	if (!last) {
		j = job_new(n->text);
		pid = job_fork(j, false);
	}
	if (pid == 0) {
		if (!redir_apply(n->redirs, false))
			exit(1);
		assign(n->words, first, true);
		exec_program(argv);
	}
	return job_wait(j);
}

/* No command, only assignments and redirections. */
static int
run_bare(struct node *n)
{
	int level = saved_count;
	bool ok = redir_apply(n->redirs, true);

	assign(n->words, NULL, false);
	redir_undo(level);
	return !ok ? 1 : captured ? last_status : 0;
}

static int
run_simple(struct node *n, bool last)
{
	struct word *first = n->words;
	builtin_fn *builtin;
	char **argv;
	int argc;

	while (first && is_assignment(first->text))
		first = first->next;
	captured = false;
	argv = expand_words(first, &argc);
	if (option_x && argc > 0) {
		dprintf(2, "+");
		for (int i = 0; i < argc; i++)
			dprintf(2, " %s", argv[i]);
		dprintf(2, "\n");
	}
	if (argc == 0)
		return run_bare(n);
	if (strcmp(argv[0], "exec") == 0) {
		if (!redir_apply(n->redirs, false))
			return 1;
		assign(n->words, first, true);
		if (argc > 1)
			exec_program(argv + 1);
		return 0;
	}
	builtin = function_find(argv[0]) ? NULL : builtin_find(argv[0]);
	if (builtin || function_find(argv[0]))
		return run_inside(n, first, builtin, argv, argc);
	return run_program(n, first, argv, last);
}

/* ---- everything else */

/* Fork for each command of the pipeline, the output of each being the input of the next. */
static int
run_pipe(struct node *n)
{
	struct job *j = job_new(n->text);
	int in = -1, fds[2];

	for (; n; n = n->kind == N_PIPE ? n->right : NULL) {
		bool more = n->kind == N_PIPE;
		pid_t pid;

		if (more && pipe2(fds, O_CLOEXEC) < 0) {
			complain("pipe: %s", strerror(errno));
			break;
		}
		pid = job_fork(j, false);
		if (pid == 0) {
			if (in >= 0)
				dup2(in, 0);
			if (more)
				dup2(fds[1], 1);
			shell_exit(run(more ? n->left : n, true));
		}
		if (in >= 0)
			close(in);
		if (more) {
			close(fds[1]);
			in = fds[0];
		}
		if (pid < 0)
			break;
	}
	return job_wait(j);
}

/* Run a subtree in a child, waited for or in the background. */
static int
run_child(struct node *tree, struct redir *redirs, const char *text, bool background)
{
	struct job *j = job_new(text);

	if (job_fork(j, background) == 0) {
		if (!redir_apply(redirs, false))
			exit(1);
		shell_exit(run(tree, true));
	}
	if (!background)
		return job_wait(j);
	job_background(j);
	return 0;
}

/* A status that only decides what comes next. */
static int
run_condition(struct node *n)
{
	int status;

	condition_depth++;
	status = run(n, false);
	condition_depth--;
	last_status = status;
	return status;
}

/* After a round of a loop: does a break, a continue to an outer loop, a return or ^C end it? */
static bool
loop_ends(void)
{
	if (flow == FLOW_NONE || interrupted)
		return interrupted;
	if (flow == FLOW_RETURN)
		return true;
	if (--flow_count > 0)
		return true;
	if (flow == FLOW_CONTINUE) {
		flow = FLOW_NONE;
		return false;
	}
	flow = FLOW_NONE;
	return true;
}

static int
run_while(struct node *n)
{
	int status = 0;

	while (!interrupted) {
		struct mark m = mem_mark();
		bool yes = (run_condition(n->cond) == 0) == (n->kind == N_WHILE);

		if (yes && flow == FLOW_NONE)
			status = run(n->left, false);
		mem_release(m);
		if (!yes || loop_ends())
			break;
	}
	return status;
}

static int
run_for(struct node *n)
{
	int count = arg_count, status = 0;
	char **values = args;

	if (!n->all)
		values = expand_words(n->words->next, &count);
	for (int i = 0; i < count; i++) {
		struct mark m = mem_mark();

		var_set(n->words->text, values[i]);
		status = run(n->left, false);
		mem_release(m);
		if (loop_ends())
			break;
	}
	return status;
}

static int
run_case(struct node *n)
{
	char *subject = expand_string(n->words->text);

	for (struct item *i = n->items; i; i = i->next) {
		for (struct word *w = i->patterns; w; w = w->next) {
			if (pattern_match(expand_pattern(w->text), subject))
				return i->body ? run(i->body, false) : 0;
		}
	}
	return 0;
}

static int
run_group(struct node *n)
{
	int level = saved_count, status = 1;

	if (redir_apply(n->redirs, true))
		status = run(n->left, false);
	redir_undo(level);
	return status;
}

static int
run_kind(struct node *n, bool last)
{
	int status;

	switch (n->kind) {
	case N_SIMPLE: return run_simple(n, last);
	case N_PIPE: return run_pipe(n);
	case N_AND: status = run_condition(n->left); return status || flow ? status : run(n->right, last);
	case N_OR: status = run_condition(n->left); return !status || flow ? status : run(n->right, last);
	case N_SEQ: last_status = run(n->left, false); return flow || interrupted ? last_status : run(n->right, last);
	case N_BACKGROUND: return run_child(n->left, NULL, n->text, true);
	case N_NOT: return !run_condition(n->left);
	case N_SUBSHELL: return run_child(n->left, n->redirs, n->text, false);
	case N_GROUP: return run_group(n);
	case N_IF:
		if (run_condition(n->cond) == 0)
			return flow ? last_status : run(n->left, last);
		return n->right && !flow ? run(n->right, last) : 0;
	case N_WHILE: case N_UNTIL: return run_while(n);
	case N_FOR: return run_for(n);
	case N_CASE: return run_case(n);
	case N_FUNCTION: return function_define(n);
	}
	return 2;
}

int
run(struct node *n, bool last)
{
	struct mark m = mem_mark();
	int status = run_kind(n, last);

	mem_release(m);
	last_status = status;
	if (option_e && status && !condition_depth && (n->kind == N_SIMPLE || n->kind == N_PIPE || n->kind == N_SUBSHELL))
		shell_exit(status);
	return status;
}

/* The output of a command without its last newlines; its status becomes last_status. */
char *
capture(const char *text)
{
	size_t n = 0, size = 256;
	char *out = mem_alloc(size);
	struct job *j;
	int fds[2];
	ssize_t got;

	captured = true;
	if (pipe2(fds, O_CLOEXEC) < 0)
		fail(1, "pipe: %s", strerror(errno));
	j = job_new(text);
	if (job_fork(j, false) == 0) {
		dup2(fds[1], 1);
		shell_exit(run_text(text));
	}
	close(fds[1]);
	while ((got = read(fds[0], out + n, size - n - 1)) > 0 || (got < 0 && errno == EINTR && !interrupted)) {
		n += got > 0 ? got : 0;
		if (n + 1 == size) {
			char *more = mem_alloc(size * 2);

			memcpy(more, out, n);
			out = more;
			size *= 2;
		}
	}
	close(fds[0]);
	last_status = job_wait(j);
	while (n > 0 && out[n - 1] == '\n')
		n--;
	out[n] = 0;
	return out;
}
