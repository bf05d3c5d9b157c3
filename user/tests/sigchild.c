/* sigchild.c - SIGCHLD: when it comes, restarted and interrupted waits, ignoring it.          (lab 11) */
#include <signal.h>
#include <time.h>
#include "say.h"

static volatile int caught, code, status_seen;
static volatile pid_t who;

static void
on_child(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	caught++;
	code = info->si_code;
	status_seen = info->si_status;
	who = info->si_pid;
}

static void
handle(int flags)
{
	struct sigaction act;

	memset(&act, 0, sizeof act);
	act.sa_sigaction = on_child;
	act.sa_flags = SA_SIGINFO | flags;
	sigaction(SIGCHLD, &act, NULL);
}

static pid_t
child(int ms, int how)
{
	struct timespec ts = { 0, ms * 1000000 };
	pid_t pid = fork();

	if (pid == 0) {
		nanosleep(&ts, NULL);
		if (how < 0)
			kill(getpid(), -how);
		_exit(how);
	}
	return pid;
}

int
main(void)
{
	struct timespec ts = { 2, 0 };
	int status, p[2];
	pid_t pid;
	char c;

	handle(0);
	pid = child(20, 9);
	CALL(nanosleep(&ts, NULL));
	CHECK(who == pid && code == CLD_EXITED && status_seen == 9);
	CHECK(wait(&status) == pid);
	pid = child(20, -SIGTERM);
	CALL(nanosleep(&ts, NULL));
	CHECK(who == pid && code == CLD_KILLED && status_seen == SIGTERM);
	wait(&status);
	handle(SA_RESTART);
	pipe(p);
	pid = child(20, 1);
	if (fork() == 0) {
		ts = (struct timespec){ 0, 60000000 };
		nanosleep(&ts, NULL);
		write(p[1], "x", 1);
		_exit(0);
	}
	caught = 0;
	CALL(read(p[0], &c, 1));                        /* goes on after the handler */
	CHECK(caught >= 1);
	while (wait(&status) > 0)
		;
	handle(SA_NOCLDSTOP);
	caught = 0;
	pid = child(5000, 0);
	kill(pid, SIGSTOP);
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	CHECK(caught == 0);
	kill(pid, SIGCONT);
	CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	CHECK(caught == 0);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid && WTERMSIG(status) == SIGKILL);
	signal(SIGCHLD, SIG_IGN);                       /* children vanish by themselves */
	child(1, 3);
	child(10, 4);
	CALL(wait(&status));
	signal(SIGCHLD, SIG_DFL);
	pid = child(1, 3);
	CHECK(wait(&status) == pid && WEXITSTATUS(status) == 3);
	return 0;
}
