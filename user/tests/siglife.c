/* siglife.c - signals and the life of processes, at random: stopping, groups, children, fork, exec, orphans, permission.  (lab 11)
 *
 * Idea.       siglife [SEED [WHAT]]. Children are stopped, continued, ended and waited for in random order; what a child
 *             inherits is told; WHAT is a set of letters, as at the end of the file. Nothing depends on who is faster.
 */
#define _GNU_SOURCE
#include <sys/wait.h>
#include <time.h>
#include "dice.h"
#include "sigset.h"

static const char *self;

/* A child in a group of its own (or in group g) that does nothing until a signal ends it. */
static int
sleeper(int g)
{
	int pid = fork();

	if (pid == 0) {
		setpgid(0, g);
		for (;;)
			pause();
	}
	setpgid(pid, g ? g : pid);
	return pid;
}

/* ---- stop and continue ---- */

static void
stop_and_continue(void)
{
	static const int stops[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };
	int pid = sleeper(0), stopped = 0, status;

	for (int i = 0; i < 14; i++) {
		if (roll(2)) {
			int sig = stops[roll(4)];

			kill(pid, sig);
			if (!stopped) {
				say("stop: %s, ", waitpid(pid, &status, WUNTRACED) == pid ? "told" : "WRONG");
				say_status("it", status);
			}
			stopped = 1;
		} else {
			kill(pid, SIGCONT);
			if (stopped)
				say("continue: %s %d\n", waitpid(pid, &status, WCONTINUED) == pid ? "told" : "WRONG", WIFCONTINUED(status));
			stopped = 0;
		}
		say("no more news: %d\n", waitpid(pid, &status, WNOHANG | WUNTRACED | WCONTINUED));
	}
	kill(pid, roll(2) ? SIGKILL : SIGTERM);
	if (stopped)                                     /* TERM only counts when it goes on; KILL at once */
		kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	say_status("end", status);
}

/* ---- what the parent hears ---- */

static volatile int heard, last_code, last_status, last_pid;

static void
on_child(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	heard++;
	last_code = info->si_code;
	last_status = info->si_status;
	last_pid = info->si_pid;
}

/* Until `heard` has moved on from `was`; the mask is open meanwhile. */
static void
hear(int was)
{
	uint64_t none = 0;

	while (heard == was)
		syscall(SYS_rt_sigsuspend, &none, 8);
}

static void
children(void)
{
	set_mask(SIG_BLOCK, BIT(SIGCHLD));
	for (int i = 0; i < 8; i++) {
		int was = heard, how = (int)roll(3), code = (int)roll(256), flags = roll(3) ? 0 : SA_NOCLDSTOP, pid, status;

		act_on(SIGCHLD, on_child, flags, 0);
		pid = sleeper(0);
		if (how == 0) {
			kill(pid, SIGSTOP);
			waitpid(pid, &status, WUNTRACED);
			if (!flags)
				hear(was);
			say("stopped: heard %d code %d status %d\n", heard - was, last_code, last_status);
			was = heard;
			kill(pid, SIGKILL);
		} else if (how == 1) {
			kill(pid, SIGTERM);
		} else {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			hear(was);
			was = heard;
			if ((pid = fork()) == 0)
				_exit(code);
		}
		hear(was);
		say("ended: heard %d from it %d code %d status %d\n", heard - was, last_pid == pid, last_code, last_status);
		say("taken: %d\n", waitpid(pid, &status, 0) == pid);
	}
	act_on(SIGCHLD, on_child, SA_NOCLDWAIT, 0);
	for (int i = 0; i < 3; i++)
		if (fork() == 0)
			_exit(3);
	say("nobody to wait for: %d errno %d\n", (int)wait(NULL), errno);
	signal(SIGCHLD, SIG_IGN);
	if (fork() == 0)
		_exit(3);
	say("ignored: %d errno %d\n", (int)wait(NULL), errno);
}

/* ---- groups ---- */

