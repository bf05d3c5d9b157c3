/* run.c - the tree is run; jobs.
 *
 * Idea.       Each kind of node is run in its way, and has an exit status. Programs, pipelines, (...) and
 *             what is in the background run in forked children; all else in the shell itself.
 *             A redirection makes the descriptor a copy of another, by dup2, and is undone when its command
 *             has run; a pipe is two descriptors, each given so to one of two processes. No program knows.
 *             A job is a child of the shell, with its children. With job control (at a terminal) each job is
 *             a process group; the group in the foreground gets ^C and ^Z from the terminal. The shell waits
 *             for a job in the foreground; one that is stopped or in the background stays in the table.
 */
#include "user/sh/sh.h"

/* ---- redirections ---- */

static struct { int fd, copy; } saved[64];      /* what redirections hide, the innermost last */
static int saved_count;
static bool keep;                       /* exec: this command's redirections remain */

void
redirect_undo(int level)
{
	fflush(stdout);
	while (saved_count > level) {
		int fd = saved[--saved_count].fd, copy = saved[saved_count].copy;

		if (!keep) {
			close(fd);
			dup2(copy, fd);         /* fails if it was closed before: so it is again */
		}
		close(copy);
	}
	keep = false;
}

/* Carry out the redirections among the words, in order. Returns: false, with a message, when one fails. */
static bool
redirect(struct word *w)
{
	fflush(stdout);
	for (; w; w = w->next) {
		const char *name;
		int fd;

		if (!w->op || *w->op == '=')
			continue;
		name = expand_string(w->text);
		if (saved_count == sizeof saved / sizeof *saved)
			fail("too many redirections");
		saved[saved_count].copy = fcntl(w->fd, F_DUPFD_CLOEXEC, 10);
		saved[saved_count++].fd = w->fd;
		if (w->op[1] == '&' && strcmp(name, "-") == 0) {
			close(w->fd);
			continue;
		}
		if (w->op[1] == '&')
			fd = dup(isdigit((unsigned char)*name) ? atoi(name) : -1);
		else if (*w->op == '<')
			fd = open(name, O_RDONLY);
		else
			fd = open(name, O_WRONLY | O_CREAT | (w->op[1] == '>' ? O_APPEND : O_TRUNC), 0666);
		if (fd < 0 || dup2(fd, w->fd) < 0) {
			complain("%s: %s", name, strerror(errno));
			return false;
		}
		if (fd != w->fd)
			close(fd);
	}
	return true;
}

/* ---- jobs ---- */

struct job {
	pid_t pid;                      /* 0: this place in the table is free */
	int status;                     /* as waitpid told */
	bool stopped;
	char text[60];                  /* the line that was typed */
};

static struct job jobs[32];             /* the job at i has the number i + 1 */
static struct job *const jobs_end = jobs + sizeof jobs / sizeof *jobs;
static int terminal = -1;               /* with job control: a descriptor of it */
static struct termios shell_modes;
static char news[100];                  /* of the job waited for last; told when redirections are undone */

const char *job_text = "";
pid_t last_background;

/* The signals that the terminal sends. */
static void
set_signals(sighandler_t handler)
{
	static const int signals[] = { SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU };

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], handler);
}

void
job_init(void)
{
	set_signals(SIG_IGN);                   /* they, and SIGTERM, end or stop not the shell, but its children */
	signal(SIGTERM, SIG_IGN);
	if (tcgetpgrp(0) < 0 || tcgetattr(0, &shell_modes) < 0)
		return;
	setpgid(0, 0);
	if (tcsetpgrp(0, getpgrp()) == 0)
		terminal = fcntl(0, F_DUPFD_CLOEXEC, 10);
}

/* What has become of the job? With options 0, wait until it ended or is stopped. Returns: has it ended? */
static bool
job_poll(struct job *j, int options)
{
	pid_t pid;

	do {
		pid = waitpid(j->pid, &j->status, options | (terminal >= 0 ? WUNTRACED : 0));
		check_limits();
	} while (pid < 0 && errno == EINTR);
	if (pid > 0)
		j->stopped = WIFSTOPPED(j->status);
	return pid != 0 && !j->stopped;
}

int
builtin_jobs(char **argv)
{
	for (struct job *j = jobs; j < jobs_end; j++) {
		bool ended = j->pid && job_poll(j, WNOHANG);

		if (j->pid && (argv || (ended && interactive)))
			dprintf(2, "[%d] %s  %s\n", (int)(j - jobs) + 1, ended ? "Done" : j->stopped ? "Stopped" : "Running",
				j->text);
		if (ended)
			j->pid = 0;
	}
	return 0;
}

