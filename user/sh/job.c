/* job.c - the processes that the shell started, in groups.
 *
 * Idea.       A job is a pipeline. With job control (at a terminal that has a foreground group) each job is a process
 *             group of its own; whichever group is in the foreground gets ^C and ^Z from the terminal. Without,
 *             all processes stay in the shell's group and a job is just a list of processes to wait for.
 * Invariants. I1 every child of the shell is in exactly one job until it has been waited for.
 */
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

enum state { RUNNING, STOPPED, DONE };

struct process {
	struct process *next;
	pid_t pid;
	int status;                     /* as waitpid told */
	enum state state;
};

struct job {
	struct job *next;
	int id;                         /* 0: in the foreground, no number yet */
	pid_t group;                    /* 0: the shell's */
	struct process *processes;      /* the last of the pipeline first */
	char *text;
};

pid_t last_background;

static struct job *jobs;                /* the newest first */
static bool job_control;
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
	job_control = tcsetpgrp(0, getpgrp()) == 0;
}

struct job *
job_new(const char *text)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j || !(j->text = strdup(text)))
		fail(2, "out of memory");
	j->next = jobs;
	return jobs = j;
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

	if (job_control) {
		setpgid(0, j->group);
		if (!background)
			tcsetpgrp(0, getpgrp());
	}
	for (size_t i = 0; interactive && i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], SIG_DFL);
	if (background && !job_control) {       /* ^C and what is typed are not for it */
		signal(SIGINT, SIG_IGN);
		signal(SIGQUIT, SIG_IGN);
		close(0);
		open("/dev/null", O_RDONLY);
	}
	interactive = job_control = false;
	jobs = NULL;                            /* its parent's, not its own */
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
	if (job_control) {                      /* the child does the same: whoever comes first */
		j->group = j->group ? j->group : pid;
		setpgid(pid, j->group);
	}
	return pid;
}

/* A job runs while any of its processes does, and is stopped while none runs but one could. */
static enum state
job_state(struct job *j)
{
	enum state state = DONE;

	for (struct process *p = j->processes; p; p = p->next) {
		if (p->state < state)
			state = p->state;
	}
	return state;
}

/* Take one report of waitpid. Returns: false when there is none. */
static bool
wait_once(int options)
{
	int status;
	pid_t pid = waitpid(-1, &status, options | (job_control ? WUNTRACED : 0));

	check_limits();
	for (struct job *j = pid > 0 ? jobs : NULL; j; j = j->next) {
		for (struct process *p = j->processes; p; p = p->next) {
			if (p->pid == pid) {
				p->status = status;
				p->state = WIFSTOPPED(status) ? STOPPED : DONE;
			}
		}
	}
	return pid > 0 || (pid < 0 && errno == EINTR);
}

static void
job_number(struct job *j)
{
	int id = 1;

	for (struct job *k = jobs; k; k = k->next)
		id = k->id >= id ? k->id + 1 : id;
	j->id = j->id ? j->id : id;
}

/* Wait until no process of the job runs. If it ended it is forgotten, if it was stopped it is kept. */
int
job_wait(struct job *j)
{
	int status, sig;

	while (job_state(j) == RUNNING && wait_once(0))
		;
	status = j->processes ? j->processes->status : 127 << 8;
	sig = WIFSTOPPED(status) ? WSTOPSIG(status) : WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (job_control && j->group) {
		tcsetpgrp(0, getpgrp());
		if (sig)
			tcsetattr(0, TCSADRAIN, &shell_modes);
	}
	if (job_state(j) == STOPPED) {
		job_number(j);
		dprintf(2, "\n[%d] Stopped  %s\n", j->id, j->text);
		return 128 + sig;
	}
	job_free(j);
	if (sig == SIGINT && interactive) {
		interrupted = 1;
		check_limits();
	}
	if (sig && sig != SIGPIPE && sig != SIGINT)
		dprintf(2, "%s\n", strsignal(sig));
	return sig ? 128 + sig : WEXITSTATUS(status);
}

void
job_background(struct job *j)
{
	if (!j->processes) {                    /* fork failed */
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

	while (jobs && wait_once(WNOHANG))
		;
	for (struct job *j = jobs; j; j = next) {
		next = j->next;
		if (job_state(j) == DONE) {
			if (j->id)
				dprintf(2, "[%d] Done  %s\n", j->id, j->text);
			job_free(j);
		}
	}
}

/* ---- builtins ---- */

/* The job that "%2", "%%", a process number or nothing (the newest) stands for; NULL with a message. */
static struct job *
job_find(const char *name)
{
	for (struct job *j = jobs; j; j = j->next) {
		if (!name || strcmp(name, "%%") == 0 || (*name == '%' && j->id == atoi(name + 1)))
			return j;
		for (struct process *p = j->processes; p; p = p->next) {
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

/* fg and bg: let a stopped job go on. */
int
builtin_fg(char **argv)
{
	struct job *j = job_find(argv[1]);
	bool foreground = **argv == 'f';

	if (!j)
		return 1;
	for (struct process *p = j->processes; p; p = p->next)
		p->state = p->state == STOPPED ? RUNNING : p->state;
	dprintf(2, "%s\n", j->text);
	if (job_control && foreground)
		tcsetpgrp(0, j->group);
	kill(j->group ? -j->group : j->processes->pid, SIGCONT);
	return foreground ? job_wait(j) : 0;
}

/* wait [JOB...]: for all that run, if none is named. */
int
builtin_wait(char **argv)
{
	struct job *j, *next;
	int status = 0;

	for (j = argv[1] ? NULL : jobs; j; j = next) {
		next = j->next;
		if (job_state(j) != STOPPED)
			job_wait(j);
	}
	while (*++argv) {
		j = job_find(*argv);
		status = j ? job_wait(j) : 127;
	}
	return status;
}

/* kill [-SIGNAL] PID or %JOB...: the program kill, told the number of the job's process group. */
int
builtin_kill(char **argv)
{
	struct list out = { NULL, 0, 0 };
	struct job *j;

	for (; *argv; argv++) {
		j = **argv == '%' ? job_find(*argv) : NULL;
		if (**argv == '%' && !j)
			return 1;
		list_add(&out, j ? decimal(j->group ? -j->group : j->processes->pid) : *argv);
		if (out.n == 1 && argv[1] && *argv[1] != '-')
			list_add(&out, "-TERM");
	}
	j = job_new("kill");
	if (job_fork(j, false) == 0)
		exec_program(out.items);
	return job_wait(j);
}