static void
groups(void)
{
	int pid[12], group[12], lead[3], n = 4 + (int)roll(8), status;

	for (int i = 0; i < 3; i++)
		lead[i] = pid[i] = sleeper(0), group[i] = i;
	for (int i = 3; i < n; i++)
		pid[i] = sleeper(lead[group[i] = (int)roll(3)]);
	for (int k = 0; k < 3; k++) {
		int g = (int)roll(3), sig = 34 + (int)roll(10);

		say("kill group %d with %d: %d\n", g, sig, kill(-lead[g], sig));
		for (int i = 0; i < n; i++)
			if (group[i] == g && pid[i] > 0) {
				say("member %d: %d, ", i, waitpid(pid[i], &status, 0) == pid[i]);
				say_status("it", status);
				pid[i] = 0;
			}
	}
	for (int i = 0; i < n; i++)
		if (pid[i] > 0) {
			say("left %d: %d\n", i, kill(pid[i], 0));
			kill(pid[i], SIGKILL);
			waitpid(pid[i], &status, 0);
		}
	say("a group without members: %d errno %d\n", kill(-lead[0], 0), errno);
}

/* ---- what is inherited ---- */

static void
noop(int sig)
{
	(void)sig;
}

/* Prints what this process has: mask, pending, and which signals are ignored, handled. */
static void
tell(const char *who)
{
	uint64_t ignored = 0, handled = 0;
	struct sigaction act;
	stack_t ss;

	for (int sig = 1; sig <= 64; sig++) {
		if (sig == 32 || sig == 33 || sigaction(sig, NULL, &act) != 0)
			continue;
		if (act.sa_handler == SIG_IGN)
			ignored |= BIT(sig);
		else if (act.sa_handler != SIG_DFL)
			handled |= BIT(sig);
	}
	sigaltstack(NULL, &ss);
	say("%s: mask %lx pending %lx ignored %lx handled %lx stack %d\n", who, get_mask(), get_pending(), ignored, handled, ss.ss_flags);
}

static void
inherit(void)
{
	static char stack[32768];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof stack };
	int status;

	for (int i = 0; i < 12; i++) {
		int sig = 1 + (int)roll(64);

		if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33 || sig == SIGCHLD)
			continue;
		if (roll(2))
			act_simple(sig, roll(2) ? SIG_IGN : noop);
		if (roll(2)) {
			set_mask(SIG_BLOCK, BIT(sig));
			kill(getpid(), sig);
		}
	}
	if (roll(2))
		sigaltstack(&ss, NULL);
	tell("parent");
	if (fork() == 0) {
		tell("child");
		execl(self, self, "0", "T", (char *)NULL);
		_exit(9);
	}
	wait(&status);
	say_status("child", status);
	tell("parent");
	execl(self, self, "0", "T", (char *)NULL);
}

static void
tell_after_exec(void)
{
	tell("after exec");
}

/* ---- orphaned groups ---- */

static int report_to[2], salt;

static void
woken(int sig)
{
	int said = sig * 1000 + salt;

	write(report_to[1], &said, sizeof said);
}

/* A member of the group; it says what wakes it. */
static int
orphan_to_be(int group, int stop)
{
	int pid = fork(), status;

	if (pid == 0) {
		setpgid(0, group);
		if (stop)
			kill(getpid(), SIGSTOP);
		for (;;)
			pause();
	}
	setpgid(pid, group);
	if (stop)
		waitpid(pid, &status, WUNTRACED);
	return pid;
}

/* A group loses the only one who could continue it: if some of it is stopped, all of it gets HUP and CONT. */
static void
orphan_group(void)
{
	int n = 1 + (int)roll(3), stop[3], group = 0, stopped = 0, sum = 0, said, status, parent;

	salt = (int)roll(1000);
	for (int i = 0; i < n; i++)
		stopped += stop[i] = (int)roll(2);
	pipe(report_to);
	parent = fork();
	if (parent == 0) {
		act_simple(SIGHUP, woken);           /* before there is a child that could be woken */
		act_simple(SIGCONT, woken);
		for (int i = 0; i < n; i++) {
			int pid = orphan_to_be(group, stop[i]);

			group = group ? group : pid;
		}
		write(report_to[1], &group, sizeof group);
		_exit(stopped);
	}
	waitpid(parent, &status, 0);
	say("%d of a group of %d are stopped\n", WEXITSTATUS(status), n);
	read(report_to[0], &group, sizeof group);
	for (int i = 0; stopped && i < 2 * n; i++)
		sum += read(report_to[0], &said, sizeof said) == sizeof said ? said : 0;
	say("they got %d\n", sum);
	say("alive: %d\n", kill(-group, 0));
	kill(-group, SIGKILL);
	close(report_to[0]);
	close(report_to[1]);
}

