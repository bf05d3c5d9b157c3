/* job.c - the processes that the shell started, in groups.
 *
 * Idea.       A job is a pipeline. With job control (at a terminal that has a foreground group) each job is
 *             a process group of its own; whichever group is in the foreground gets ^C and ^Z from the
 *             terminal. Without, all processes stay in the shell's group. The shell waits for a job in the
 *             foreground; only those in the background, or stopped, are kept in a list.
 */
#include "user/sh/sh.h"

static struct job *jobs;                /* the newest first */
static bool job_control;
static struct termios shell_modes;

pid_t last_background;

void
job_init(void)
{
	signal(SIGQUIT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	if (tcgetpgrp(0) < 0 || tcgetattr(0, &shell_modes) < 0)
		return;
	signal(SIGTSTP, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	setpgid(0, 0);
	job_control = tcsetpgrp(0, getpgrp()) == 0;
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
	pid_t pid = -1;

	fflush(stdout);
	errno = E2BIG;
	if (j->count < JOB_MAX)
		pid = fork();
	if (pid < 0) {
		complain("cannot fork: %s", strerror(errno));
		j->status = 127 << 8;
	}
	if (pid == 0)
		become_child(j, background);
	if (pid <= 0)
		return pid;
	j->pids[j->count++] = j->last = pid;
	if (job_control) {                      /* the child does the same: whoever comes first */
		j->group = j->group ? j->group : pid;
		setpgid(pid, j->group);
	}
	return pid;
}

/* Take in what has become of the job's processes; with options 0, wait until they ended or one is stopped.
 * Returns: have all ended? */
static bool
job_poll(struct job *j, int options)
{
	while (j->count > 0 && !j->stopped) {
		pid_t first = j->pids[0];
		int status, pid = waitpid(first, &status, options | (job_control ? WUNTRACED : 0));

		if (j->id)                      /* ^C ends waiting for what is in the background; others it ends itself */
			check_limits();
		if (pid == 0)
			return false;
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid > 0 && (WIFSTOPPED(status) || first == j->last))
			j->status = status;
		j->stopped = pid > 0 && WIFSTOPPED(status);
		if (!j->stopped)
			memmove(j->pids, j->pids + 1, --j->count * sizeof first);
	}
	return j->count == 0;
}

/* Put the job into the list, if it is not yet there, with a number of its own. */
static struct job *
job_keep(struct job *j)
{
	struct job *copy;

	if (j->id)
		return j;
	copy = malloc(sizeof *j);
	if (!copy || !(j->text = strdup(j->text)))
		fail(2, "out of memory");
	*copy = *j;
	copy->id = jobs ? jobs->id + 1 : 1;
	copy->next = jobs;
	return jobs = copy;
}

/* Take the job out of the list, if it is there. */
static void
job_drop(struct job *j)
{
	for (struct job **p = &jobs; *p; p = &(*p)->next) {
		if (*p == j) {
			*p = j->next;
			free(j->text);
			free(j);
			return;
		}
	}
}

int
job_wait(struct job *j)
{
	bool done = job_poll(j, 0);
	int status = j->status, sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	if (job_control && j->group) {
		tcsetpgrp(0, getpgrp());
		if (sig || !done)
			tcsetattr(0, TCSADRAIN, &shell_modes);
	}
	if (!done) {
		j = job_keep(j);
		dprintf(2, "\n[%d] Stopped  %s\n", j->id, j->text);
		return 128 + WSTOPSIG(status);
	}
	job_drop(j);
	if (sig == SIGINT && interactive) {     /* ^C is for the shell, too: no more of this line */
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
	if (j->count == 0)                      /* fork failed */
		return;
	j = job_keep(j);
	last_background = j->last;
	if (interactive)
		dprintf(2, "[%d] %d\n", j->id, j->last);
}

void
job_report(void)
{
	struct job *next;

	for (struct job *j = jobs; j; j = next) {
		next = j->next;
		if (job_poll(j, WNOHANG)) {
			dprintf(2, "[%d] Done  %s\n", j->id, j->text);
			job_drop(j);
		}
	}
}

/* ---- builtins ---- */

/* The job that "%2", "%%", the number of its last process, or nothing stands for; NULL with a message. */
static struct job *
job_find(const char *name)
{
	for (struct job *j = jobs; j; j = j->next) {
		if (!name || strcmp(name, "%%") == 0 || atoi(name) == j->last || (*name == '%' && atoi(name + 1) == j->id))
			return j;
	}
	complain("no such job: %s", name ? name : "(none)");
	return NULL;
}

int
builtin_jobs(char **argv)
{
	(void)argv;
	for (struct job *j = jobs; j; j = j->next) {
		bool done = job_poll(j, WNOHANG);

		printf("[%d] %s  %s\n", j->id, done ? "Done" : j->stopped ? "Stopped" : "Running", j->text);
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
	j->stopped = false;
	dprintf(2, "%s\n", j->text);
	if (job_control && foreground)
		tcsetpgrp(0, j->group);
	kill(j->group ? -j->group : j->last, SIGCONT);
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
		if (!j->stopped)
			job_wait(j);
	}
	while (*++argv) {
		j = job_find(*argv);
		status = j ? job_wait(j) : 127;
	}
	return status;
}