/* In the child: leave the shell's ways behind. */
static void
become_child(bool background)
{
	if (terminal >= 0) {
		setpgid(0, 0);
		if (!background)
			tcsetpgrp(terminal, getpgrp());
	} else if (background) {                /* ^C and what is typed are not for it */
		signal(SIGINT, SIG_IGN);
		close(0);
		open("/dev/null", O_RDONLY);
	}
	if (interactive) {
		set_signals(SIG_DFL);
		signal(SIGTERM, SIG_DFL);
	}
	interactive = false;
	terminal = -1;
	*news = 0;
	memset(jobs, 0, sizeof jobs);           /* its parent's, not its own */
}

/* Fork. Returns: NULL in the child. */
static struct job *
job_start(bool background)
{
	struct job *j = jobs;
	pid_t pid;

	while (j < jobs_end && j->pid)
		j++;
	fflush(stdout);
	pid = j < jobs_end ? fork() : -1;
	if (pid < 0)
		fail("cannot fork: %s", j < jobs_end ? strerror(errno) : "too many jobs");
	if (pid == 0) {
		become_child(background);
		return NULL;
	}
	j->pid = pid;
	snprintf(j->text, sizeof j->text, "%.*s", (int)strcspn(job_text, "\n"), job_text);
	if (terminal >= 0)                      /* the child does the same: whoever comes first */
		setpgid(pid, pid);
	if (background)
		last_background = pid;
	if (background && interactive)
		dprintf(2, "[%d] %d\n", (int)(j - jobs) + 1, pid);
	return j;
}

/* Wait for the job in the foreground. Returns: its exit status. */
static int
job_wait(struct job *j)
{
	bool ended = job_poll(j, 0);
	int sig = WIFSIGNALED(j->status) ? WTERMSIG(j->status) : 0;

	if (terminal >= 0) {
		tcsetpgrp(terminal, getpgrp());
		if (sig || !ended)
			tcsetattr(terminal, TCSADRAIN, &shell_modes);
	}
	if (!ended) {
		snprintf(news, sizeof news, "\n[%d] Stopped  %s\n", (int)(j - jobs) + 1, j->text);
		return 128 + WSTOPSIG(j->status);
	}
	j->pid = 0;
	if (sig == SIGINT && interactive)       /* ^C is for the shell, too: no more of this line */
		interrupted = true;
	check_limits();
	if (sig && sig != SIGPIPE && sig != SIGINT)
		snprintf(news, sizeof news, "%s\n", strsignal(sig));
	return sig ? 128 + sig : WEXITSTATUS(j->status);
}

/* fg and bg [%NUMBER]: let a stopped job go on, the newest if none is named. */
int
builtin_fg(char **argv)
{
	int number = argv[1] ? atoi(argv[1] + (*argv[1] == '%')) : 0;
	bool foreground = **argv == 'f';
	struct job *j = jobs_end;

	do {
		if (j-- == jobs)
			fail("%s: no such job", *argv);
	} while (!j->pid || (argv[1] && j - jobs + 1 != number));
	j->stopped = false;
	dprintf(2, "%s\n", j->text);
	if (terminal >= 0 && foreground)
		tcsetpgrp(terminal, j->pid);
	kill(terminal >= 0 ? -j->pid : j->pid, SIGCONT);
	return foreground ? job_wait(j) : 0;
}

/* wait [PID...]: for all that run, if none is named. */
int
builtin_wait(char **argv)
{
	int status = argv[1] ? 127 : 0;

	for (struct job *j = jobs; j < jobs_end; j++) {
		if (j->pid && argv[1] && atoi(argv[1]) == j->pid)
			status = job_wait(j);
		else if (j->pid && !argv[1] && !j->stopped)
			job_wait(j);
	}
	return status;
}

/* ---- simple commands ---- */

static bool captured;                   /* a $(...) in this command set last_status */

/* Become the program argv[0]; exit 127 or 126 if that cannot be. */
void
exec_program(char **argv)
{
	fflush(stdout);
	environ = var_environment();
	execvp(argv[0], argv);
	complain("%s: %s", argv[0], errno == ENOENT && !strchr(argv[0], '/') ? "not found" : strerror(errno));
	exit(errno == ENOENT ? 127 : 126);
}

/* Carry out the assignments at the head of a command. */
static void
assign(struct word *w, bool export)
{
	for (; w; w = w->next) {
		if (w->op && *w->op == '=')
			var_assign(expand_string(w->text), export);
	}
}

/* child: this process has nothing else to do, so it need not fork for a program. */
static int
run_simple(struct node *n, bool child)
{
	struct job *j;
	builtin_fn *builtin;
	char **argv;

	captured = false;
	argv = expand_words(n->words);
	if (!*argv) {
		assign(n->words, false);
		return captured ? last_status : 0;
	}
	builtin = builtin_find(*argv);
	if (builtin && n->assigns)
		unsupported("an assignment before the builtin %s", *argv);
	keep = builtin == builtin_exec;
	if (builtin)
		return builtin(argv);
	if (!child && (j = job_start(false)) != NULL)
		return job_wait(j);
	assign(n->words, true);
	exec_program(argv);
}

