/* job.c - the processes that the shell started, in groups.
 *
 * Idea.       A job is a pipeline. With job control (a terminal that has a foreground group) each job is a process
 *             group of its own; whichever group is in the foreground gets ^C and ^Z from the terminal. Without,
 *             all processes stay in the shell's group and a job is just a list of processes to wait for.
 * Invariants. I1 every child of the shell is in exactly one job until waited for.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "user/sh/sh.h"

struct process {
	struct process *next;
	pid_t pid;
	int status;
	enum { RUNNING, STOPPED, DONE } state;
};

struct job {
	struct job *next;
	int id;                         /* 0: in the foreground, no number yet */
	pid_t group;                    /* 0: the shell's */
	struct process *processes;      /* the last of the pipeline first */
	char *text;
};

bool job_control;
pid_t last_background;

static struct job *jobs;
static pid_t shell_group;
static struct termios shell_modes;

void
job_init(void)
{
	if (tcgetpgrp(0) < 0 || tcgetattr(0, &shell_modes) < 0)
		return;
	signal(SIGTSTP, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	setpgid(0, 0);
	shell_group = getpgrp();
	job_control = tcsetpgrp(0, shell_group) == 0;
}

struct job *
job_new(const char *text)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j || !(j->text = strdup(text ? text : "")))
		fail(2, "out of memory");
	j->next = jobs;
	jobs = j;
	return j;
}

static void
job_free(struct job *j)
{
	struct job **p = &jobs;

	while (*p != j)
		p = &(*p)->next;
	*p = j->next;
	while (j->processes) {
		struct process *next = j->processes->next;

		free(j->processes);
		j->processes = next;
	}
	free(j->text);
	free(j);
}

/* In the child: leave the shell's ways behind. */
static void
become_child(struct job *j, bool background)
{
	static const int signals[] = { SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU };
	bool controlled = job_control;

	if (controlled) {
		setpgid(0, j->group);
		if (!background)
			tcsetpgrp(0, getpgrp());
	}
	if (interactive) {
		for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
			signal(signals[i], SIG_DFL);
	}
	if (background && !controlled) {
		int fd = open("/dev/null", O_RDONLY);

		signal(SIGINT, SIG_IGN);
		signal(SIGQUIT, SIG_IGN);
		if (fd >= 0) {
			dup2(fd, 0);
			close(fd);
		}
	}
	interactive = job_control = false;
	jobs = NULL;                    /* its parent's, not its own */
}