static void
orphans(void)
{
	for (int i = 0; i < 5; i++)
		orphan_group();
}

/* ---- permission ---- */

static void
permission(void)
{
	static const int who[] = { 0, 1000, 1001 };
	int target, status;

	if (getuid() != 0) {
		say("only for root\n");
		return;
	}
	for (int i = 0; i < 16; i++) {
		int a = who[roll(3)], b = who[roll(3)], sig = roll(3) ? 0 : SIGCONT, session = roll(2), go[2];
		char c;

		pipe(go);
		target = fork();
		if (target == 0) {
			if (session)
				setsid();
			setuid(b);
			write(go[1], "x", 1);
			for (;;)
				pause();
		}
		read(go[0], &c, 1);
		if (fork() == 0) {
			int r = setuid(a) ? -2 : kill(target, sig);

			say("uid %d to uid %d, signal %d, other session %d: %d errno %d\n", a, b, sig, session, r, r ? errno : 0);
			_exit(0);
		}
		wait(&status);
		kill(target, SIGKILL);
		waitpid(target, &status, 0);
		close(go[0]);
		close(go[1]);
	}
}

/* ---- interrupted calls ---- */

static volatile int ticks;

static void
tick(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	ticks++;
}

/* A child that sends us `sig` again and again, `times` times, or until it is killed; then it writes a byte. */
static int
pester(int sig, int times, int fd)
{
	struct timespec pause_ns = { 0, 2000000 };
	int pid = fork();

	if (pid == 0) {
		for (int i = 0; times < 0 || i < times; i++) {
			nanosleep(&pause_ns, NULL);
			kill(getppid(), sig);
		}
		nanosleep(&pause_ns, NULL);
		write(fd, "x", 1);
		_exit(7);
	}
	return pid;
}

static void
interrupted(void)
{
	struct timespec long_time = { 60, 0 }, left;

	for (int i = 0; i < 5; i++) {
		int p[2], restart = (int)roll(2), what = (int)roll(3), sig = 34 + (int)roll(8), status, r, pid;
		char c;

		pipe(p);
		ticks = 0;
		act_on(sig, tick, restart ? SA_RESTART : 0, 0);
		if (what == 2)
			restart = 0;                     /* a sleep is not restarted after a handler */
		pid = pester(sig, restart ? 4 : -1, p[1]);
		errno = 0;
		r = what == 0 ? (int)read(p[0], &c, 1) : what == 1 ? (waitpid(pid, &status, 0) == pid ? 1 : -1) : nanosleep(&long_time, &left);
		say("call %d, restart %d: %d, errno %d, handler ran: %d\n", what, restart, r, r < 0 ? errno : 0, ticks > 0);
		kill(pid, SIGKILL);
		do
			r = waitpid(pid, &status, 0);
		while (r < 0 && errno == EINTR);
		close(p[0]);
		close(p[1]);
	}
}

int
main(int argc, char **argv)
{
	static const struct { char letter; void (*fn)(void); } all[] = {
		{ 's', stop_and_continue }, { 'c', children }, { 'g', groups }, { 'i', inherit }, { 'T', tell_after_exec },
		{ 'o', orphans }, { 'p', permission }, { 'b', interrupted } };

	self = argv[0];
	dice_seed(argc > 1 ? argv[1] : NULL);
	for (const char *w = argc > 2 ? argv[2] : "scgiopb"; *w; w++)
		for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
			if (all[i].letter == *w && *w == 'T')
				all[i].fn();
			else if (all[i].letter == *w)
				in_child("all", all[i].fn);
	return 0;
}