/* ---- children ---- */

static int run_kind(struct node *n, bool child);

/* In a pipeline's own process: wait for all its commands. It stops when those that are left have stopped, and
 * ends as the last one did: so when the shell hears of it, none of them reads the terminal any more. */
static _Noreturn void
wait_pipeline(int running, pid_t last)
{
	int status, result = 0, stopped = 0;
	pid_t pid;

	set_signals(SIG_IGN);                   /* the commands get them, too, and go first */
	while (running > 0) {
		pid = waitpid(-1, &status, WUNTRACED);
		if (pid < 0 && errno != EINTR)
			break;
		if (pid > 0 && WIFSTOPPED(status))
			stopped++;
		else if (pid > 0)
			running--;
		if (pid == last && !WIFSTOPPED(status))
			result = status;
		if (running > 0 && stopped >= running) {
			stopped = 0;
			raise(SIGSTOP);
		}
	}
	if (WIFSIGNALED(result)) {
		signal(WTERMSIG(result), SIG_DFL);
		raise(WTERMSIG(result));
	}
	exit(WEXITSTATUS(result));
}

static _Noreturn void run_child(struct node *n);

/* In a child: fork once more for each command, the output of each being the input of the next. */
static _Noreturn void
run_pipeline(struct node *n)
{
	int fds[2] = { 0, 1 }, in = 0, count = 0;
	bool more;
	pid_t pid;

	do {
		more = n->kind == N_PIPE;
		if (more && pipe2(fds, O_CLOEXEC) < 0)
			fail("pipe: %s", strerror(errno));
		pid = fork();
		if (pid < 0)
			fail("cannot fork: %s", strerror(errno));
		if (pid == 0) {
			dup2(in, 0);
			if (more) {
				dup2(fds[1], 1);
				close(fds[0]);
				close(fds[1]);
			}
			run_child(more ? n->left : n);
		}
		count++;
		if (in > 0)
			close(in);
		in = fds[0];
		if (more)
			close(fds[1]);
		n = n->right;
	} while (more);
	wait_pipeline(count, pid);
}

/* In a child: run the tree, and nothing else. */
static _Noreturn void
run_child(struct node *n)
{
	if (n->kind == N_PIPE)
		run_pipeline(n);
	exit(redirect(n->words) ? run_kind(n, true) : 1);
}

/* A pipeline, (...), or what is in the background. */
static int
run_forked(struct node *n)
{
	bool background = n->kind == N_BACKGROUND;
	struct job *j = job_start(background);

	if (!j)
		run_child(n->kind == N_PIPE ? n : n->left);
	return background ? 0 : job_wait(j);
}

char *
run_captured(const char *text)
{
	struct buf out = buf_new();
	struct job *j;
	int fds[2];
	ssize_t got;
	char c;

	if (pipe2(fds, O_CLOEXEC) < 0)
		fail("pipe: %s", strerror(errno));
	j = job_start(false);
	if (!j) {
		dup2(fds[1], 1);
		close(fds[0]);
		exit(run_input(&(struct input){ .text = { (char *)text, strlen(text), 0 } }));
	}
	close(fds[1]);
	while ((got = read(fds[0], &c, 1)) > 0 || (got < 0 && errno == EINTR)) {
		if (got > 0 && c)
			buf_add(&out, &c, 1);
	}
	close(fds[0]);
	last_status = job_wait(j);
	captured = true;
	while (out.n > 0 && out.s[out.n - 1] == '\n')
		out.s[--out.n] = 0;
	return out.s;
}

/* ---- control ---- */

static int
run_kind(struct node *n, bool child)
{
	int status = 0;

	switch (n->kind) {
	case N_SIMPLE: return run_simple(n, child);
	case N_NOT: return !run(n->left);
	case N_AND: return run(n->left) == 0 ? run(n->right) : last_status;
	case N_OR: return run(n->left) == 0 ? 0 : run(n->right);
	case N_IF: return run(n->cond) == 0 ? run(n->left) : n->right ? run(n->right) : 0;
	case N_WHILE:
		while (run(n->cond) == 0)
			status = run(n->left);
		return status;
	case N_FOR:
		for (char **value = expand_words(n->words->next); *value; value++) {
			var_assign(join(n->words->text, "=", *value), false);
			status = run(n->left);
		}
		return status;
	case N_LIST:
		for (; n; n = n->right)
			status = run(n->left);
		return status;
	default:
		return run_forked(n);           /* N_PIPE N_BACKGROUND N_SUBSHELL */
	}
}

int
run(struct node *n)
{
	const size_t mark = mem_used;
	const int level = saved_count;

	depth++;
	check_limits();
	last_status = redirect(n->words) ? run_kind(n, false) : 1;
	redirect_undo(level);
	dprintf(2, "%s", news);
	*news = 0;
	depth--;
	mem_used = mark;
	return last_status;
}