pid_t
job_fork(struct job *j, bool background)
{
	struct process *p = calloc(1, sizeof *p);
	pid_t pid;

	fflush(stdout);
	pid = p ? fork() : -1;
	if (pid < 0) {
		free(p);
		complain("cannot fork: %s", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		become_child(j, background);
		return 0;
	}
	p->pid = pid;
	p->next = j->processes;
	j->processes = p;
	if (job_control) {
		if (!j->group)
			j->group = pid;
		setpgid(pid, j->group);
	}
	return pid;
}

/* A job runs while any of its processes does, and is stopped while none runs but one could. */
static int
job_state(struct job *j)
{
	int state = DONE;

	for (struct process *p = j->processes; p; p = p->next) {
		if (p->state == RUNNING)
			return RUNNING;
		if (p->state == STOPPED)
			state = STOPPED;
	}
	return state;
}

static int
shell_status(int status)
{
	if (WIFSTOPPED(status))
		return 128 + WSTOPSIG(status);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Take one report of waitpid. Returns: false when there was none. */
static bool
wait_once(int options)
{
	int status;
	pid_t pid = waitpid(-1, &status, options | (job_control ? WUNTRACED : 0));

	if (pid < 0 && errno == EINTR)
		return !interrupted;
	if (pid <= 0)
		return false;
	for (struct job *j = jobs; j; j = j->next) {
		for (struct process *p = j->processes; p; p = p->next) {
			if (p->pid == pid) {
				p->status = status;
				p->state = WIFSTOPPED(status) ? STOPPED : DONE;
			}
		}
	}
	return true;
}

static void
job_number(struct job *j)
{
	int id = 1;

	for (struct job *k = jobs; k; k = k->next) {
		if (k->id >= id)
			id = k->id + 1;
	}
	if (!j->id)
		j->id = id;
}

/* Wait until no process of the job runs.
 * Returns: the shell's status for its last process. A job that ended is forgotten, a stopped one is kept. */
int
job_wait(struct job *j)
{
	int status;

	while (job_state(j) == RUNNING && wait_once(0))
		;
	status = j->processes ? j->processes->status : 127 << 8;
	if (job_control && j->group) {
		tcsetpgrp(0, shell_group);
		if (WIFSTOPPED(status) || WIFSIGNALED(status))
			tcsetattr(0, TCSADRAIN, &shell_modes);
	}
	if (job_state(j) == RUNNING)            /* ^C while waiting in a builtin */
		return 130;
	if (job_state(j) == STOPPED) {
		job_number(j);
		dprintf(2, "\n[%d] Stopped  %s\n", j->id, j->text);
		return shell_status(status);
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT && interactive) {
		interrupted = 1;
		write(2, "\n", 1);
	} else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGPIPE && WTERMSIG(status) != SIGINT) {
		dprintf(2, "%s\n", strsignal(WTERMSIG(status)));
	}
	job_free(j);
	return shell_status(status);
}

void
job_background(struct job *j)
{
	if (!j->processes) {
		job_free(j);
		return;
	}
	job_number(j);
	last_background = j->processes->pid;
	if (interactive)
		dprintf(2, "[%d] %d\n", j->id, last_background);
}

void
job_report(void)
{
	struct job *next;

	if (!jobs)
		return;
	while (wait_once(WNOHANG))
		;
	for (struct job *j = jobs; j; j = next) {
		next = j->next;
		if (job_state(j) == DONE) {
			dprintf(2, "[%d] Done  %s\n", j->id, j->text);
			job_free(j);
		}
	}
}

/* The job that "%2", "%%", a process number or nothing (the newest) stands for; NULL with a message. */
static struct job *
job_find(const char *name)
{
	for (struct job *j = jobs; j; j = j->next) {
		if (!name || strcmp(name, "%%") == 0 || strcmp(name, "%+") == 0)
			return j;
		if (*name == '%' && j->id == atoi(name + 1))
			return j;
		for (struct process *p = j->processes; p && *name != '%'; p = p->next) {
			if (p->pid == atoi(name))
				return j;
		}
	}
	complain("no such job: %s", name ? name : "(none)");
	return NULL;
}

int
builtin_jobs(char **argv)
{
	static const char *const names[] = { "Running", "Stopped", "Done" };

	(void)argv;
	while (jobs && wait_once(WNOHANG))
		;
	for (struct job *j = jobs; j; j = j->next) {
		if (j->id)
			printf("[%d] %s  %s\n", j->id, names[job_state(j)], j->text);
	}
	return 0;
}

/* Let a stopped job go on. */
static struct job *
job_continue(char **argv, bool foreground)
{
	struct job *j = job_find(argv[1]);

	if (!j)
		return NULL;
	for (struct process *p = j->processes; p; p = p->next) {
		if (p->state == STOPPED)
			p->state = RUNNING;
	}
	dprintf(2, "%s\n", j->text);
	if (job_control && foreground)
		tcsetpgrp(0, j->group);
	kill(j->group ? -j->group : j->processes->pid, SIGCONT);
	return j;
}

int
builtin_fg(char **argv)
{
	struct job *j = job_continue(argv, true);

	return j ? job_wait(j) : 1;
}

int
builtin_bg(char **argv)
{
	return job_continue(argv, false) ? 0 : 1;
}

int
builtin_wait(char **argv)
{
	int status = 0;
	struct job *j, *next;

	for (argv++; *argv; argv++) {
		j = job_find(*argv);
		status = j ? job_wait(j) : 127;
		if (!argv[1])
			return status;
	}
	for (j = jobs; j && !interrupted; j = next) {
		next = j->next;
		if (job_state(j) != STOPPED)
			job_wait(j);
	}
	return status;
}

/* The number of a signal given as 9, KILL or SIGKILL; -1 if there is none such. */
static int
signal_number(const char *name)
{
	static const char *const names[] = {
		"0", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
		"ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU"
	};

	if (isdigit(*name))
		return atoi(name);
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 1; i < (int)(sizeof names / sizeof *names); i++) {
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	return -1;
}

int
builtin_kill(char **argv)
{
	int sig = SIGTERM, status = 0;

	argv++;
	if (*argv && **argv == '-' && strcmp(*argv, "--") != 0) {
		sig = signal_number(*argv + 1);
		if (strcmp(*argv, "-s") == 0 && argv[1])
			sig = signal_number(*++argv);
		argv++;
	}
	if (sig < 0 || !*argv) {
		complain("usage: kill [-SIGNAL] PID or %%JOB ...");
		return 2;
	}
	for (argv += strcmp(*argv, "--") == 0; *argv; argv++) {
		struct job *j = **argv == '%' ? job_find(*argv) : NULL;
		pid_t pid = **argv != '%' ? atoi(*argv) : !j ? 0 : j->group ? -j->group : j->processes->pid;

		if ((**argv == '%' && !j) || kill(pid, sig) < 0) {
			complain("kill %s: %s", *argv, strerror(errno));
			status = 1;
		}
	}
	return status;
}
